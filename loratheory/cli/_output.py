"""What commands have in common: options, tables for people, JSON for machines, output files."""

import dataclasses
import difflib
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from loratheory.store import write_whole

Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write JSON; `-` for standard output.")
]
Figure = Annotated[
    Path | None, typer.Option("--figure", metavar="FILE", help="Draw it as .pdf, .png or .svg.")
]
Folders = Annotated[
    list[Path],
    typer.Argument(metavar="ADAPTER", help="Folders that PEFT saved, or Hugging Face ids."),
]
Subfolder = Annotated[str, typer.Option(help="The adapter's folder below the folder or id.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="The PEFT folder to write.")]
AnyBase = Annotated[bool, typer.Option("--any-base", help="Accept different base model names.")]
Label = Annotated[str, typer.Argument(help="A theorem, with or without `thm:`.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random draws.")]
Profile = Annotated[str, typer.Option(help="How many settings to run: quick or paper.")]
Workers = Annotated[int, typer.Option(min=0, help="Number of processes; 0 for one per core.")]
Dask = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, in place of processes.")
]
FIGURE = (".pdf", ".png", ".svg")
ENDINGS = {"figure": FIGURE, "graph": FIGURE, "table": (".md", ".tex"), "board": (".md",)}
EXTRAS = {
    "dask": ("distributed",),
    "notebooks": ("matplotlib",),
    "torch": ("torch",),
    "pretrained": ("torch", "transformers", "accelerate", "gguf", "peft"),
}
"""What a plain install lacks, by the extra that brings it, the smaller first."""
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="A folder or Hugging Face id. Default: SmolLM2-135M-Instruct.",
    ),
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hugging Face id.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch an id that is not in the cache.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, … or auto.")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16, …")]
Columns = dict[str, Any]
"""From a heading to the attribute or key of a row, or to a function of it."""


def refused(message: str) -> NoReturn:
    """Print what is wrong with the input to stderr and exit with code 2."""
    typer.echo(f"loratheory: {message}", err=True)
    raise typer.Exit(2)


def layer_numbers(text: str) -> set[int]:
    """Return layers that are written like ``0,5-9``, or refuse them."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.strip().isdecimal() or not (last or first).strip().isdecimal():
            refused(f"--layers={text} is no list of layers: write it as --layers 0,5-9")
        if len(last or first) > 4:
            refused(f"--layers={text}: no model has so many layers: write it as --layers 0,5-9")
        if int(last or first) < int(first):
            refused(f"--layers={text} counts down: write it as --layers 0,5-9")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return the end of an error message: the most similar known name, or else the remedy."""
    near = difflib.get_close_matches(name, [*known], n=3)
    return f"did you mean {', '.join(near)}?" if near else otherwise


def reachable(json: Path | None = None, **files: Path | None) -> None:
    """Exit before any work is done if output files could not be written later."""
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


def free(output: Path, *, force: bool, json: Path | None) -> None:
    """Exit before any work is done if an adapter could not be written to `output` later."""
    reachable(json)
    if json and json.absolute() == output.absolute():
        refused(f"--json {json} is the place to write: name a file elsewhere")
    if not output.parent.is_dir():
        refused(f"{output}: there is no folder {output.parent}: make it, or write elsewhere")
    if output.exists() and not force:
        refused(f"{output} exists: choose another place, or add --force to replace an adapter")


def named(**options: str | None) -> None:
    """Exit if an option was given as an empty text, which would otherwise count as not given."""
    for key, value in options.items():
        if value is not None and not value.strip():
            refused(f"--{key} is empty: name one, or leave the option out")


def needs(extra: str, what: str) -> None:
    """Exit with a one-line error if packages that this work needs are not installed."""
    for name in EXTRAS[extra]:
        if find_spec(name) is None:
            remedy = f"pip install 'loratheory[{extra}]'"
            refused(f"{what} needs {name}, which is not installed: {remedy}")


def progress(modules: Any = None, count: int | None = None, **options: Any) -> Any:
    """Return a progress bar, which is shown on a terminal only."""
    from tqdm.auto import tqdm

    return tqdm(modules, total=count, leave=False, disable=None, **options)


@contextmanager
def stages(count: int | None = None, **options: Any) -> Iterator[Callable[[str], None]]:
    """Show a progress bar; yield a function that moves it and says which stage begins."""
    with progress(count=count, **options) as bar:

        def _begin(stage: str) -> None:
            bar.set_description(stage)
            bar.update()

        yield _begin


def _console() -> Any:
    """Standard output; as wide as the terminal or COLUMNS say, 140 where nothing does."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 140
    return Console(width=width, highlight=False)


def say(text: str = "", bold: str = "", notes: Iterable[str] = ()) -> None:
    """Print plain text after a bold head, then a line for each note."""
    from rich.text import Text

    out = _console()
    out.print(Text.assemble((bold, "bold"), text))
    for note in notes:
        out.print(f"Note: {note.rstrip('.')}.", markup=False)


def show(title: str, columns: Sequence[str] | Columns, rows: Iterable[Any]) -> None:
    """Print one table; numbers are shown to four significant digits.

    Rows are sequences. Where `columns` is a mapping from headings, rows are objects or dicts, and
    each column is the name of an attribute or key, or a function of the row.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    if isinstance(columns, dict):
        rows = [[_part(row, column) for column in columns.values()] for row in rows]
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    lines = [[_cell(value) for value in row] for row in rows]
    for number, name in enumerate(columns):
        numeric = all(not line[number] or _numeric(line[number]) for line in lines)
        justify: Any = "right" if numeric else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=numeric or number == 0)
    for line in lines:
        table.add_row(*map(escape, line))
    _console().print(table)


def _part(row: Any, column: Any) -> Any:
    if callable(column):
        return column(row)
    return row[column] if isinstance(row, dict) else getattr(row, column)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _numeric(text: str) -> bool:
    return text[:1] in "-+.0123456789–"


def delivered(json: Path | None, value: Any, figure: Path | None = None, *drawing: Any) -> bool:
    """Write the JSON and the figure that were asked for; return whether to show a table as well.

    `drawing` is the name of a function in `loratheory.figures.commands`, then its arguments.
    """
    if str(json) == "-":
        sys.stdout.write(_json_text(value, sys.stdout.encoding))
    elif json is not None:
        write_whole(json, _json_text(value, "utf-8"))
    if figure:
        name, *given = drawing
        figure_file(figure, getattr(import_module("loratheory.figures.commands"), name)(*given))
    return str(json) != "-"


def figure_file(path: Path, figure: Any) -> None:
    """Write a matplotlib figure in the format of the file's ending, the same bytes every time."""
    from loratheory.figures import rendered

    write_whole(path, rendered(figure, path.suffix.removeprefix(".")))


def plain(value: Any) -> Any:
    """Return a result as JSON values: dataclasses become objects, NaN and infinity null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json_text(value: Any, encoding: str) -> str:
    """As it reads best; with escapes where the encoding lacks a letter (or a name has half one)."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(plain(value), indent=2) + "\n"
    return text
