"""Numbers turned into sentences, each with the theorem or the record of measurements behind it."""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from statistics import median
from typing import Any, Literal

from loratheory.diagnosis._module import ModuleDiagnosis
from loratheory.theorems.composition import two_read_region
from loratheory.theorems.merging import averaging_survival
from loratheory.theorems.routing import gates

Kind = Literal["measured", "needed", "unknown", "shared"]
Names = Sequence[str]
Modules = Sequence[ModuleDiagnosis]

GATE_THRESHOLD, GATE_FAILURE = 0.5, 0.05
ROUNDING = 1e-12
LARGE = 0.5
"""Cross-talk above this counts as large: half of the disturbed adapter's own largest output."""


@dataclass(frozen=True)
class Finding:
    """One sentence about the adapters, the theorem it rests on, and what sort of sentence it is.

    It is ``measured`` on the weights, ``needed``: a condition that a merge must meet, ``unknown``:
    what weights cannot tell, or ``shared``: what adapters have in common, and how well such
    measures predicted reuse.
    """

    kind: Kind
    text: str
    label: str  #: The theorem, ``thm:…``.


def findings(names: Names, modules: Modules) -> tuple[Finding, ...]:
    """Return what follows for these adapters: what is measured, then needed, then unknown."""
    return tuple(
        Finding(kind, text, label) for kind, label, rule in _RULES for text in rule(names, modules)
    )


def _all(names: Sequence[str]) -> str:
    return "both" if len(names) == 2 else f"all {len(names)}"


def _percent(share: float) -> str:
    return f"{100 * share if share > ROUNDING else 0:.3g} %"


def _overlap(names: Names, modules: Modules) -> Iterator[str]:
    both = [m for m in modules if sum(rank > 0 for rank in m.ranks) > 1]
    if not both:
        yield "No module is changed by two adapters: in weights they do not disturb each other."
        return
    worst = max(both, key=lambda m: m.crosstalk)
    reader, other = (names[place] for place in worst.pair)
    large = sum(m.crosstalk > LARGE for m in both)
    yield (
        f"To some input that {reader} reads, {other} answers with {_percent(worst.crosstalk)} of "
        f"{reader}'s own largest answer in the worst module, {worst.module} (bound "
        f"{_percent(worst.ceiling)}). Over the {len(both)} shared modules, in the worse "
        f"direction each, the median is {_percent(median(m.crosstalk for m in both))}, and "
        f"{large} exceed {_percent(LARGE)}."
    )


def _floor(names: Names, modules: Modules) -> Iterator[str]:
    rank = 2 ** (max(max(m.ranks) for m in modules) - 1).bit_length()
    energy = sum(m.energy for m in modules) or 1.0
    free = sum(m.energy * m.floors[-1][1] for m in modules) / energy
    least = sum(
        m.energy * next((f for r, f in m.floors if r >= rank), m.floors[-1][1]) for m in modules
    )
    yield (
        f"The mean squared distance of any one adapter to {_all(names)} is at least "
        f"{_percent(free)} of their mean energy, whatever its rank, and at least "
        f"{_percent(least / energy)} with rank {rank} in every module. This is a distance between "
        "weights, not between answers."
    )


def _gauge(_: Names, modules: Modules) -> Iterator[str]:
    gaps = [m.gauge_gap for m in modules if m.gauge_gap is not None]
    if len(gaps) < len(modules):
        count = len(modules) - len(gaps)
        yield (
            f"In {count} of {len(modules)} modules the adapters' ranks differ: averaging factors "
            "(factor-mean, factor-linear) is not defined there; average the updates instead."
        )
    if gaps and max(gaps) > 1e-6:
        yield (
            "Averaging factors is ill-defined here: the same updates in balanced factors give a "
            f"merge that differs by {_percent(median(gaps))} (median), {_percent(max(gaps))} "
            "(worst) of its norm. mean, sum, cat and svd do not depend on how updates are "
            "written."
        )


def _arrow(names: Names, modules: Modules) -> Iterator[str]:
    changed = [
        [m.arrow_blind[place] for m in modules if m.ranks[place]] for place in range(len(names))
    ]
    blind = [median(shares or [0.0]) for shares in changed]
    gaps = [g for m in modules for g, rank in zip(m.arrow_gap, m.ranks, strict=True) if rank > 1]
    worst = max(range(len(blind)), key=blind.__getitem__)
    yield (
        f"Arrow knows one direction of each adapter in a module: {_percent(blind[worst])} of the "
        f"energy of {names[worst]} (median over the modules it changes) lies outside it, and an "
        "edited key orthogonal to the direction scores exactly 0."
    )
    flat = sum(gap < 0.05 for gap in gaps)
    if flat:
        yield (
            f"{flat} of {len(gaps)} Arrow prototypes are poorly determined: the second singular "
            "value is within 5 % of the first, so that a few power iterations miss it."
        )


