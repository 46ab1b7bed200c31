"""What to do with adapters: merge them, route, or serve each by itself; or that nobody can tell.

A method is recommended if it retains `NEEDED` of the answers of *every* adapter, with `CONFIDENCE`.
That is decided by a lower confidence bound for each adapter by itself, the exact one of Clopper and
Pearson: all bounds must be high enough, so that no correction for several adapters is due (an
intersection-union test, Berger 1982). Each bound is of one method: if neither the best merge nor
the best router retains enough, one of the two passes in up to 20% of all cases, not 10%.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from scipy.stats import binomtest

from loratheory.pretrained.metrics import Share, describe_drift

CONFIDENCE = 0.9  # one-sided
NEEDED = 0.8  # of the answers of each adapter, retained with that confidence
MOST = 200  # prompts: more are asked of nobody


@dataclass(frozen=True)
class Verdict:
    """What to do, and what that rests on."""

    kind: Literal["merge", "route", "separate", "too few prompts", "none"]
    best: str  # the method to take; empty if none is recommended
    closest: str  # the method that retains most of the adapter that loses most
    retained: float  # of every adapter by the closest method, at least, with `CONFIDENCE`
    prompts: int  # which a verdict needs of that adapter; 0 if there are enough
    reason: str  # why, in a few sentences


def lower_bound(right: int, total: int) -> float:
    """Return the share that is exceeded with `CONFIDENCE`, if `right` of `total` are observed."""
    test = binomtest(right, total, alternative="greater")
    return float(test.proportion_ci(CONFIDENCE, "exact").low)


def upper_bound(right: int, total: int) -> float:
    """Return the share that is not reached with `CONFIDENCE`."""
    return 1 - lower_bound(total - right, total)


def count_needed(part: float = 1.0) -> int:
    """Return how many prompts show that `NEEDED` is retained if this part of them is; 0 for none.

    With all answers retained 11 prompts are enough, with 90% of them 38.
    """
    for total in range(1, MOST):
        if lower_bound(int(part * total + 1e-9), total) >= NEEDED:
            return total
    return 0


def find_worst(one: Any) -> Share:
    """Return the share of the adapter of which an evaluated method retains least for sure."""
    worst: Share = min(one.kept, key=lambda share: lower_bound(share.right, share.total))
    return worst


def recommend(tried: Sequence[Any], merges: Sequence[str]) -> Verdict:
    """Return what to do, by the `advise.Evaluation` of each method; `merges` are no routers.

    The best merge and the best router have the least divergence on the prompts that choose, which
    are not those that judge. The merge is taken if it retains enough, since it costs least.
    """
    best: dict[Any, Any] = {}
    for one in sorted(tried, key=attrgetter("chosen_kl")):
        best.setdefault("merge" if one.method in merges else "route", one)
    if not best:
        return Verdict("none", "", "", 0.0, 0, "Name methods to compare.")
    ranked = []
    for kind, one in best.items():
        bound = lower_bound(find_worst(one).right, find_worst(one).total)
        # More than enough counts as enough, and then the merge comes first.
        ranked.append((min(bound, NEEDED), kind == "merge", bound, kind))
    *_, bound, kind = max(ranked)
    one, reason = best[kind], _explain(best[kind])
    if bound >= NEEDED:
        worse = kind == "route" and "merge" in best
        reason += f" {_describe(best['merge'])}." if worse else _explain_gentler(one, tried)
        return Verdict(kind, one.method, one.method, bound, 0, reason)
    reason += f" A recommendation needs {100 * NEEDED:.0f}%."
    worst, least = find_worst(one), count_needed()
    unsure = worst.total < least and upper_bound(worst.right, worst.total) >= NEEDED
    wanted = max(count_needed(worst.part), least if unsure else 0)
    if wanted:
        return Verdict("too few prompts", "", one.method, bound, wanted, reason)
    return Verdict("separate", "", one.method, bound, 0, reason + _explain_gating(tried))


def _explain_gentler(taken: Any, tried: Sequence[Any]) -> str:
    """Return which method retains enough, too, and drifts less than a third as far, if any does."""
    enough = [x for x in tried if lower_bound(find_worst(x).right, find_worst(x).total) >= NEEDED]
    least = min(enough, key=attrgetter("drift"))
    gentler = f" Or {least.method}: it retains enough and drifts {least.drift:.2g} nats per token."
    return gentler if 3 * least.drift < taken.drift else ""


def _explain_gating(tried: Sequence[Any]) -> str:
    """Return whose prompts prompt-level gating gives to another adapter, as a sentence."""
    for one in tried:
        worst = find_worst(one)
        if one.method == "prompt-level gating" and worst.part < NEEDED:
            # The adapter alone writes these texts, so another one was active.
            given = f"{worst.total - worst.right} of {worst.total} prompts of {worst.what}"
            return f" Prompt-level gating gives {given} to another adapter, which responds more."
    return ""


def _explain(one: Any) -> str:
    costs = "one adapter" if one.cost < 1.05 else f"{one.cost:.1f} adapters"
    drift = f"Drift {one.drift:.2g} nats per token: {describe_drift(one.drift)}"
    return f"{_describe(one)}. {drift}. Cost of {costs}."


def _describe(one: Any) -> str:
    worst = find_worst(one)
    bound = 100 * lower_bound(worst.right, worst.total)
    sure = f"at least {bound:.0f}% with {100 * CONFIDENCE:.0f}% confidence"
    return f"With {one.method}, {worst.what} retains {worst.right}/{worst.total} answers ({sure})"
