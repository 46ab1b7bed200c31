"""What every command does with its product: a table for people, JSON for machines, whole files."""

import dataclasses
import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

EXTRAS = {
    "dask": ("distributed",),
    "notebooks": ("matplotlib",),
    "pretrained": ("torch", "transformers"),
    "torch": ("torch",),
}
"""What a plain install lacks, by the extra that brings it."""


def refused(message: str) -> NoReturn:
    """Say what is wrong with the input, on stderr, and leave with code 2."""
    typer.echo(f"loratheory: {message}", err=True)
    raise typer.Exit(2)


def console() -> Any:
    """Standard output; as wide as the terminal or COLUMNS say, 140 where nothing does."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 140
    return Console(width=width, highlight=False)


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print one table; numbers are shown to four significant digits."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    lines = [[_cell(value) for value in row] for row in rows]
    for number, name in enumerate(columns):
        numeric = all(not line[number] or _numeric(line[number]) for line in lines)
        whole_word = numeric or number == 0
        justify: Any = "right" if numeric else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=whole_word)
    for line in lines:
        table.add_row(*map(escape, line))
    console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _numeric(text: str) -> bool:
    return text[:1] in "-+.0123456789–"


def whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all."""
    from loratheory.store import write_whole

    write_whole(path, content)


FIGURE = (".pdf", ".png", ".svg")
ENDINGS = {"figure": FIGURE, "graph": FIGURE, "table": (".md", ".tex")}


def reachable(json: Path | None = None, **files: Path | None) -> None:
    """Refuse files that could not be written later, before any work is done."""
    for kind, target in {"json": json, **files}.items():
        if target is None:
            continue
        endings = ENDINGS.get(kind, ())
        if kind == "json" and str(target) == "-":
            if getattr(sys.stdout, "name", "") == os.devnull:
                refused("--json -: standard output is closed: open it, or name a file")
        elif endings and target.suffix not in endings:
            known = ", ".join(endings)
            refused(f"{target}: a {kind} is written as {known}: choose one of these endings")
        elif not target.parent.is_dir():
            refused(f"{target}: there is no folder {target.parent}: make it, or write elsewhere")
        elif target.is_dir():
            refused(f"{target} is a folder: name a file in it, or elsewhere")


def needs(extra: str, what: str) -> None:
    """Refuse, in a line, work for which the plain install has no packages."""
    from importlib.util import find_spec

    for name in EXTRAS[extra]:
        if find_spec(name) is None:
            remedy = f"pip install 'loratheory[{extra}]'"
            refused(f"{what} needs {name}, which is not installed: {remedy}")


def progress(modules: Any = None, count: int | None = None, **options: Any) -> Any:
    """A bar on a terminal; in a log there is none."""
    from tqdm.auto import tqdm

    return tqdm(modules, total=count, leave=False, disable=None, **options)


def plain(value: Any) -> Any:
    """The JSON form of a result: dataclasses become objects, NaN and infinity become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def save_json(path: Path | None, value: Any) -> None:
    """Write `value` as JSON to a file, or to standard output for ``-``; nothing for None."""
    if path is None:
        return
    if str(path) == "-":
        sys.stdout.write(_json_text(value, sys.stdout.encoding))
    else:
        whole(path, _json_text(value, "utf-8"))


def _json_text(value: Any, encoding: str) -> str:
    """As it reads best; with escapes where the encoding lacks a letter (or a name has half one)."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(plain(value), indent=2) + "\n"
    return text


def figure_file(path: Path, figure: Any) -> None:
    """Write a matplotlib figure whole, in the format of its ending, the same bytes every time."""
    from loratheory.figures import rendered

    whole(path, rendered(figure, path.suffix.removeprefix(".")))
