"""Evaluate late-layer training of the hop-2 adapter."""

from dataclasses import dataclass
from itertools import product
from typing import Any

from paper.studies._shared import Language
from paper.studies._shared.run import Row, grid, part

SEEDS = range(300, 310)
NONE, STANDARD, STAND_INS, LATE = "none", "standard, 90 steps", "two stand-ins", "sixth 6"
AUGMENTED, STAND_INS_LATE = "augmented, sixth 6", "two stand-ins, sixth 6"
PAIRS = (
    *((STANDARD, other) for other in (LATE, AUGMENTED, STAND_INS_LATE)),
    *((STAND_INS, other) for other in (LATE, STAND_INS_LATE)),
)
OTHERS = ("fruit", "flower", "instrument", "tool")
OF_OTHERS = tuple(product((STANDARD, STAND_INS), (STANDARD, LATE, "sixths 5 and 6")))
FURTHER = (  # on four fact sets
    *((STANDARD, "sixths 5 and 6"), (STANDARD, "sixth 5"), ("sixths 1 to 5", LATE)),
    *((STAND_INS, AUGMENTED), (STAND_INS, "sixths 5 and 6")),
)


@dataclass(frozen=True)
class Config(Language):
    """A pair of adapters of a seed's fact set, by conditions in `fact_adapters.CONDITIONS`.

    The condition of the second may be `AUGMENTED`, with descriptions of `described`. It has facts
    of a `relation` in `fact_sets.RELATIONS`; the stand-ins of the first have mascots.
    """

    first: str = STANDARD
    second: str = LATE
    relation: str = "mascot"


def cell(config: Config) -> list[Row]:
    """Return a row per held-out template, for merges of the pair and the second adapter alone.

    Returns
    -------
    list of dict
        The ``relation`` and the training conditions of the active adapters, or ``none``; the rule;
        the number of the ``template``; and columns of `measures.by_template`.
    """
    from loratheory.evaluate.fact_adapters import authors
    from loratheory.evaluate.fact_sets import templates_about
    from loratheory.pretrained import attach
    from paper.studies._shared import measures
    from paper.studies.lm_training import described

    one, base = measures.begin(config)
    # The second author may have another relation; the stand-ins of the first have mascots.
    two = authors(one.model, config.seed, relation=config.relation)
    second = ("augmented", LATE) if config.second == AUGMENTED else (config.second,)
    adapters = [one.adapter(0, config.first), described.adapter(two, *second)]
    rows, templates = list[Row](), templates_about(config.relation)
    for rule, (c1, c2) in rules(config).items():
        row: Row = {"seed": config.seed, "relation": config.relation, "rule": rule}
        row |= {"first": config.first if c1 else NONE, "second": config.second if c2 else NONE}
        with attach(one.model, adapters, [c1, c2]):
            found = measures.by_template(one.model, two.facts, base, templates, alone=not c1)
        rows += [{**row, "template": k, **each} for k, each in enumerate(found)]
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
    """Return the config of a pair of training conditions."""
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
