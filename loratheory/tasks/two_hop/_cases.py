r"""Which statement about merged edits an edit falls under, and what an ideal memory would answer.

The ideal memory reads once per hop; on every entity it returns what the base held there, plus
:math:`c` times what the adapter adds: :math:`(1-c)` of the old value and :math:`c` of the new one
where a fact was edited, the old value alone where it was not, :math:`c` of the new one where there
was none. So the coefficients of :mod:`loratheory.theorems.composition.two_read_region` come out
of the facts themselves. What it does not know is whether the base has a bridge for a new entity.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from loratheory.shapes import Bool, Float64
from loratheory.tasks import impossible
from loratheory.tasks.two_hop._edits import Edit
from loratheory.tasks.two_hop._world import NOTHING, values

_STEPS = 20


class Case(NamedTuple):
    """What theory says of an edit whose adapters are merged with one coefficient each.

    Attributes
    ----------
    name : str
        "overwrite": an old bridge competes whose own fact was not edited. "overwrite both":
        whatever old facts lead to was edited too. "new subject": the subjects had no fact before,
        so nothing competes at the first hop. "new facts": no fact that is taught had an old value.
        "one": a hop keeps its facts, so that in two hops one edit alone must survive. "none": no
        fact changes.
    threshold : float
        The ideal memory gives every new answer if all coefficients equal one number above this,
        and up to 1.
    familiar : bool
        Whether the base knows all bridges. If it does not, it has no map from their values to
        keys, and no coefficient helps: the threshold holds for a base that was taught to.
    """

    name: str
    threshold: float
    familiar: bool


def case(edit: Edit) -> Case:
    """Return the case of an edit: with two hops the thresholds are .618, ½, ½ and 0.

    In the order of `Case.name`: where old facts are overwritten, both overwritten, where only the
    subjects are new, where all facts are.

    Raises
    ------
    ImpossibleError
        If its questions are not of one case.
    """
    names = {_name(*question) for question in zip(*_circumstances(edit), strict=True)}
    if len(names) > 1:
        fact = f"this edit has chains of the cases {', '.join(sorted(names))}"
        raise impossible(fact, "draw chains of one case")
    familiar = bool((edit.chains[:, 1:-1] < edit.before.entities).all())
    return Case(names.pop(), threshold(edit), familiar)


def _circumstances(edit: Edit) -> tuple[Bool[np.ndarray, "n hops"], ...]:
    """Of each question and hop: is its fact new, did it have an old value, are all ways edited."""
    edited = edit.edited()
    new, replaced, covered = np.zeros((3, len(edit.questions), edit.before.hops), dtype=bool)
    for hop, nodes in enumerate(edit.reached()[:-1]):
        path = edit.questions.relations[:, hop, None]
        has_old = values(edit.before, hop, path, nodes) != NOTHING
        changes = edited[hop, path, nodes] & (nodes != NOTHING)
        new[:, hop] = changes[:, 0]
        replaced[:, hop] = (changes & has_old)[:, 0]
        covered[:, hop] = (changes | ~has_old).all(axis=1)
    return new, replaced, covered


def _name(
    new: Bool[np.ndarray, " hops"],
    replaced: Bool[np.ndarray, " hops"],
    covered: Bool[np.ndarray, " hops"],
) -> str:
    if not replaced.any():
        return "new facts" if new.any() else "none"
    if new.sum() < max(len(new), 2):
        return "one"
    if not replaced[0]:
        return "new subject"
    return "overwrite both" if covered.all() else "overwrite"


def ideal(edit: Edit, coefficients: Sequence[int | float]) -> Float64[np.ndarray, "n size"]:
    """Return how strongly an ideal memory would give each answer to each edited question.

    Parameters
    ----------
    edit : Edit
        Its questions are asked.
    coefficients : sequence of float
        Merge weight times strength of the edit, one per hop.

    Returns
    -------
    (n, size) array
        Of each question, the weight of each entity of the last level.
    """
    before, after = edit.before, edit.after
    if len(coefficients) != before.hops:
        fact = f"{len(coefficients)} coefficients are given for {before.hops} hops"
        raise impossible(fact, "give one per hop")
    weight = np.eye(before.size)[edit.questions.subjects]
    rows = np.arange(len(edit.questions))[:, None]
    nodes = np.arange(before.size)[None, :]
    for hop, (c, path) in enumerate(zip(coefficients, edit.questions.relations.T, strict=True)):
        passed = np.zeros_like(weight)
        for world, share in ((before, 1 - c), (after, c)):
            to = values(world, hop, path[:, None], nodes + 0 * rows)
            # Weight on an entity without a fact goes nowhere: its share is multiplied by 0.
            np.add.at(passed, (np.where(to == NOTHING, 0, rows), to), share * weight * (to >= 0))
        weight = passed
    return weight


def threshold(edit: Edit) -> float:
    """Return the greatest equal coefficient, of 0 … 1, at which some new answer does not win.

    To 1e-12; above it an ideal memory gives all questions their new answer. 1 if it never does.
    """
    lost = [c for c in np.linspace(0, 1, _STEPS + 1).tolist() if not _wins(edit, c)]
    if not lost:
        return 0.0
    low, high = lost[-1], min(lost[-1] + 1 / _STEPS, 1.0)
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (low, middle) if _wins(edit, middle) else (middle, high)
    return low


def _wins(edit: Edit, c: float) -> bool:
    weight = ideal(edit, [c] * edit.before.hops)
    rows, target = np.arange(len(weight)), edit.chains[:, -1]
    own = weight[rows, target]
    weight[rows, target] = 0
    return bool((own > weight.max(axis=1)).all())
