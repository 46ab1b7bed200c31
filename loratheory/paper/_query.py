"""What a number of the paper is: a column of an experiment's table, over some of its rows."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

Mode = Literal["mean", "least", "most", "onset", "majority"]
MODES: tuple[str, ...] = get_args(Mode)
FORM = "[least|most|onset|majority] EXPERIMENT: COLUMN [by KEY, KEY]; KEY=VALUE|VALUE; ..."


class QueryError(ValueError):
    """A number that is asked for cannot be found in the stored tables."""


@dataclass(frozen=True)
class Query:
    """A number, by experiment and cell.

    Attributes
    ----------
    mode : {"mean", "least", "most", "onset", "majority"}
        The mean over the rows; the least or most of such means, one a group of `by`; the least
        value of the column in `by` at which the mean is half or more; how often one answer always
        given would be right, where the column says yes or no.
    experiment, column : str
        Whose table, and what of it.
    by : tuple of str
        Columns whose values make groups.
    where : tuple of (str, tuple of str)
        Which rows: columns with the values that are let in.
    """

    mode: Mode
    experiment: str
    column: str
    by: tuple[str, ...] = ()
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()


def plain(text: str) -> str:
    """The text as TeX sees it: line ends are spaces, and many spaces are one."""
    return re.sub(r"\s+", " ", text).strip()


def query(text: str) -> Query:
    """Return what a text such as ``gating: two_hop; rule=mean; pairs=1|2`` asks for.

    Parameters
    ----------
    text : str
        ``[mode] experiment: column [by key, key]; key=value|value; ...``.

    Returns
    -------
    Query
        Nothing has been looked up yet.

    Raises
    ------
    QueryError
        If the text has another form.
    """
    head, *rest = (part.strip() for part in plain(text).split(";"))
    found = re.fullmatch(r"(?:(\w+) )?(\w+): (\w+)(?: by (\w+(?:, \w+)*))?", head)
    pairs = [part.partition("=") for part in rest]
    if not found or not all(map(all, pairs)):
        message = f"{plain(text)!r} asks for no number: write {FORM}"
        raise QueryError(message)
    mode, experiment, column, by = found.groups()
    keys = tuple(by.split(", ")) if by else ()
    if (mode or "mean") not in MODES or bool(keys) != (mode in ("least", "most", "onset")):
        message = f"{plain(text)!r}: least, most and onset need `by`, others have none; {FORM}"
        raise QueryError(message)
    where = tuple((key, tuple(values.split("|"))) for key, _, values in pairs)
    return Query(mode or "mean", experiment, column, keys, where)  # type: ignore[arg-type]
