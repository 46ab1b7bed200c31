"""Tables as text and back: rows of words and numbers, equal runs in equal bytes."""

import csv
import gzip
import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loratheory.experiments.engine._experiment import Row

if TYPE_CHECKING:
    import pandas as pd

DECIMALS = 9  # what lies beyond may differ between processors
LARGE = 2**16  # bytes; larger tables are stored compressed


class TableError(ValueError):
    """A table cannot be written, read or drawn."""


def csv_text(rows: Sequence[Row]) -> str:
    """Return the rows as comma-separated text; `table` gives them back.

    At least one row, all with the same keys in the same order; a column is all words or all
    numbers, which come to nine decimals: equal runs give equal text. TableError if that is not so.
    """
    if not rows:
        message = "a table needs at least one row: let a cell return some"
        raise TableError(message)
    for number, row in enumerate(rows, start=1):
        if list(row) != list(rows[0]):
            message = f"row {number} has columns {', '.join(row)}; row 1 has {', '.join(rows[0])}"
            raise TableError(message)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(rows[0])
    cells = [[_written(value) for value in row.values()] for row in rows]
    writer.writerows(cells)
    for name, column in zip(rows[0], zip(*cells, strict=True), strict=True):
        words = {isinstance(row[name], str) for row in rows}
        if len(words) > 1 or words != {not any(map(_is_number, column))} or "" in column:
            message = f"column {name}: all cells must be numbers, or all words that are no numbers"
            raise TableError(message)
    return buffer.getvalue()


def _written(value: str | int | float) -> str:
    return value if isinstance(value, str) else f"{round(value, DECIMALS) + 0.0:.15g}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def packed(text: str) -> tuple[str, bytes]:
    """Return the name under which a table is stored, compressed if it is large, and its bytes."""
    data = text.encode()
    if len(data) <= LARGE:
        return "table.csv", data
    return "table.csv.gz", gzip.compress(data, mtime=0)


def unpacked(path: Path) -> bytes | None:
    """Return the bytes of a table or of its compressed twin beside it; None where neither is."""
    twin = path.with_name(f"{path.name}.gz")
    if path.is_file():
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    return gzip.decompress(twin.read_bytes()) if twin.is_file() else None


def table(path: Path) -> "pd.DataFrame":
    """Return a comma-separated file as a data frame.

    Where only ``path.gz`` is there, that one. Columns are floats; words where no cell is a number.
    TableError if there is no such file, it holds no rows, a row is ragged, a cell is empty, or one
    is no number in a column where another is.
    """
    import pandas as pd

    try:
        data = unpacked(path)
        lines = list(csv.reader(io.StringIO((data or b"").decode(), newline="")))
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error, csv.Error) as error:
        message = f"{path} is no table ({error}): name one that `loratheory run` has written"
        raise TableError(message) from None
    if data is None:
        message = (
            f"there is no table {path}: name one that `loratheory run` has written, "
            "or leave it out for the project's own"
        )
        raise TableError(message)
    if len(lines) < 2:
        message = f"{path} holds {len(lines)} lines: a table has a header and at least one row"
        raise TableError(message)
    header, *rows = lines
    for line, cells in enumerate(rows, start=2):
        if len(cells) != len(header):
            message = (
                f"{path}, line {line}: {len(cells)} cells under {len(header)} columns: "
                "give every row one cell a column"
            )
            raise TableError(message)
    columns = zip(header, zip(*rows, strict=True), strict=True)
    return pd.DataFrame({name: _typed(path, name, column) for name, column in columns})


def _typed(path: Path, name: str, column: tuple[str, ...]) -> tuple[str | float, ...]:
    numbers = any(map(_is_number, column))
    for line, cell in enumerate(column, start=2):
        if not cell or numbers != _is_number(cell):
            what = "not a number" if numbers else "empty"
            message = f"{path}, line {line}, column {name}: {cell!r} is {what}: give one"
            raise TableError(message)
    return tuple(map(float, column)) if numbers else column


def word(cell: Any) -> str:
    """Return a cell as a query writes it."""
    return cell if isinstance(cell, str) else f"{cell:g}"


PACKAGE = Path(__file__).parents[2]
PLACES = (PACKAGE / "results", PACKAGE.parent / "paper" / "results")
"""Of a wheel, and of a checkout."""


def home() -> Path:
    """Return the folder whose ``results`` holds the project's own tables.

    ``paper`` of a checkout, whose ``main.tex`` is the paper's text; of an installed package its own
    folder, which has the tables and no text.
    """
    return next((place for place in PLACES if place.is_dir()), PLACES[-1]).parent


def published(name: str) -> Path:
    """Return the project's own table of an experiment, as its paper profile made it.

    `provenance.json` lies beside it. TableError if there is no such table.
    """
    for folder in PLACES:
        for file in (folder / name / "table.csv", folder / name / "table.csv.gz"):
            if file.is_file():
                return file
    known = sorted({path.parent.name for folder in PLACES for path in folder.glob("*/table.csv*")})
    message = f"no table of {name!r} is published, only of {', '.join(known) or 'nothing'}"
    raise TableError(message)
