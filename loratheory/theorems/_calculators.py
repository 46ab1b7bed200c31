"""Theorems as calculators: plain numbers in, named numbers out, for ``loratheory bound``.

Keys without a default must be given. Every number is that of the theorem's own functions.
"""

from collections.abc import Callable
from functools import partial

from loratheory.theorems.composition import (
    clean_up_bridge,
    coefficient_ladder,
    context_composition,
    perturbed_region,
    template_vote,
    two_read_region,
)
from loratheory.theorems.composition._hops import OVER_OLD, PATTERNS, Pattern
from loratheory.theorems.editing import counting_ceiling, hebbian_memory, superposition_floor
from loratheory.theorems.merging import averaging_survival
from loratheory.theorems.routing import gate_detection

Values = dict[str, float]


class CalculatorError(ValueError):
    """Numbers that a theorem says nothing about."""


def _at_least(least: int, **given: int | float) -> None:
    for name, value in given.items():
        if not value >= least:
            message = f"{name} is {value}: give at least {least}"
            raise CalculatorError(message)


def _pattern(case: str) -> Pattern:
    for known in PATTERNS:
        if case.lower() == known:
            return known
    message = (
        f"there is no case {case!r}: overwrite (old facts, old bridge not edited), overwrite both "
        "(edited too), new subject (no first old fact) or new facts (no old facts)"
    )
    raise CalculatorError(message)


def two_read(hops: int = 2, case: str = "overwrite", adapters: int = 2) -> Values:
    """When edited facts answer a K-hop question, by merge coefficient and by edit strength."""
    pattern = _pattern(case)
    _at_least(1, hops=hops, adapters=adapters)
    needed = two_read_region.strength_needed(hops, adapters, pattern)
    values = {
        "threshold": two_read_region.threshold(hops, pattern),
        "strength needed under the mean": needed,
    }
    if pattern in OVER_OLD:  # elsewhere some fact has no old value and no deficit
        low, high = two_read_region.window(hops, adapters, pattern)
        values["margin for each fact alone (in deficits)"] = low
        values["margin for the K-hop answer (in deficits)"] = high
    return values


def survival(adapters: int = 2, deficit: int | float = 1.0) -> Values:
    """The margin that one edit needs alone to survive a merge of so many."""
    _at_least(1, adapters=adapters)
    if not deficit >= 0:
        message = f"deficit is {deficit}: an edit of an old fact has one of 0 or more"
        raise CalculatorError(message)
    return {
        "margin under the sum": averaging_survival.margin_needed(adapters, deficit, "sum"),
        "margin under the mean": averaging_survival.margin_needed(adapters, deficit, "mean"),
        "margin under the factor mean": averaging_survival.margin_needed(
            adapters, deficit, "factor_mean"
        ),
    }


def edits(facts: int, rank: int) -> Values:
    """How many exact independent edits a rank holds, and what the rest costs at best."""
    _at_least(1, facts=facts)
    _at_least(0, rank=rank)
    return {
        "exact independent edits": float(min(facts, rank)),
        "least relative squared error": max(facts - rank, 0) / facts,
    }


def gates(
    facts: int, width: int, threshold: int | float = 0.5, hops: int = 2, failure: int | float = 0.05
) -> Values:
    """How often a foreign adapter's gate opens, and the largest library that gates tell apart."""
    if not 1 <= facts <= width:
        message = f"{facts} facts in width {width}: give from 1 to {width} facts"
        raise CalculatorError(message)
    _at_least(1, hops=hops)
    if not 0 < failure < 1:
        message = f"failure is {failure}: give a probability in (0, 1)"
        raise CalculatorError(message)
    if not 0 < threshold < 1:
        message = f"threshold is {threshold}: own keys answer with 1, so give one in (0, 1)"
        raise CalculatorError(message)
    return {
        "false alarm": gate_detection.false_alarm(facts, width, threshold),
        "largest library": float(
            gate_detection.largest_library(facts, width, threshold, hops, failure)
        ),
    }


