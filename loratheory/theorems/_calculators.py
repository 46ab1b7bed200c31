"""Theorems as calculators: plain numbers in, named numbers out, for ``loratheory bound``.

Keys without a default must be given. Every number is that of the theorem's own functions.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from loratheory.theorems.composition import (
    clean_up_bridge,
    coefficient_ladder,
    context_composition,
    least_norm_placement,
    perturbed_region,
    spread_region,
    stand_in_ceiling,
    template_vote,
    two_read_region,
)
from loratheory.theorems.composition._hops import OVER_OLD, PATTERNS, Pattern
from loratheory.theorems.editing import (
    carried_edit,
    counting_ceiling,
    hebbian_memory,
    superposition_floor,
)
from loratheory.theorems.expressiveness import attention_reach, relu_necessity
from loratheory.theorems.libraries import (
    library_capacity,
    packing_floor,
    random_interference,
    sequential_forgetting,
    sum_capacity,
)
from loratheory.theorems.merging import averaging_survival, intruder_threshold
from loratheory.theorems.routing import (
    arrow_blind_spot,
    arrow_law,
    gate_detection,
    router_limit,
    threshold_samples,
)

Values = dict[str, float]
Number = int | float


class CalculatorError(ValueError):
    """Raised for numbers that a theorem does not cover."""


def _at_least(least: Number, most: Number = math.inf, **given: Number) -> None:
    for name, value in given.items():
        if not least <= value <= most or value == math.inf:
            upto = f" and at most {most:g}" if most < math.inf else ""
            message = f"{name} is {value}: give at least {least:g}{upto}"
            raise CalculatorError(message)


def _between(low: Number, high: Number, **given: Number) -> None:
    for name, value in given.items():
        if not low < value < high:
            message = f"{name} is {value}: give one in ({low:g}, {high:g})"
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
    """Merge coefficient and edit strength above which edited facts answer a K-hop question."""
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


def survival(adapters: int = 2, deficit: Number = 1.0) -> Values:
    """Margin that an edit needs alone so that it survives a merge of this many adapters."""
    _at_least(1, adapters=adapters)
    _at_least(0, deficit=deficit)
    needed = partial(averaging_survival.margin_needed, adapters, deficit)
    return {
        "margin under the sum": needed("sum"),
        "margin under the mean": needed("mean"),
        "margin under the factor mean": needed("factor_mean"),
    }


def edits(facts: int, rank: int) -> Values:
    """How many independent edits a rank holds exactly, and the least error when there are more."""
    _at_least(1, facts=facts)
    _at_least(0, rank=rank)
    return {
        "exact independent edits": float(min(facts, rank)),
        "least relative squared error": max(facts - rank, 0) / facts,
    }


def gates(
    facts: int, width: int, threshold: Number = 0.5, hops: int = 2, failure: Number = 0.05
) -> Values:
    """How often a foreign adapter's gate opens, and the largest library that gates tell apart."""
    _at_least(1, width, facts=facts)
    _at_least(1, hops=hops)
    _between(0, 1, failure=failure)
    _between(0, 1, threshold=threshold)
    largest = gate_detection.largest_library(facts, width, threshold, hops, failure)
    return {
        "false alarm": gate_detection.false_alarm(facts, width, threshold),
        "largest library": float(largest),
    }


def perturbed(hops: int = 2, interference: Number = 0.0, case: str = "overwrite") -> Values:
    """Coefficient above which K hops are safe if others add at most `interference` a read."""
    _at_least(1, hops=hops)
    return {"threshold": perturbed_region.threshold(hops, interference, _pattern(case))}


def cleaned(sharpness: Number) -> Values:
    """Coefficient above which two hops compose if a softmax cleans up the bridge between them."""
    return {"threshold": clean_up_bridge.threshold(sharpness)}


def coefficients(hops: int = 2) -> Values:
    """Product and sum that the coefficients of K hops must exceed for the new answer to win."""
    _at_least(1, hops=hops)
    never, enough = coefficient_ladder.sum_needed(hops)
    return {
        "product needed": coefficient_ladder.product_needed(hops),
        "sum that never suffices": never,
        "sum beyond which some split does": enough,
    }


def templates(adapters: int = 2, coefficient: Number = 0.5) -> Values:
    """Share of an adapter's solutions that must take a shared step so that the merge takes it."""
    _at_least(1, adapters=adapters)
    _between(0, math.inf, coefficient=coefficient)
    needed = partial(template_vote.overlap_needed, adapters, coefficient)
    return {
        "overlap needed (the rest does as the base)": needed("habit"),
        "overlap needed (the rest goes its own ways)": needed("own"),
        "margin of a fact over an old one (in deficits)": 2 * coefficient - 1,
    }