def _averaging(names: Names, _: Modules) -> Iterator[str]:
    count = len(names)
    mean, factors = (
        averaging_survival.margin_needed(count, 1.0, rule) for rule in ("mean", "factor_mean")
    )
    yield (
        f"Under the mean of {count}, undisturbed, an edit beats a competitor iff its margin over "
        f"it exceeds {mean:g} times the deficit it had to it before ({factors:g} times where "
        "factors are averaged, before cross terms); under the sum any positive margin will do."
    )


def _composing(names: Names, _: Modules) -> Iterator[str]:
    count = len(names)
    old, both, subject = (
        two_read_region.strength_needed(2, count, pattern)
        for pattern in ("overwrite", "overwrite both", "new subject")
    )
    yield (
        f"Two edits of equal strength compose under the mean of {count}, undisturbed, iff it "
        f"exceeds {old:.4g} if the old bridge was not edited (overwrite), {both:.4g} if it was "
        f"(overwrite both), {subject:.4g} if there was no first old fact (new subject), and always "
        "if there were no old facts (new facts); strength 1 replaces an old value exactly. "
        "Margins and deficits are read from the model's logits, not from these weights; which "
        "case holds, from the training data."
    )


def _gates(names: Names, modules: Modules) -> Iterator[str]:
    facts, width = max(max(m.ranks) for m in modules), min(m.inputs for m in modules)
    if not 0 < facts < width:
        return
    size = gates.largest_library(facts, width, GATE_THRESHOLD, hops=2, failure=GATE_FAILURE)
    count = f"{size:,.0f}" if size < 1e6 else "more than a million"
    enough = "enough for" if size >= len(names) else "too few for"
    yield (
        f"If each adapter held {facts} exact edits of independent Gaussian keys in dimension "
        f"{width}, calibrated gates (threshold {GATE_THRESHOLD:g}, two hops, failure "
        f"{GATE_FAILURE:g}) could tell apart a library of {count}: {enough} these "
        f"{len(names)}. Real keys are not Gaussian: calibrate on base activations."
    )


def _reach(_: Names, __: Modules) -> Iterator[str]:
    yield (
        "Whether a two-hop answer can be reached at all: if both facts are read in one place and "
        "the base does not hold the bridge, no merge made from weights alone beats chance, on "
        "average over the unknown bridge."
    )


def _strengths(_: Names, __: Modules) -> Iterator[str]:
    yield (
        "Whether the base knows the bridge entity, in which layers the model reads each hop, and "
        "how strong each edit is: measure single-hop margins and two-hop answers on the model."
    )


def _inputs(_: Names, __: Modules) -> Iterator[str]:
    yield (
        "Whether the inputs that matter lie in the row spaces above: the angles bound only what "
        "happens to inputs that do."
    )


_RULES: tuple[tuple[Kind, str, Callable[[Names, Modules], Iterator[str]]], ...] = (
    ("measured", "thm:interference-angle", _overlap),
    ("measured", "thm:merge-floor", _floor),
    ("measured", "thm:factor-mean-residual", _gauge),
    ("measured", "thm:arrow-blind-spot", _arrow),
    ("needed", "thm:averaging-survival", _averaging),
    ("needed", "thm:two-read-region", _composing),
    ("needed", "thm:gate-detection", _gates),
    ("unknown", "thm:single-read-no-go", _reach),
    ("unknown", "thm:two-read-region", _strengths),
    ("unknown", "thm:interference-angle", _inputs),
)

MEASURES = {
    "overlap": "of their solution templates are in both training sets",
    "read": "is the likeness of what they read (cosine of the Gram matrices, mean over modules)",
    "write": "is the likeness of what they write (cosine of the Gram matrices, mean over modules)",
    "agreement": "of the prompts get the same next token from each adapter alone",
}
"""What each measure says, after its percentage."""
LABEL = "thm:template-vote"


