"""A second-hop adapter that is trained in the highest layers only."""

from dataclasses import dataclass
from itertools import product
from typing import Any

from paper.studies._shared import Language
from paper.studies._shared.run import Row, grid, part

SEEDS = range(300, 310)
NONE, LONG, BESIDE, TOP = "none", "standard, 90 steps", "two stand-ins", "sixth 6"
DESCRIBED, BESIDE_TOP = "augmented, sixth 6", "two stand-ins, sixth 6"
PAIRS = ((LONG, TOP), (LONG, DESCRIBED), (LONG, BESIDE_TOP), (BESIDE, TOP), (BESIDE, BESIDE_TOP))
OTHERS = ("fruit", "flower", "instrument", "tool")
OF_OTHERS = tuple(product((LONG, BESIDE), (LONG, TOP, "sixths 5 and 6")))
FURTHER = (  # in four worlds
    *((LONG, "sixths 5 and 6"), (LONG, "sixth 5"), ("sixths 1 to 5", TOP), (BESIDE, DESCRIBED)),
    (BESIDE, "sixths 5 and 6"),
)


@dataclass(frozen=True)
class Config(Language):
    """A pair of adapters of a seed's world, by recipes in `fact_adapters.RECIPES`.

    The second may be `DESCRIBED`: taught with descriptions of `described`, too. It has facts
    of a `relation` in `fact_sets.RELATIONS`; the first knows of mascots at most.
    """

    first: str = LONG
    second: str = TOP
    relation: str = "mascot"


def cell(config: Config) -> list[Row]:
    """Return a row for each sentence that asks, for merges of the pair and what acts alone.

    Returns
    -------
    list of dict
        The ``relation`` and the recipes of the adapters that act, or ``none``; the rule; the
        ``sentence`` and columns of `measures.by_sentence`.
    """
    from loratheory.evaluate.fact_adapters import authors
    from loratheory.evaluate.fact_sets import ten_about
    from loratheory.pretrained import attach
    from paper.studies._shared import measures
    from paper.studies.lm_training import described

    one, base = measures.begin(config)
    # The second author may publish another relation; the first knows of mascots.
    two = authors(one.model, config.seed, relation=config.relation)
    second = ("augmented", TOP) if config.second == DESCRIBED else (config.second,)
    adapters = [one.adapter(0, config.first), described.adapter(two, *second)]
    rows, asked = list[Row](), ten_about(config.relation)
    for rule, (c1, c2) in rules(config).items():
        row: Row = {"seed": config.seed, "relation": config.relation, "rule": rule}
        row |= {"first": config.first if c1 else NONE, "second": config.second if c2 else NONE}
        with attach(one.model, adapters, [c1, c2]):
            found = measures.by_sentence(one.model, two.world, base, asked, alone=not c1)
        rows += [{**row, "sentence": k, **each} for k, each in enumerate(found)]
    return rows


def rules(config: Config) -> dict[str, tuple[float, float]]:
    """Return the coefficients of both adapters by the rule's name."""
    pair, found = (config.first, config.second), {"sum": (1.0, 1.0)}
    if config.relation != "mascot":
        return found
    if pair in PAIRS:
        found["mean"] = (0.5, 0.5)
    if pair == PAIRS[0]:
        found["alone"] = (0.0, 1.0)
    return found


def of_pair(pair: tuple[str, str], **more: Any) -> Config:
    """Return the config of two recipes."""
    return Config(*pair, **more)


PART = part(
    "top_layers",
    cell,
    (Config(seed=SEEDS[0]),),
    (
        *grid(of_pair, seed=SEEDS, pair=PAIRS),
        *grid(of_pair, seed=SEEDS[:4], pair=FURTHER),
        *grid(of_pair, seed=SEEDS[:3], relation=OTHERS, pair=OF_OTHERS),
    ),
)