def superposed(facts: int, rank: int) -> Values:
    """Least mean squared cross-talk, and least energy, of facts that are stored in a low rank."""
    _at_least(1, rank=rank, facts=facts)
    return {
        "least mean squared cross-talk": superposition_floor.least_crosstalk(facts, rank),
        "least energy": superposition_floor.least_energy(facts, rank),
    }


def stored(facts: int, adapters: int, width: int, rank: int) -> Values:
    """Noise in a sum of adapters with random frozen factors, and noise if a router picks one."""
    _at_least(1, facts=facts, adapters=adapters, width=width, rank=rank)
    return {
        "noise of the sum": hebbian_memory.merged_crosstalk(facts, adapters, width, rank),
        "noise when routed": hebbian_memory.routed_crosstalk(facts, adapters, width, rank),
    }


def counted(tokens: int, outputs: int, inputs: int, rank: int) -> Values:
    """The most facts that any adapter of this shape can store, however it is trained."""
    _at_least(1, tokens=tokens, outputs=outputs, inputs=inputs, rank=rank)
    return {"largest memory": float(counting_ceiling.largest_memory(tokens, outputs, inputs, rank))}


def composed(things: int, width: int, precision: int, heads: int = 1) -> Values:
    """What composing two functions takes if both are listed in the prompt, not held in weights."""
    _at_least(2, things=things)
    _at_least(1, heads=heads, width=width, precision=precision)
    shape = (things, heads, width, precision)
    return {
        "sharpness that suffices for two layers": context_composition.sharpness_needed(things),
        "error of one layer at least (cited)": context_composition.one_layer_error(*shape),
        "layers shown to be too few (cited)": float(context_composition.layers_too_few(*shape)),
    }


def heads(change: int, beyond_keys: int = 0, beyond_queries: int = 0) -> Values:
    """Rank that query and key adapters need to give an attention head another score form."""
    _at_least(0, change=change, beyond_keys=beyond_keys, beyond_queries=beyond_queries)
    needed = attention_reach.rank_needed(change, beyond_keys, beyond_queries)
    return {"rank needed, of queries and of keys": float(needed)}


def units(directions: int, layers: int = 1) -> Values:
    """Rank that each adapted layer needs if the base misses this many directions of the target."""
    _at_least(0, directions=directions)
    _at_least(1, layers=layers)
    return {"rank needed in each layer": float(relu_necessity.rank_needed(directions, layers))}