@dataclass(frozen=True)
class Record:
    """How well a measure predicted, in our experiments, which pairs of adapters compose."""

    threshold: float
    """Adapters at or above it are expected to compose; it was chosen on all pairs of adapters."""
    above: tuple[int, int]  #: How many pairs at or above the threshold composed, of how many.
    below: tuple[int, int]  #: How many pairs below the threshold composed, of how many.
    low: float  #: Lower end of the 95 % interval for the share in `above`.
    high: float  #: Upper end of that interval.
    right: int  #: How many predictions were right, by thresholds from other skills and bases.
    majority: int  #: How many always predicting the more frequent outcome gets right there.
    held_out: int  #: How many predictions there were.

    def __str__(self) -> str:
        """The record as a sentence."""
        share = f"{100 * self.low:.0f} to {100 * self.high:.0f} %"
        above = (
            f"{self.above[0]} of {self.above[1]} pairs from {100 * self.threshold:.3g} % on "
            f"composed (interval {share})"
            if self.above[1]
            else f"no pair reached {100 * self.threshold:.3g} %"
        )
        below = f", below it {self.below[0]} of {self.below[1]}" if self.below[1] else ""
        return (
            f"In our experiments {above}{below}; with a "
            f"threshold from other skills and bases the measure was right {self.right} times of "
            f"{self.held_out}, the more frequent outcome {self.majority} times (small "
            "transformers, arithmetic modulo 7; to compose meant to solve half of the problems)."
        )


@cache
def records() -> dict[str, Record]:
    """Return by measure how well it predicted reuse, from the study `label_free_prediction`."""
    stored = json.loads((files("loratheory.diagnosis") / "reliability.json").read_text())
    for one in stored.values():
        one |= {key: tuple(one[key]) for key in ("above", "below")}
    return {name: Record(**one) for name, one in stored.items()}


@cache
def _library() -> dict[str, Any]:
    """What the study `real_library` found, by way of merging."""
    found: dict[str, Any] = json.loads((files("loratheory.diagnosis") / "library.json").read_text())
    return found


LIBRARY = "one library of 24 on SmolLM2-135M with one seed"
"""Where the numbers of `library_record` and `kept_beside` come from."""


def library_record() -> str:
    """Return what the study `real_library` found of pairs of its own adapters, in sentences."""
    mean, total = _library()["mean"], _library()["sum"]

    def _told(measure: str) -> str:
        each = [[f"{100 * share:.0f}" for share in way[measure]] for way in (mean, total)]
        return " and ".join(f"{auc} % ({low} to {high})" for auc, low, high in each)

    return (
        f"What one study found of other adapters, {LIBRARY}: "
        f"in {mean['kept']} of {mean['pairs']} pairs under the mean and {total['kept']} under the "
        "sum both kept nine tenths of what they answer alone. An adapter that lost more was told "
        "from one that did not, of equal learning rates, by cross-talk in "
        f"{_told('crosstalk')} of comparisons under mean and sum, where a coin is right in half; "
        f"by the overlap of what both read in {_told('overlap')}; by the merge itself on a dozen "
        f"prompts of each, without answers, in {_told('kl')}. Intervals are over these adapters, "
        "drawn again. To measure yours: `loratheory advise FOLDER FOLDER --prompts FILE`."
    )


def kept_beside(leak: float, way: Literal["mean", "sum"] = "sum") -> dict[str, float]:
    """Return what adapters of the study `real_library` kept in a merge with such a partner.

    Parameters
    ----------
    leak : float
        What the partner leaks on ordinary sentences, in nats a token.
    way : {"mean", "sum"}
        The merge.

    Returns
    -------
    dict
        Means over the ``count`` adapters whose partners leaked between ``low`` and ``high``: the
        share ``kept`` of what each answers alone, and the share of them that ``lost`` more than a
        tenth of it. The last range stands for all larger leaks too.
    """
    rows = _library()[way]["beside"]
    ends = [row[0] for row in rows]
    place = min(bisect_left(ends, leak), len(rows) - 1)
    high, count, kept, lost = rows[place]
    low = ends[place - 1] if place else 0.0
    return {"low": low, "high": high, "count": count, "kept": kept, "lost": lost}


def template_findings(
    names: Sequence[str], measured: Mapping[str, Mapping[tuple[int, int], float]]
) -> tuple[Finding, ...]:
    """Return one finding for each measure (a key of `MEASURES`) and pair of adapters.

    `measured` holds for each measure its value by pair of positions in `names`; the finding of its
    last pair also gives the measure's record.
    """
    sentences = []
    for measure, values in measured.items():
        pairs = list(values.items())
        for place, ((i, j), value) in enumerate(pairs, start=1):
            text = f"{names[i]} and {names[j]}: {100 * value:.3g} % {MEASURES[measure]}."
            if place == len(pairs) and measure in records():
                text = f"{text} {records()[measure]}"
            sentences.append(Finding("shared", text, LABEL))
    return tuple(sentences)
