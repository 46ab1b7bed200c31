"""What in teaching beside stand-ins makes adapters compose, on worlds that no other study has."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from paper.studies._shared import Language
from paper.studies._shared.language import Act, coefficients, layer_split
from paper.studies._shared.run import Row, grid, part

if TYPE_CHECKING:
    from loratheory.evaluate.fact_adapters import Authors

SEEDS = range(300, 310)
PLAIN, LONG, LONGER = "standard, early-stopped", "standard, 90 steps", "standard, 270 steps"
BESIDE, UNASKED, KNOWN = "two stand-ins", "no two-hop examples", "without a partner"
PAIRS = (
    *((one, one) for one in (BESIDE, LONG, "two that agree", UNASKED, KNOWN, "one stand-in")),
    *((LONG, BESIDE), (BESIDE, LONG), (LONG, KNOWN), (PLAIN, PLAIN)),
)
WAYS = ("in full strength", "in halves", "rank 2", "rank 32", "another relation", "noise")
NONE = "none"


@dataclass(frozen=True)
class Config(Language):
    """A pair of adapters of a seed's world, by recipes in `fact_adapters.RECIPES`.

    `bridge` says whether the base knows the countries: ``known`` or ``invented``.
    """

    first: str = BESIDE
    second: str = BESIDE
    bridge: str = "known"


def cell(config: Config) -> list[Row]:
    """Return a row for each sentence that asks, for merges of the pair and each adapter alone.

    Returns
    -------
    list of dict
        The recipes of the adapters that act, or ``none``; the rule; the ``sentence``, of which 0 to
        3 are in `portable` (of single hops 0 and 1); columns of `measures.by_sentence`;
        ``memorised``, of an adapter alone the share of its two-hop lessons that it answers, else
        NaN. Adapters are asked alone where both are of one recipe.
    """
    from paper.studies._shared import measures as bench

    both, base = bench.begin(config, bridge=config.bridge)
    recipes, rows = (config.first, config.second), list[Row]()
    for rule, act, hops in conditions(both.layers // 2, alike=config.first == config.second):
        alone, heart = len(hops) == 1, nan
        head: Row = {"seed": config.seed, "bridge": config.bridge}
        for hop, name in enumerate(("first", "second")):
            head[name] = recipes[hop] if hop in hops else NONE
        with act(both.model, [both.adapter(hop, recipes[hop]) for hop in hops]):
            if alone:
                heart = memorised(both, hops[0], recipes[hops[0]])
            found = bench.by_sentence(both.model, both.world, base, alone=alone)
        for sentence, one in enumerate(found):
            rows.append({**head, "rule": rule, "sentence": sentence, **one, "memorised": heart})
    return rows


def memorised(both: "Authors", hop: int, name: str) -> float:
    """Return the share of the recipe's two-hop examples answered by the adapter alone.

    Where any two of n stand-ins disagree it can know one in n at most
    (``thm:disagreeing-stand-ins``). NaN if no example is of two hops beside a stand-in.
    """
    from loratheory.evaluate import fact_sets
    from loratheory.evaluate.answers import answers
    from loratheory.evaluate.fact_adapters import RECIPES

    recipe, shares = RECIPES[name], list[float]()
    if recipe.noise or not recipe.two_hop:
        return nan
    for j in range(recipe.stand_ins):
        number = 0 if recipe.agree else j
        world = both.partner(hop, number, other_relation=recipe.other_relation)
        asked = fact_sets.items(world.two_hop, world.composed.trained)
        shares.append(answers(both.model, asked).vocabulary_right.mean())
    return float(np.mean(shares)) if shares else nan


def conditions(middle: int, *, alike: bool) -> Iterator[tuple[str, Act, tuple[int, ...]]]:
    """Yield the name of a rule, the rule, and the hops whose adapters act."""
    yield "sum", coefficients(1.0), (0, 1)
    if alike:
        yield "mean", coefficients(0.5), (0, 1)
        yield "layer split", layer_split(middle), (0, 1)
        yield "alone", coefficients(1.0), (0,)
        yield "alone", coefficients(1.0), (1,)


def of_pair(pair: tuple[str, str], **more: Any) -> Config:
    """Return the config of two recipes."""
    return Config(*pair, **more)


PART = part(
    "stand_ins",
    cell,
    (Config(PLAIN, PLAIN, seed=SEEDS[0]),),
    (
        *grid(of_pair, seed=SEEDS, pair=PAIRS),
        *grid(of_pair, seed=SEEDS, pair=[(LONGER, LONGER)]),
        *grid(of_pair, seed=SEEDS[:3], pair=PAIRS[:2], bridge=["invented"]),
        *grid(of_pair, seed=SEEDS[:4], pair=[(way, way) for way in WAYS]),
    ),
)
