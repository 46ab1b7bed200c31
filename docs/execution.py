"""Run a notebook from start to end in a kernel of its own."""

from typing import Any

from nbclient import NotebookClient
from nbformat import NotebookNode


def execute(notebook: NotebookNode, **how: Any) -> NotebookNode:
    """Run all cells and keep their outputs; `how` is nbclient's, a cell's `timeout` for example.

    A kernel otherwise warns that it listens unencrypted, which it does on this machine alone.
    """
    quiet = ["--IPKernelApp.log_level=ERROR"]
    return NotebookClient(notebook, extra_arguments=quiet, **how).execute()
