"""Run a notebook from start to end in a kernel of its own."""

import sys
from time import monotonic
from typing import Any

import nbformat
from jupyter_client.client import KernelClient
from nbclient import NotebookClient
from nbformat import NotebookNode

GLANCE = 1.0  # seconds


class _Client(NotebookClient):
    """Looks for replies every second.

    ZeroMQ's sockets wake an event loop once for whatever has come. A wake that is missed (pyzmq 27
    under asyncio, one notebook in ten or so) would leave a reply lying until the cell's time is up.
    """

    async def async_start_new_kernel_client(self, **how: Any) -> KernelClient:
        client = await super().async_start_new_kernel_client(**how)
        receive = client.shell_channel.get_msg

        async def _received(timeout: float | None = None) -> Any:
            end = None if timeout is None else monotonic() + timeout
            while end is None or monotonic() < end:
                if await client.shell_channel.socket.poll(int(1000 * GLANCE)):
                    return await receive(timeout=GLANCE)
            return await receive(timeout=0)  # says that there is nothing as its caller expects

        client.shell_channel.get_msg = _received
        return client


def execute(notebook: NotebookNode, **how: Any) -> NotebookNode:
    """Run all cells and keep their outputs; `how` is nbclient's, a cell's `timeout` for example.

    A kernel otherwise warns that it listens unencrypted, which it does on this machine alone.
    """
    return _Client(notebook, extra_arguments=["--IPKernelApp.log_level=ERROR"], **how).execute()


def main(file: str, folder: str) -> None:
    """Run the notebook in `file` as one of `folder` and write it back with its outputs."""
    notebook = nbformat.read(file, 4)
    execute(notebook, timeout=120, resources={"metadata": {"path": folder}})
    nbformat.write(notebook, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
