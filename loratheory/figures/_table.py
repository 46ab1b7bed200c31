"""The columns of the stored tables that figures are drawn from."""

from collections.abc import Collection, Mapping, Sequence
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
    return _found(rows, names, wordy=False)


def words(rows: Sequence[Row], *names: str) -> tuple[list[str], ...]:
    """Return these columns of words of a table.

    Parameters
    ----------
    rows : sequence of mappings
        At least one row; more columns than asked for do no harm.
    *names : str
        Which columns, in which order.

    Returns
    -------
    tuple of list of str
        One list a name.

    Raises
    ------
    TableError
        If a row lacks one of them, or holds a number there.
    """
    return _found(rows, names, wordy=True)


def _found(rows: Sequence[Row], names: Sequence[str], *, wordy: bool) -> tuple[list[Any], ...]:
    for number, row in enumerate(rows, start=1):
        missing = [name for name in names if name not in row]
        if missing:
            message = (
                f"row {number} of the table has no column {', '.join(missing)}; "
                f"this figure needs {', '.join(names)} and was given {', '.join(row) or 'nothing'}"
            )
            raise TableError(message)
        odd = [name for name in names if isinstance(row[name], str) != wordy]
        if odd:
            message = (
                f"row {number} of the table has {row[odd[0]]!r} in column {odd[0]}; "
                f"this figure needs a {'word' if wordy else 'number'} there"
            )
            raise TableError(message)
    return tuple([row[name] for row in rows] for name in names)


def grouped(rows: Sequence[Row], name: str, needed: Collection[str]) -> dict[str, list[Row]]:
    """Return the rows under each word of a column.

    Parameters
    ----------
    rows : sequence of mappings
        At least one row.
    name : str
        A column of words.
    needed : collection of str
        Words that must be there, such as rules.

    Returns
    -------
    dict of str to list
        From every word of the column to its rows, in their order.

    Raises
    ------
    TableError
        If there is no such column, or a word that is needed is in no row.
    """
    (found,) = words(rows, name)
    groups: dict[str, list[Row]] = {word: [] for word in found}
    for word, row in zip(found, rows, strict=True):
        groups[word].append(row)
    missing = [word for word in needed if word not in groups]
    if missing:
        message = (
            f"no row of the table has {', '.join(missing)} in column {name}, only "
            f"{', '.join(groups)}; draw the table of the experiment that the figure is named after"
        )
        raise TableError(message)
    return groups
