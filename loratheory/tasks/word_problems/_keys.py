"""What makes two problems the same: one template and the same numbers in the same places."""

import numpy as np

from loratheory.tasks.word_problems._problems import Problems

Key = tuple[str, tuple[int, ...]]


def keys(problems: Problems) -> list[Key]:
    """Return for each problem what it shares with the same problem told otherwise, and no other.

    Parameters
    ----------
    problems : Problems
        Distractors are not looked at.

    Returns
    -------
    list of (str, tuple of int)
        The template's code; the numbers said, in the template's order. Where the graph has
        symmetries, the least of all such orders.
    """
    forms, which = problems.forms()
    found: list[Key] = [("", ())] * len(problems)
    for number, (template, orders) in enumerate(forms):
        rows = np.flatnonzero(which == number)
        said = [
            problems.numbers[rows][:, order].reshape(len(rows), 2 * len(order)).tolist()
            for order in orders
        ]
        for row, *ways in zip(rows.tolist(), *said, strict=True):
            found[row] = (template.code, tuple(min(ways)))
    return found
