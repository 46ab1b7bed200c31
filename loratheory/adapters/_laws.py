"""Which merge rule obeys which law: a table that is computed, with a counterexample where not."""

from collections.abc import Mapping
from dataclasses import dataclass

from loratheory.adapters._law_cases import LAWS, LawCase
from loratheory.adapters._methods import METHODS, Method

HOLDS = 1e-9
"""Relative gap that rounding may leave."""

NOTES = {
    ("sum", "idempotent"): "k copies give k times the adapter",
    ("factor-linear", "idempotent"): "the cross terms of k copies add up to k times the adapter",
    ("ties", "idempotent"): "holds at density 1, where nothing is trimmed",
    ("magnitude", "idempotent"): "holds at density 1, where nothing is trimmed",
    ("dare", "exact"): "in expectation, in the full space",
    ("dare", "permutation"): "in distribution only: a mask belongs to a position",
    ("dare-ties", "permutation"): "in distribution only: a mask belongs to a position",
    ("iso", "idempotent"): "holds for an adapter whose singular values are equal",
    ("tsv", "zero weight"): "its vectors still bend those of the others",
    ("interpolate", "zero weight"): "the merge then does nothing on its row space",
    ("knots", "zero weight"): "its outputs still shape the axes",
    ("core", "zero weight"): "its factors still shape the axes",
    ("core", "gauge"): "the axes come from the factors: bring them into balanced form first",
}
"""What else there is to know of a denied law, by method or by space."""


@dataclass(frozen=True)
class Cell:
    """One law for one method in one space.

    Attributes
    ----------
    holds : bool or None
        None where the question does not arise.
    reason : str
        Why it does not arise, or what else there is to know; may be empty.
    seed : int or None
        Of the counterexample, ``LawCase(method, space, seed)``, where the law does not hold.
    gap : float
        Largest relative gap seen.
    """

    holds: bool | None
    reason: str = ""
    seed: int | None = None
    gap: float = 0.0


@dataclass(frozen=True)
class Row:
    """All laws for one method in one space.

    Attributes
    ----------
    method : str
        Its name in `METHODS`.
    space : str
        Where it works.
    cells : mapping of str to Cell
        One a law, in the order of `LAWS`.
    """

    method: str
    space: str
    cells: Mapping[str, Cell]


def laws(draws: int = 2) -> tuple[Row, ...]:
    """Return the table of operator laws, one row for each method and space.

    Parameters
    ----------
    draws : int
        Random cases for each cell; a counterexample ends the search.

    Returns
    -------
    tuple of Row
        A law is said to hold where every draw stays within rounding (`HOLDS`), and denied with
        the seed of a case that breaks it. The definitions are the docstrings in `LAWS`. Costs
        well under a second.
    """
    return tuple(
        Row(method.name, space, {law: _cell(method, space, law, draws) for law in LAWS})
        for method in METHODS.values()
        for space in method.spaces
    )


def _cell(method: Method, space: str, law: str, draws: int) -> Cell:
    """Decide one law by drawing cases."""
    if law in ("zero weight", "sign") and "weights" not in method.options:
        return Cell(None, f"{method.name} takes no weights")
    note = NOTES.get((method.name, law)) or NOTES.get((space, law), "")
    worst = 0.0
    for seed in range(draws):
        gap = LAWS[law](LawCase(method, space, seed))
        if gap > HOLDS:
            return Cell(False, note, seed, gap)
        worst = max(worst, gap)
    return Cell(True, "", None, worst)
