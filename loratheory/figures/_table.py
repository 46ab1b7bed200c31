"""The columns of the stored tables that figures are drawn from."""

from collections.abc import Mapping, Sequence
from typing import Any

from loratheory.experiments import TableError

Row = Mapping[str, Any]


def columns(rows: Sequence[Row], *names: str) -> tuple[list[float], ...]:
    """Return these columns of numbers of a table.

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
        If a row lacks one of them, or holds a word there.
    """
    for number, row in enumerate(rows, start=1):
        missing = [name for name in names if name not in row]
        if missing:
            message = (
                f"row {number} of the table has no column {', '.join(missing)}; "
                f"this figure needs {', '.join(names)} and was given {', '.join(row) or 'nothing'}"
            )
            raise TableError(message)
        words = [name for name in names if isinstance(row[name], str)]
        if words:
            message = (
                f"row {number} of the table has {row[words[0]]!r} in column {words[0]}; "
                "this figure needs a number there"
            )
            raise TableError(message)
    return tuple([row[name] for row in rows] for name in names)
