"""What commands share: options, refusals, tables for people, JSON for machines."""

import dataclasses
import functools
import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import sub
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer import Argument, Option

from loratheory.store import write_whole


def refuse(message: str) -> NoReturn:
    """Print what is wrong with the input to standard error and exit with code 2."""
    typer.echo(f"loratheory: {message}", err=True)
    raise typer.Exit(2)


def _check_parent(path: Path) -> None:
    if not path.parent.is_dir():
        refuse(f"{path}: there is no folder {path.parent}: make it, or write elsewhere")
    # A device is written to as it is, and a link's target where that lies.
    device = path.exists() and not (path.is_file() or path.is_dir())
    if not (device or os.access(_real(path).parent, os.W_OK)):
        refuse(f"{path}: {path.parent} is read-only: change its permissions, or write elsewhere")


def _check_json(json: Path | None) -> Path | None:
    """Exit before any work is done if the JSON could not be written later."""
    if json is not None and str(json) != "-":
        _check_parent(json)
        if json.is_dir():
            refuse(f"{json} is a folder: name a file in it, or elsewhere")
    return json


JSON = "Write the result as JSON to this file; `-` is standard output."
Json = Annotated[Path | None, Option("--json", metavar="FILE", help=JSON, callback=_check_json)]
ADAPTERS = "Folders that PEFT saved, or Hugging Face ids."
Folders = Annotated[list[Path], Argument(metavar="ADAPTER", help=ADAPTERS)]
AnyFolders = Annotated[list[Path] | None, Argument(metavar="ADAPTER", help=ADAPTERS)]
FILES = "File of one adapter, see above. Repeat the option in the order of the adapters."
Files = Annotated[list[Path] | None, Option(metavar="FILE", help=FILES)]
Subfolder = Annotated[
    str, Option(help="Subfolder that holds the adapter, inside each folder or id.")
]
Output = Annotated[Path, Option("-o", "--output", metavar="FOLDER", help="Folder to write.")]
Force = Annotated[bool, Option("--force", help="Replace the adapter, plan or data there.")]
AnyBase = Annotated[bool, Option("--any-base", help="Allow adapters of different base models.")]
Seed = Annotated[int, Option(min=0, help="Seed of all random draws.")]
MODEL = "A folder or Hugging Face id. Default: SmolLM2-135M-Instruct."
ModelName = Annotated[str | None, Option("--model", metavar="NAME", help=MODEL)]
Revision = Annotated[str | None, Option(help="Branch, tag or commit of a Hugging Face id.")]
Download = Annotated[
    bool, Option("--download", help="Download Hugging Face ids that are not in the cache.")
]
Device = Annotated[str, Option(help="Device that computes: cpu, cuda, cuda:1, … or auto.")]
OUTPUTS = ("output", "json")  # parameters that name what is written
FUNCTIONS, MODELS = ("rule", "scorer"), ("model", "base")  # parameters that are read, as texts
# JSON files that commands read in folders.
READ = ("adapter_config", "adapter_card", "route", "config", "tokenizer", "tokenizer_config")
# The packages that a plain install lacks, by the smallest extra that brings them.
EXTRAS = {
    "notebooks": ("matplotlib",),
    "torch": ("torch",),
    "pretrained": ("transformers", "accelerate", "gguf", "peft", "filelock", "huggingface_hub"),
}
# From a heading to the attribute of a row, or to a function of it.
Columns = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """The options that say where adapters are."""

    subfolder: Subfolder = ""
    revision: Revision = None
    download: Download = False

    def read(self, folder: Path | str) -> Any:
        """Return an adapter; AdapterError if there is none."""
        from loratheory.adapters import read_adapter

        return read_adapter(folder, **vars(self))


@dataclass(frozen=True)
class Base:
    """The options that say which model a command works on, and where it is computed."""

    model: ModelName = None
    revision: Annotated[str | None, Option(help="Branch, tag or commit of the model.")] = None
    download: Download = False
    device: Device = "cpu"
    dtype: Annotated[str, Option(help="Number format of the model; bfloat16 on a GPU.")] = "float32"

    def load(self) -> Any:
        """Return the model; ModelError if there is none."""
        from loratheory.pretrained import load_model

        options = vars(self).copy()
        return load_model(options.pop("model"), **options)


