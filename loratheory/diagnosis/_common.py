"""How much adapters have in common: their training sets' templates, and their weights."""

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from loratheory.adapters import Aligned, read_likeness, write_likeness
from loratheory.lowrank import frobenius
from loratheory.tasks.word_problems import template_overlap

Pairs = dict[tuple[int, int], float]
LIKENESS = {"read": read_likeness, "write": write_likeness}


class SolutionsError(ValueError):
    """Files of solutions that say nothing about the adapters."""


def solution_templates(file: Path) -> list[str]:
    """Return the template of every solution in a file of JSON Lines.

    Parameters
    ----------
    file : Path
        An object a line with the text `template`, as ``loratheory data word-problems`` writes it:
        equal texts mean solutions of one structure.

    Returns
    -------
    list of str
        One a line.

    Raises
    ------
    SolutionsError
        If the file is missing or empty, or a line has no template.
    """
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file} cannot be read ({error}): name a file of JSON Lines"
        raise SolutionsError(message) from error
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            template = json.loads(line)["template"]
        except (ValueError, KeyError, TypeError):
            template = None
        if not isinstance(template, str):
            message = (
                f"line {number} of {file} has no template: give an object a line with the text "
                '"template", as `loratheory data word-problems` writes it'
            )
            raise SolutionsError(message)
        found.append(template)
    if not found:
        message = f"{file} is empty: give at least one solution"
        raise SolutionsError(message)
    return found


def solution_overlaps(sets: Sequence[Sequence[str]]) -> Pairs:
    """Return the `template_overlap` of each two training sets, by their places."""
    return {
        (i, j): template_overlap(sets[i], sets[j]) for i, j in combinations(range(len(sets)), 2)
    }


def weight_likeness(shelf: Aligned) -> dict[str, Pairs]:
    """Return how alike each two adapters are in what they read, and in what they write.

    Parameters
    ----------
    shelf : Aligned
        At least two adapters.

    Returns
    -------
    dict
        For ``read`` and ``write``, the mean likeness over the modules of each pair, each module
        weighted by the product of its two norms; 0 for a pair that shares no module. Needs the
        adapters alone; costs ``O((m + n) R^2)`` a module.
    """
    total: Pairs = {}
    sums: dict[str, Pairs] = {name: {} for name in LIKENESS}
    for name in shelf.shapes:
        updates = shelf.updates(name)
        sizes = [frobenius(low) for low in updates]
        for i, j in combinations(range(len(updates)), 2):
            weight = sizes[i] * sizes[j]
            total[i, j] = total.get((i, j), 0.0) + weight
            for kind, likeness in LIKENESS.items():
                value = likeness(updates[i], updates[j]) if weight else 0.0
                sums[kind][i, j] = sums[kind].get((i, j), 0.0) + weight * value
    return {
        kind: {pair: value / total[pair] if total[pair] else 0.0 for pair, value in found.items()}
        for kind, found in sums.items()
    }
