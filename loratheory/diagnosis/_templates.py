"""What adapters were taught in common, in sentences, each with its record in the experiments."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from loratheory.diagnosis._findings import Finding

SAID = {
    "overlap": "of their solution templates are in both training sets",
    "read": "is the likeness of what they read (cosine of the Gram matrices, mean over modules)",
    "write": "is the likeness of what they write (cosine of the Gram matrices, mean over modules)",
    "agreement": "of the prompts get the same next token from each adapter alone",
}
"""What each measure says, after its percentage."""
LABEL = "thm:template-vote"


@dataclass(frozen=True)
class Record:
    """How a measure did where reuse was measured too.

    Attributes
    ----------
    threshold : float
        Chosen on one pair of skills: pairs of adapters at or above it are expected to compose.
    above, below : tuple of two int
        How many of them composed, and how many there were; all pairs.
    low, high : float
        Interval for the share of those above, at 95 %.
    right, majority, held_out : int
        On the pairs of skills that the threshold was not chosen on: how often it was right, how
        often the more frequent outcome was, and how many there were.
    """

    threshold: float
    above: tuple[int, int]
    below: tuple[int, int]
    low: float
    high: float
    right: int
    majority: int
    held_out: int

    def __str__(self) -> str:
        """The record as a sentence."""
        share = f"{100 * self.low:.0f} to {100 * self.high:.0f} %"
        above = (
            f"{self.above[0]} of {self.above[1]} pairs from {100 * self.threshold:.3g} % on "
            f"composed (interval {share})"
            if self.above[1]
            else f"no pair reached {100 * self.threshold:.3g} %"
        )
        return (
            f"In our experiments {above}, below it {self.below[0]} of {self.below[1]}; on skills "
            f"that this threshold was not chosen on it was right {self.right} times of "
            f"{self.held_out}, the more frequent outcome {self.majority} times (small "
            "transformers, arithmetic modulo 7; to compose meant to solve a quarter of the "
            "problems, a bar set after the run, and with a higher one no measure beat the more "
            "frequent outcome)."
        )


@cache
def records() -> dict[str, Record]:
    """Return the record of each measure, as the experiment `label_free_prediction` found it."""
    text = (files("loratheory.diagnosis") / "reliability.json").read_text()
    told = json.loads(text)
    return {
        name: Record(**{**one, "above": tuple(one["above"]), "below": tuple(one["below"])})
        for name, one in told.items()
    }


def template_findings(
    names: Sequence[str], measured: Mapping[str, Mapping[tuple[int, int], float]]
) -> tuple[Finding, ...]:
    """Return a finding for each measure and pair of adapters.

    Parameters
    ----------
    names : sequence of str
        Of the adapters.
    measured : mapping
        From a measure, of `SAID`, to its value for each pair of places in `names`.

    Returns
    -------
    tuple of Finding
        Of the kind ``shared``; the record of a measure is told with its last pair.
    """
    found = []
    for measure, values in measured.items():
        pairs = list(values.items())
        for place, ((i, j), value) in enumerate(pairs, start=1):
            text = f"{names[i]} and {names[j]}: {100 * value:.3g} % {SAID[measure]}."
            if place == len(pairs) and measure in records():
                text = f"{text} {records()[measure]}"
            found.append(Finding("shared", text, LABEL))
    return tuple(found)