def spread_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with options of its own in place of each dataclass of them that it takes.

    Typer reads options from the parameters of a function, one option for each.
    """
    groups: dict[str, type] = {}
    options: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        if hasattr(parameter.annotation, "__dataclass_fields__"):
            groups[name] = parameter.annotation
            options |= inspect.signature(parameter.annotation).parameters
        else:
            options[name] = parameter

    @functools.wraps(command)
    def _run(**given: Any) -> None:
        _protect_inputs(given)
        for name, group in groups.items():
            # what Typer parsed option by option becomes one object
            keys = inspect.signature(group).parameters
            given[name] = group(*map(given.pop, keys))
        command(**given)

    # keywords alone, so that options with a default may come before those without
    named = [one.replace(kind=one.KEYWORD_ONLY) for one in options.values()]
    _run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    return _run


def _protect_inputs(given: Mapping[str, Any]) -> None:
    """Exit if an output would replace what the command reads, or lie in the other output."""
    output, json = map(given.get, OUTPUTS)
    if json and str(json) == "-":
        json = None
    if output and json and _real(output) in (_real(json), *_real(json).parents):
        refuse(f"--json {json} is what -o names, or in it: name a file elsewhere")
    for target in (output, json):
        for read in _inputs(given):
            if target and target.exists() and _replaces(_real(target), _real(read)):
                refuse(f"{target} would replace what is read from {read}: write elsewhere")


def _inputs(given: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the files and folders that the command reads."""
    for name, value in given.items():
        if name in FUNCTIONS and value:
            module = value.partition(":")[0].replace(".", "/")
            yield from (Path(f"{module}.py"), Path(module, "__init__.py"))
        for one in value if isinstance(value, list) else [value]:
            if name not in OUTPUTS and isinstance(one, (Path, str) if name in MODELS else Path):
                yield Path(one)


def _replaces(target: Path, read: Path) -> bool:
    # Of a folder that is read some files are; a folder that is written is replaced with all in it.
    if read in target.parents:
        return target.stem in READ or target.suffix in (".safetensors", ".jsonl")
    return target in (read, *read.parents)


def _real(path: Path) -> Path:
    # `resolve` fails at links that lead to themselves, before Python 3.13.
    return Path(os.path.realpath(path))


def check_folder(output: Path, *, force: bool | None) -> None:
    """Exit before any work is done if an adapter could not be written to `output` later.

    `force` is None for a command without this option.
    """
    _check_parent(output)
    if output.exists() and not force:
        forced = "choose another place, or add --force to replace it"
        refuse(f"{output} exists: {'name a new folder' if force is None else forced}")


def progress(steps: Any = None, count: int | None = None, **options: Any) -> Any:
    """Return a progress bar, which is shown on a terminal only."""
    from tqdm.auto import tqdm

    return tqdm(steps, total=count, leave=False, disable=None, **options)


@contextmanager
def stages(
    count: int | None = None, *, every: float = 60, **options: Any
) -> Iterator[Callable[[str], None]]:
    """Show a progress bar; yield a function that moves it and says which stage begins.

    Where standard error is no terminal, it gets a line instead, at most one in `every` seconds.
    """
    began = said = time.monotonic()
    with progress(count=count, **options) as bar:

        def _begin(stage: str) -> None:
            nonlocal said
            bar.set_description(stage)
            bar.update()
            now = time.monotonic()
            if bar.disable and now - said >= every:
                said = now
                typer.echo(f"loratheory: after {now - began:.0f} s: {stage}", err=True)

        yield _begin


