"""Marks as rows of a table, one a replica."""

from collections.abc import Mapping

import numpy as np

from loratheory.experiments.engine import Row
from loratheory.experiments.reuse._marks import Marks
from loratheory.experiments.reuse._shelves import Shelf


def rows(
    shelf: Shelf, names: Mapping[str, str | int | float], found: Marks, **more: object
) -> list[Row]:
    """Return one row for each base and repetition.

    Parameters
    ----------
    shelf : Shelf
        Whose replicas they are.
    names : mapping
        The first columns, alike for all: the cell's settings and the rule.
    found : dict of str to (E,) array
        Marks.
    **more : object
        The last columns: numbers, words, or (E,) arrays.

    Returns
    -------
    list of dict
        `names`, then `seed` and `set`, the marks, and the rest.
    """
    each = {name: _spread(column, len(shelf.replicas)) for name, column in (found | more).items()}
    return [
        {**names, "seed": seed, "set": number, **{name: column[e] for name, column in each.items()}}
        for e, (seed, number) in enumerate(shelf.replicas)
    ]


def _spread(column: object, count: int) -> list:  # type: ignore[type-arg]
    found: list = np.broadcast_to(np.asarray(column), count).tolist()  # type: ignore[type-arg]
    return found
