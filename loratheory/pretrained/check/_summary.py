"""Many readings as a few lines: what was asked, how often the theorem spoke, what it said."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from loratheory.pretrained.check._reading import Reading

BASE = "Is the base weight noise? (largest singular value)"
QUESTIONS = {
    "thm:intruder-threshold": "Does an adapter top the weight? (squared overlap)",
    "thm:merge-floor": "How near can one adapter come to all? (mean squared distance)",
    "thm:rank-subadditivity": "Which rank has the sum? (at least)",
    "thm:factor-mean-residual": "What does averaging factors miss? (squared distance)",
    "thm:covariance-floor": "What must one for all miss on inputs? (squared error)",
    "thm:interference-angle": "What does one answer to what others read? (output / input)",
    "thm:arrow-margin": "Does Arrow send the nearest token right? (margin)",
    "thm:arrow-blind-spot": "How many edited keys does Arrow send right? (share)",
    "thm:score-change-rank": "By which rank do attention scores move? (at most)",
    "thm:averaging-survival": "Does a fact survive the merge? (margin in logits)",
    "thm:two-read-region": "Do two facts compose in the merge? (margin, in deficits)",
}


@dataclass(frozen=True)
class Line:
    """What one theorem said of the whole model.

    Attributes
    ----------
    label, question : str
        The theorem, and what it was asked, in plain words.
    places : int
        How many readings there are.
    holds, tight, broken, silent : int
        How many the judge found so; `holds` includes `tight`.
    bound, value : float or None
        Medians of what was predicted and measured, silent readings included. None for margins:
        one median over adapters and rules of reuse would hide which of them lose what; `Kept` says.
    agree : float or None
        Share of readings whose predicted and measured signs are equal; margins only.
    why : str
        The commonest kind of note, from its first reading.
    """

    label: str
    question: str
    places: int
    holds: int
    tight: int
    broken: int
    silent: int
    bound: float | None
    value: float | None
    agree: float | None
    why: str


SIGNED = ("thm:averaging-survival", "thm:two-read-region")


def summary(readings: Sequence[Reading]) -> tuple[Line, ...]:
    """Return one line a theorem, in the order of `QUESTIONS`, the base weights first.

    Parameters
    ----------
    readings : sequence of Reading
        Of one `ModelCheck`.

    Returns
    -------
    tuple of Line
        None for theorems without a reading.
    """
    base = [reading for reading in readings if reading.outcome == "measured"]
    rest = [reading for reading in readings if reading.outcome != "measured"]
    groups = [(BASE, base)] if base else []
    for label, question in QUESTIONS.items():
        here = [reading for reading in rest if reading.label == label]
        groups += [(question, here)] if here else []
    return tuple(_line(question, here) for question, here in groups)


def _line(question: str, here: Sequence[Reading]) -> Line:
    pairs = [(r.bound, r.value) for r in here if r.bound is not None and r.value is not None]
    outcomes = [reading.outcome for reading in here]
    notes = [r.note for r in here if r.outcome in ("not applicable", "measured")]
    label = here[0].label
    medians = pairs if label not in SIGNED else []
    return Line(
        label=label,
        question=question,
        places=len(here),
        holds=outcomes.count("holds") + outcomes.count("tight"),
        tight=outcomes.count("tight"),
        broken=outcomes.count("broken"),
        silent=outcomes.count("not applicable"),
        bound=median(bound for bound, _ in medians) if medians else None,
        value=median(value for _, value in medians) if medians else None,
        agree=sum((b > 0) == (v > 0) for b, v in pairs) / len(pairs)
        if pairs and label in SIGNED
        else None,
        why=_commonest(notes or [here[0].note]),
    )


def _commonest(notes: Sequence[str]) -> str:
    """The first note whose beginning, before any number, most others share."""
    heads = [note.partition(";")[0].rstrip("0123456789 ×.") for note in notes]
    return notes[heads.index(max(heads, key=heads.count))]