def say(text: str = "", bold: str = "", notes: Iterable[str] = ()) -> None:
    """Print plain text after a bold head, then a line for each note."""
    from rich.console import Console
    from rich.text import Text

    # a line is a line, also where it is read from a pipe
    console = Console(highlight=False, soft_wrap=True)
    console.print(Text.assemble((bold, "bold"), text))
    for note in notes:
        console.print(f"Note: {note.rstrip('.')}.", markup=False)


def columns(*names: str) -> Columns:
    """Return columns whose headings are the names of attributes, in words."""
    return {name.replace("_", " "): name for name in names}


def show(title: str, columns: Sequence[str] | Columns, rows: Iterable[Any]) -> None:
    """Print one table; numbers are shown to four significant digits.

    Rows are sequences. Where `columns` is a mapping from headings, rows are objects, and each
    column is the name of an attribute, or a function of the row. No number is ever cut: columns
    that do not fit into one table follow in another, behind the first column once more.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # A title of the table would be wrapped at the width of its columns.
    if title:
        say(bold=title)
    cells = [list(columns)]
    for row in rows:
        values = row
        if isinstance(columns, dict):
            values = []
            for column in columns.values():
                values.append(column(row) if callable(column) else getattr(row, column))
        cells.append(list(map(_format, values)))
    # A pipe has no width, unless it is set: what reads it gets whole lines.
    known = (sys.stdout and sys.stdout.isatty()) or "COLUMNS" in os.environ
    console = Console(width=None if known else 160, highlight=False)
    texts, least, most = list(zip(*cells, strict=True)), list[int](), list[int]()
    for text in texts:
        # Lines break between words; only names in the first column are broken anywhere.
        word = max(map(len, " ".join(text).split()), default=0)
        least.append(word if least else min(word, console.width // 2))
        most.append(max(map(len, text)))
    groups = [[0]]
    for number in range(1, len(texts)):
        fits = sum(map(least.__getitem__, groups[-1])) + least[number] + 3 * len(groups[-1])
        if number > 1 and fits > console.width - 3:
            groups.append([0])
        groups[-1].append(number)
    for group in groups:
        table, widths = Table(box=box.SIMPLE_HEAD, show_edge=False), list(least)
        spare = console.width - sum(map(least.__getitem__, group)) - 3 * len(group)
        # who wants least is served first, and nobody gets more than an equal share of what is left
        hungry = sorted(group, key=list(map(sub, most, least)).__getitem__)
        for place, one in enumerate(hungry):
            more = min(spare // (len(hungry) - place), most[one] - least[one])
            widths[one] += max(0, more)
            spare -= widths[one] - least[one]
        for one in group:
            # words begin on the left, numbers end on the right
            words = one == 0 or any(text[:1].isalpha() for text in texts[one][1:])
            side: Any = "left" if words else "right"
            table.add_column(Text(texts[one][0]), justify=side, width=widths[one], overflow="fold")
        for row in cells[1:]:
            # no markup: names may hold square brackets
            table.add_row(*map(Text, map(row.__getitem__, group)))
        console.print(table, "")


def _format(value: Any) -> str:
    """Return a cell: four digits of a number, and a word for what is none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_share(share: Any) -> str | None:
    """Return a share of right answers with its 95% interval; None without questions."""
    return share and f"{share.right}/{share.total} ({share.low:.2f} to {share.high:.2f})"


def deliver(json_file: Path | None, value: Any) -> bool:
    """Write the JSON that was asked for; return whether to show a table as well."""
    if json_file is None:
        return True
    # In ASCII: standard output may lack characters, and a file's name may be no valid text.
    text = json.dumps(to_json(value), indent=2) + "\n"
    if str(json_file) == "-":
        typer.echo(text, nl=False)
        return False
    write_whole(json_file, text)
    return True


def to_json(value: Any) -> Any:
    """Return a result as JSON values: dataclasses become objects, NaN and infinity null."""
    # JSON has no NaN, and other readers than Python's refuse it
    return json.loads(json.dumps(value, default=_unfold), parse_constant=lambda _: None)


def _unfold(value: Any) -> Any:
    """Return the fields of a dataclass, or a path as text."""
    if isinstance(value, Path):
        return str(value)
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