def packed(adapters: int, rank: int, width: int) -> Values:
    """How far the row spaces of a library must overlap, as a share of the rank."""
    _at_least(2, adapters=adapters)
    _at_least(1, width, rank=rank)
    return {
        "least mean overlap": packing_floor.least_overlap(adapters, rank, width),
        "overlap of unrelated row spaces": rank / width,
        "adapters without any overlap": float(width // rank),
        "kept by a sum of equal, orthogonal answers, at most": min(1.0, width / (adapters * rank)),
    }


def summed(
    width: int, margin: Number = 1.0, size: Number = 1.0, failure: Number = 0.05, tokens: int = 1
) -> Values:
    """How many foreign adapters a sum can hold before it overturns a margin too often."""
    _at_least(1, width=width, tokens=tokens)
    _between(0, math.inf, margin=margin, size=size)
    _between(0, 0.5, failure=failure)
    most = sum_capacity.largest_sum(width, margin, size, failure)
    least = random_interference.largest_library(width, margin, size, tokens, failure) - 1
    return {
        "foreign adapters at right angles, at most": float(most),
        "failure with so many": sum_capacity.failure(size * most**0.5, width, margin),
        "foreign adapters turned at random, at least": float(least),
    }


def forgotten(width: int, rank: int, later: int = 1) -> Values:
    """What remains of an adapter's facts after later adapters that were each trained on top."""
    _at_least(0, later=later)
    _at_least(1, width, rank=rank)
    case = sequential_forgetting.Case(width, rank, later)
    apart = replace(case, apart=True)
    return {
        "answer left": sequential_forgetting.bound(case),
        "energy of foreign answers": sequential_forgetting.gathered(case),
        "the same, trained apart and added": sequential_forgetting.gathered(apart),
        "squared error": sequential_forgetting.expected_error(case),
    }


def carried(margin: Number, distance: Number, change: Number) -> Values:
    """How far a state may move before its edit fails, and how many edits a new base overturns."""
    _between(0, math.inf, margin=margin, distance=distance)
    _at_least(0, change=change)
    radius = carried_edit.radius_of(margin, distance)
    most = math.floor((change / radius) ** 2)
    return {
        "movement of the state that it bears": radius,
        "such edits that a change of this norm overturns, at most": most,
    }


def clean(adapters: int, facts: int, width: int, threshold: Number = 0.5, hops: int = 2) -> Values:
    """How often no wrong gate of a library opens, and how much energy foreign adapters add."""
    _at_least(1, adapters=adapters, hops=hops)
    _at_least(1, width, facts=facts)
    _between(0, 1, threshold=threshold)
    energy = partial(library_capacity.interference, adapters, facts, width)
    return {
        "no wrong gate, at least": library_capacity.clean(adapters, facts, width, threshold, hops),
        "foreign energy through gates": energy(threshold),
        "foreign energy of the plain sum": energy(),
    }


def routed(adapters: int, strength: Number, cosine: Number = 0.0) -> Values:
    """How often the best possible router finds the adapter that an input belongs to."""
    _at_least(1, adapters=adapters)
    _at_least(0, strength=strength)
    _at_least(-1 / max(adapters - 1, 1), 1, cosine=cosine)  # so far from each other can K keys be
    signal = strength**2 * (1 - cosine) / adapters
    return {
        "accuracy, at most": router_limit.accuracy(adapters, strength, cosine),
        "chance": 1 / adapters,
        "nats that inputs say of their adapter, at most": (adapters - 1) / 2 * math.log1p(signal),
    }


def calibrated(samples: int, rate: Number, order: int = 1, doubt: Number = 0.05) -> Values:
    """How surely a threshold set from foreign samples keeps a gate's false alarms below a rate."""
    _at_least(1, order=order)
    _at_least(order, samples=samples)
    _between(0, 1, rate=rate, doubt=doubt)
    exceeding = threshold_samples.exceedance(samples, order, rate)
    needed = threshold_samples.samples_needed(order, rate, doubt)
    return {
        "probability that alarms exceed the rate": exceeding,
        "samples needed for this doubt": float(needed),
    }


def arrows(adapters: int, facts: int = 1) -> Values:
    """How often Arrow finds the adapter of an edited key when keys and outputs are orthonormal."""
    _at_least(1, adapters=adapters, facts=facts)
    return {"accuracy": arrow_blind_spot.accuracy(facts, adapters), "chance": 1 / adapters}


def faint(adapters: int, strength: Number) -> Values:
    """How often Arrow finds a key's adapter, by the key's strength relative to the strongest."""
    _at_least(1, adapters=adapters)
    _at_least(0, 1, strength=strength)
    return {"accuracy": arrow_law.accuracy(adapters, strength), "chance": 1 / adapters}


def intruding(strength: Number, coefficient: Number = 1.0) -> Values:
    """How much a merged edit stands out from a Gaussian base with entries of variance 1/d."""
    _between(0, math.inf, strength=strength, coefficient=coefficient)
    overlap = intruder_threshold.overlap(strength, coefficient)
    return {
        "squared overlap with the top singular vector": overlap,
        "top singular value": intruder_threshold.top_singular_value(strength, coefficient),
    }


def spread(reads: int = 3) -> Values:
    """Coefficient above which two edits compose if each is spread evenly over the reads."""
    _at_least(2, reads=reads)
    return {
        "spread over reads, facts first and last": spread_region.border(reads),
        "each in a read of its own": two_read_region.threshold(2),
    }


def placed(early: Number, late: Number, resemblance: Number = 1.0) -> Values:
    """In which reads single-hop lessons place a fact, by key energy times learning rate."""
    _between(0, math.inf, early=early, late=late)
    key = np.ones((1, 1))
    case = least_norm_placement.Case(
        (key, key), (key[0], resemblance * key[0]), (early, late), early=1
    )
    return {
        "share of the late reads": least_norm_placement.shares(case)[1],
        "answer to the two-hop question": float(least_norm_placement.weights(case)[0]),
    }


def taught(stand_ins: int, heard: int = 1, nats: Number = 0.0) -> Values:
    """Best accuracy and loss of an adapter that is trained beside stand-ins that disagree."""
    _at_least(1, stand_ins=stand_ins, heard=heard)
    _at_least(0, nats=nats)
    says = tuple((j,) for j in range(stand_ins))
    even = np.full((stand_ins, 1), 1 / stand_ins)
    lessons = stand_in_ceiling.Case(np.ones(1), even, says, heard)
    return {
        "accuracy, at most": stand_in_ceiling.bound(lessons),
        "cross-entropy in nats, at least": max(0.0, lessons.entropy - nats),
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
    "thm:attention-reach": heads,
    "thm:relu-necessity": units,
    "thm:packing-floor": packed,
    "thm:sum-capacity": summed,
    "thm:sequential-forgetting": forgotten,
    "thm:carried-edit": carried,
    "thm:library-capacity": clean,
    "thm:router-limit": routed,
    "thm:threshold-samples": calibrated,
    "thm:arrow-blind-spot": arrows,
    "thm:arrow-law": faint,
    "thm:intruder-threshold": intruding,
    "thm:even-edits": spread,
    "thm:least-norm-placement": placed,
    "thm:disagreeing-stand-ins": taught,
}
"""Calculators by theorem label, for theorems whose bounds depend on a few plain numbers only."""