def perturbed(hops: int = 2, interference: int | float = 0.0, case: str = "overwrite") -> Values:
    """The coefficient from which K hops are safe from others that add so much at each read."""
    _at_least(1, hops=hops)
    return {"threshold": perturbed_region.threshold(hops, interference, _pattern(case))}


def cleaned(sharpness: int | float) -> Values:
    """The coefficient from which two hops compose over a bridge that snaps to entities."""
    return {"threshold": clean_up_bridge.threshold(sharpness)}


def coefficients(hops: int = 2) -> Values:
    """What the coefficients of K hops must multiply and add up to."""
    _at_least(1, hops=hops)
    never, enough = coefficient_ladder.sum_needed(hops)
    return {
        "product needed": coefficient_ladder.product_needed(hops),
        "sum that never suffices": never,
        "sum beyond which some split does": enough,
    }


def templates(adapters: int = 2, coefficient: float = 0.5) -> Values:
    """Which share of each adapter's solutions must take a shared step for the merge to take it."""
    _at_least(1, adapters=adapters)
    if not coefficient > 0:
        message = f"coefficient is {coefficient}: give a positive one"
        raise CalculatorError(message)
    needed = partial(template_vote.overlap_needed, adapters, coefficient)
    return {
        "overlap needed (the rest does as the base)": needed("habit"),
        "overlap needed (the rest goes its own ways)": needed("own"),
        "margin of a fact over an old one (in deficits)": 2 * coefficient - 1,
    }


def superposed(facts: int, rank: int) -> Values:
    """The least mean squared cross-talk, and the least energy, of facts held in a lower rank."""
    _at_least(1, rank=rank, facts=facts)
    return {
        "least mean squared cross-talk": superposition_floor.least_crosstalk(facts, rank),
        "least energy": superposition_floor.least_energy(facts, rank),
    }


def stored(facts: int, adapters: int, width: int, rank: int) -> Values:
    """Noise of a sum of adapters with random frozen factors, beside that of a router."""
    _at_least(1, facts=facts, adapters=adapters, width=width, rank=rank)
    return {
        "noise of the sum": hebbian_memory.merged_crosstalk(facts, adapters, width, rank),
        "noise when routed": hebbian_memory.routed_crosstalk(facts, adapters, width, rank),
    }


def counted(tokens: int, outputs: int, inputs: int, rank: int) -> Values:
    """The most facts that any adapter of this shape can store, whatever trains it."""
    _at_least(1, tokens=tokens, outputs=outputs, inputs=inputs, rank=rank)
    return {"largest memory": float(counting_ceiling.largest_memory(tokens, outputs, inputs, rank))}


def composed(things: int, width: int, precision: int, heads: int = 1) -> Values:
    """What composing functions listed in the prompt takes; facts in weights are no part of it."""
    _at_least(2, things=things)
    _at_least(1, heads=heads, width=width, precision=precision)
    shape = (things, heads, width, precision)
    return {
        "sharpness that suffices for two layers": context_composition.sharpness_needed(things),
        "error of one layer at least (cited)": context_composition.one_layer_error(*shape),
        "layers shown to be too few (cited)": float(context_composition.layers_too_few(*shape)),
    }


CALCULATORS: dict[str, Callable[..., Values]] = {
    "thm:two-read-region": two_read,
    "thm:averaging-survival": survival,
    "thm:edit-budget": edits,
    "thm:gate-detection": gates,
    "thm:perturbed-region": perturbed,
    "thm:clean-up-bridge": cleaned,
    "thm:template-vote": templates,
    "thm:coefficient-ladder": coefficients,
    "thm:context-composition": composed,
    "thm:superposition-floor": superposed,
    "thm:merged-memory": stored,
    "thm:counting-ceiling": counted,
}
"""By label; only theorems that a few plain numbers settle."""
