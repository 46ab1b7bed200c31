"""A part of the report, and the commands that it rests on."""

import contextlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class StepError(RuntimeError):
    """A command that the report rests on did not do its work."""


@dataclass(frozen=True)
class Section:
    """One part of the report.

    Attributes
    ----------
    title, text : str
        Plain words; paragraphs are separated by blank lines.
    columns, rows
        A table; may be empty.
    figures : tuple of path
        Pictures shown below.
    links : tuple of (str, path)
        Files to open.
    confirmed, deviated : tuple of str
        Lines of the summary.
    """

    title: str
    text: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    figures: tuple[Path, ...] = ()
    links: tuple[tuple[str, Path], ...] = ()
    confirmed: tuple[str, ...] = ()
    deviated: tuple[str, ...] = field(default=())


def command(*words: str | Path, codes: tuple[int, ...] = (0,)) -> str:
    """Run a ``loratheory`` command in this process, quietly; return what it printed.

    An exit code that is not among `codes` is an error.
    """
    from typer.main import get_command

    from loratheory.cli import app

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = get_command(app).main([str(word) for word in words], standalone_mode=False)
    if (code or 0) not in codes:
        message = f"loratheory {' '.join(str(word) for word in words)}: {err.getvalue()}"
        raise StepError(message)
    return out.getvalue()
