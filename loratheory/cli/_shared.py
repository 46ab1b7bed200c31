"""What commands share: options, refusals, tables for people, JSON for machines."""

import dataclasses
import difflib
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
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
Output = Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="Where to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an adapter that is there already.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace such data in FOLDER.")]
AnyBase = Annotated[bool, typer.Option("--any-base", help="Accept different base model names.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random draws.")]
MODEL = "A folder or Hugging Face id. Default: SmolLM2-135M-Instruct."
ModelName = Annotated[str | None, typer.Option("--model", metavar="NAME", help=MODEL)]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hugging Face id.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch an id that is not in the cache.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, … or auto.")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16, …")]
FIGURES = (".pdf", ".png", ".svg")
EXTRAS = {
    "notebooks": ("matplotlib",),
    "torch": ("torch",),
    "pretrained": ("torch", "transformers", "accelerate", "gguf", "peft", "filelock"),
}
"""The packages that a plain install lacks, by the extra that brings them, the smallest first."""
Columns = dict[str, Any]
"""From a heading to the attribute or key of a row, or to a function of it."""


def refuse(message: str) -> NoReturn:
    """Print what is wrong with the input to standard error and exit with code 2."""
    typer.echo(f"loratheory: {message}", err=True)
    raise typer.Exit(2)


def suggest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return the end of an error message: the most similar known names, or else the remedy."""
    near = difflib.get_close_matches(name, [*known], n=3)
    return f"did you mean {', '.join(near)}?" if near else otherwise


def parse_layers(text: str) -> set[int]:
    """Return layers that are written like ``0,5-9``, or refuse them."""
    remedy = "write it as --layers 0,5-9"
    layers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        last = last or first
        if not first.strip().isdecimal() or not last.strip().isdecimal() or len(last) > 4:
            refuse(f"--layers={text} is no list of layers: {remedy}")
        if int(last) < int(first):
            refuse(f"--layers={text} counts down: {remedy}")
        layers |= set(range(int(first), int(last) + 1))
    return layers


def check_outputs(json: Path | None = None, figure: Path | None = None) -> None:
    """Exit before any work is done if output files could not be written later."""
    for target in (json, figure):
        if target is None or str(target) == "-":
            continue
        if not target.parent.is_dir():
            refuse(f"{target}: there is no folder {target.parent}: make it, or write elsewhere")
        if target.is_dir():
            refuse(f"{target} is a folder: name a file in it, or elsewhere")
    if figure and figure.suffix not in FIGURES:
        refuse(f"{figure}: a figure is written as {', '.join(FIGURES)}: choose one of these")


def check_folder(output: Path, *, force: bool, json: Path | None) -> None:
    """Exit before any work is done if an adapter could not be written to `output` later."""
    check_outputs(json)
    if json and json.absolute() == output.absolute():
        refuse(f"--json {json} is the folder to write: name a file elsewhere")
    if not output.parent.is_dir():
        refuse(f"{output}: there is no folder {output.parent}: make it, or write elsewhere")
    if output.exists() and not force:
        refuse(f"{output} exists: choose another place, or add --force to replace an adapter")


def read_prompts(file: Path) -> dict[str, str]:
    """Return the prompts of JSON Lines with their completions, which may be left out."""
    rows: dict[str, str] = {}
    for number, line in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
        try:
            row = json.loads(line or "{}")
            prompt, answer = row.get("prompt"), row.get("completion", "")
        except (ValueError, AttributeError):
            prompt = answer = None
        if line and not (isinstance(prompt, str) and isinstance(answer, str) and prompt.strip()):
            remedy = (
                'write {"prompt": "…", "completion": "…"}, where prompts do not need the latter'
            )
            refuse(f"{file}, line {number} is no row of a prompt: {remedy}")
        if line:
            rows[str(prompt)] = str(answer)
    if not rows:
        refuse(f'{file} holds no prompt: write a row {{"prompt": "…"}} for each')
    return rows


def progress(steps: Any = None, count: int | None = None, **options: Any) -> Any:
    """Return a progress bar, which is shown on a terminal only."""
    from tqdm.auto import tqdm

    return tqdm(steps, total=count, leave=False, disable=None, **options)


@contextmanager
def stages(count: int | None = None, **options: Any) -> Iterator[Callable[[str], None]]:
    """Show a progress bar; yield a function that moves it and says which stage begins."""
    with progress(count=count, **options) as bar:

        def _begin(stage: str) -> None:
            bar.set_description(stage)
            bar.update()

        yield _begin


def say(text: str = "", bold: str = "", notes: Iterable[str] = ()) -> None:
    """Print plain text after a bold head, then a line for each note."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    console.print(Text.assemble((bold, "bold"), text))
    for note in notes:
        console.print(f"Note: {note.rstrip('.')}.", markup=False)


def show(title: str, columns: Sequence[str] | Columns, rows: Iterable[Any]) -> None:
    """Print one table; numbers are shown to four significant digits.

    Rows are sequences. Where `columns` is a mapping from headings, rows are objects or dicts, and
    each column is the name of an attribute or key, or a function of the row.
    """
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # A title of the table would be wrapped at the width of its columns.
    if title:
        say(bold=title)
    table = Table(box=box.SIMPLE_HEAD)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows:
        values = row
        if isinstance(columns, dict):
            values = [_look_up(row, column) for column in columns.values()]
        table.add_row(*(escape(_format(value)) for value in values))
    # A pipe has no width: what reads it gets whole lines.
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)


def _look_up(row: Any, column: Any) -> Any:
    if callable(column):
        return column(row)
    return row[column] if isinstance(row, dict) else getattr(row, column)


def _format(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_interval(share: Any) -> str:
    """Return the 95 % interval of a share of right answers."""
    return f"{share.low:.2f} to {share.high:.2f}"


def deliver(json_file: Path | None, value: Any) -> bool:
    """Write the JSON that was asked for; return whether to show a table as well."""
    if json_file is None:
        return True
    text = json.dumps(to_json(value), indent=2, ensure_ascii=False) + "\n"
    if str(json_file) == "-":
        sys.stdout.write(text)
        return False
    write_whole(json_file, text)
    return True


def to_json(value: Any) -> Any:
    """Return a result as JSON values: dataclasses become objects, NaN and infinity null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
