"""The stored tables that figures are drawn from."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

Row = Mapping[str, float]


class TableError(ValueError):
    """A table cannot be drawn."""


def table(path: Path) -> list[dict[str, float]]:
    """Return the rows of a comma-separated file whose cells are all numbers.

    Parameters
    ----------
    path : Path
        A file with a header line.

    Returns
    -------
    list of dict
        One a row, from column names to numbers.

    Raises
    ------
    TableError
        If there is no such file, it holds no rows, a row is ragged or a cell is no number.
    """
    if not path.is_file():
        message = (
            f"there is no table {path}: stored tables are in paper/results/NAME/table.csv of the "
            "repository, so run this there or name the file"
        )
        raise TableError(message)
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    if len(lines) < 2:
        message = f"{path} holds {len(lines)} lines: a table has a header and at least one row"
        raise TableError(message)
    header, *rows = lines
    return [_row(path, number, header, row) for number, row in enumerate(rows, start=2)]


def _row(path: Path, line: int, header: list[str], cells: list[str]) -> dict[str, float]:
    if len(cells) != len(header):
        message = (
            f"{path}, line {line}: {len(cells)} cells under {len(header)} columns: "
            "give every row one cell a column"
        )
        raise TableError(message)
    row = {}
    for name, cell in zip(header, cells, strict=True):
        try:
            row[name] = float(cell)
        except ValueError:
            message = f"{path}, line {line}, column {name}: {cell!r} is not a number: give one"
            raise TableError(message) from None
    return row


def columns(rows: Sequence[Row], *names: str) -> tuple[list[float], ...]:
    """Return these columns of a table.

    Parameters
    ----------
    rows : sequence of mappings
        At least one row; more columns than asked for do no harm.
    *names : str
        Which columns, in which order.

    Returns
    -------
    tuple of list of float
        One list a name.

    Raises
    ------
    TableError
        If a row lacks one of them.
    """
    for number, row in enumerate(rows, start=1):
        missing = [name for name in names if name not in row]
        if missing:
            message = (
                f"row {number} of the table has no column {', '.join(missing)}; "
                f"this figure needs {', '.join(names)} and was given {', '.join(row) or 'nothing'}"
            )
            raise TableError(message)
    return tuple([row[name] for row in rows] for name in names)
