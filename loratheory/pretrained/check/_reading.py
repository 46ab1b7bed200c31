"""One theorem at one place of a real model: bound and value, or the hypothesis that fails."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from loratheory.diagnosis import layer_of
from loratheory.theorems import AssumptionError, Theorem

Outcome = Literal["holds", "tight", "broken", "not applicable", "measured"]


@dataclass(frozen=True)
class Reading:
    """The result of checking one theorem at one place of a model.

    Attributes
    ----------
    label : str
        The theorem, ``thm:…``.
    module : str
        The name of the module; empty for the whole model.
    layer : int or None
        The first number in that name.
    about : str
        The adapter, pair of adapters or prompt that was checked.
    bound, value : float or None
        What the theorem predicts and what was measured; given also where a hypothesis fails, if
        they can be computed.
    outcome : {"holds", "tight", "broken", "not applicable", "measured"}
        The judge's verdict; "measured" where there is nothing to judge.
    note : str
        Which hypothesis fails, with the quantity that shows it; or what else was seen.
    """

    label: str
    module: str
    layer: int | None
    about: str
    bound: float | None
    value: float | None
    outcome: Outcome
    note: str = ""


class Place(NamedTuple):
    """A module, and whom the reading is about."""

    module: str
    about: str

    def reading(
        self,
        label: str,
        bound: float | None,
        value: float | None,
        note: str,
        outcome: Outcome = "not applicable",
    ) -> Reading:
        """The reading of these numbers here; the theorem is silent unless another is given."""
        layer = layer_of(self.module)
        return Reading(label, self.module, layer, self.about, bound, value, outcome, note)


def judged(
    theorem: Theorem[Any, Any],
    case: Any,
    witness: Any,
    place: Place,
    shown: str = "",
    note: str = "",
) -> Reading:
    """Check a theorem on a case and a witness, and return the verdict as a reading at a place.

    The outcome is ``not applicable`` exactly where the theorem's `check` raises `AssumptionError`;
    bound and value are given all the same. `shown` says, in words, which quantity shows that a
    hypothesis fails; `note` is added to other verdicts.
    """
    try:
        verdict = theorem.check(case, witness)
    except AssumptionError as error:
        verdict = theorem.judge(case, witness)
        note = f"needs {str(error).partition('it needs ')[2]}; {shown}"
        return place.reading(theorem.label, verdict.bound, verdict.value, note)
    outcome: Outcome = "broken" if not verdict.holds else "tight" if verdict.tight else "holds"
    return place.reading(theorem.label, verdict.bound, verdict.value, note, outcome)
