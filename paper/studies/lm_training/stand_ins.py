"""Ablate stand-in training, on ten fact sets that no other study has."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from paper.studies._shared import Language
from paper.studies._shared.language import Method, coefficients, layer_split
from paper.studies._shared.run import Row, grid, part

if TYPE_CHECKING:
    from loratheory.evaluate.fact_adapters import Authors

SEEDS = range(300, 310)
EARLY, STANDARD, LONGER = "standard, early-stopped", "standard, 90 steps", "standard, 270 steps"
STAND_INS, NO_TWO_HOP, NO_PARTNER = "two stand-ins", "no two-hop examples", "without a partner"
ALIKE = (STAND_INS, STANDARD, "two that agree", NO_TWO_HOP, NO_PARTNER, "one stand-in")
PAIRS = (
    *((condition, condition) for condition in ALIKE),
    *((STANDARD, STAND_INS), (STAND_INS, STANDARD), (STANDARD, NO_PARTNER), (EARLY, EARLY)),
)
VARIANTS = ("in full strength", "in halves", "rank 2", "rank 32", "another relation", "noise")
NONE = "none"


@dataclass(frozen=True)
class Config(Language):
    """A pair of adapters of a seed's fact set, by conditions in `fact_adapters.CONDITIONS`.

    `bridge` is ``known`` if the base knows the countries, else ``invented``.
    """

    first: str = STAND_INS
    second: str = STAND_INS
    bridge: str = "known"


def cell(config: Config) -> list[Row]:
    """Return a row per held-out template, for merges of the pair and for each adapter alone.

    Returns
    -------
    list of dict
        The training conditions of the active adapters, or ``none``; the rule; the ``template``, the
        number of the template, of which 0 to 3 are in `FEW` (for single hops 0 and 1); columns of
        `measures.by_template`; and ``memorised``, for an adapter alone the accuracy on its two-hop
        examples, else NaN. Adapters are evaluated alone if both have one condition.
    """
    from paper.studies._shared import measures as bench

    both, base = bench.begin(config, bridge=config.bridge)
    names, rows = (config.first, config.second), list[Row]()
    for rule, method, hops in conditions(both.layers // 2, alike=config.first == config.second):
        alone, share = len(hops) == 1, nan
        head: Row = {"seed": config.seed, "bridge": config.bridge}
        for hop, name in enumerate(("first", "second")):
            head[name] = names[hop] if hop in hops else NONE
        with method(both.model, [both.adapter(hop, names[hop]) for hop in hops]):
            if alone:
                share = memorised(both, hops[0], names[hops[0]])
            found = bench.by_template(both.model, both.facts, base, alone=alone)
        for template, one in enumerate(found):
            rows.append({**head, "rule": rule, "template": template, **one, "memorised": share})
    return rows


def memorised(both: "Authors", hop: int, name: str) -> float:
    """Return the accuracy of the adapter alone on the two-hop examples of its training set.

    With n disagreeing stand-ins it is at most 1/n (``thm:disagreeing-stand-ins``). NaN if the
    training set has no two-hop examples with a stand-in.
    """
    from loratheory.evaluate import fact_sets
    from loratheory.evaluate.answers import answers
    from loratheory.evaluate.fact_adapters import CONDITIONS

    condition, shares = CONDITIONS[name], list[float]()
    if condition.noise or not condition.two_hop:
        return nan
    for j in range(condition.stand_ins):
        number = 0 if condition.agree else j
        facts = both.partner(hop, number, other_relation=condition.other_relation)
        prompts = fact_sets.items(facts.two_hop, facts.composed.trained)
        shares.append(answers(both.model, prompts).vocabulary_right.mean())
    return float(np.mean(shares)) if shares else nan


def conditions(middle: int, *, alike: bool) -> Iterator[tuple[str, Method, tuple[int, ...]]]:
    """Yield the name of a method, the method, and the hops of the active adapters."""
    yield "sum", coefficients(1.0), (0, 1)
    if alike:
        yield "mean", coefficients(0.5), (0, 1)
        yield "layer split", layer_split(middle), (0, 1)
        yield "alone", coefficients(1.0), (0,)
        yield "alone", coefficients(1.0), (1,)


def of_pair(pair: tuple[str, str], **more: Any) -> Config:
    """Return the config of a pair of training conditions."""
    return Config(*pair, **more)


PART = part(
    "stand_ins",
    cell,
    (Config(EARLY, EARLY, seed=SEEDS[0]),),
    (
        *grid(of_pair, seed=SEEDS, pair=PAIRS),
        *grid(of_pair, seed=SEEDS, pair=[(LONGER, LONGER)]),
        *grid(of_pair, seed=SEEDS[:3], pair=PAIRS[:2], bridge=["invented"]),
        *grid(of_pair, seed=SEEDS[:4], pair=[(variant, variant) for variant in VARIANTS]),
    ),
)
