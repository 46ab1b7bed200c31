"""Train a hop-2 adapter with augmentation, and evaluate it with unseen hop-1 partners."""

from dataclasses import dataclass
from math import nan

from paper.studies._shared import Language
from paper.studies._shared.run import Row, grid, part

SEEDS = range(200, 210)
NONE, EARLY, STANDARD = "none", "standard, early-stopped", "standard, 90 steps"
STAND_INS, AUGMENTED, DISTILLED = "two stand-ins", "augmented", "augmented, self-distillation"


@dataclass(frozen=True)
class Config(Language):
    """Both adapters of a seed's fact set; `recipe` is the training condition of the second.

    It is a name in `fact_adapters.CONDITIONS` or in `described.SELF_DISTILLATION`.
    """

    recipe: str = AUGMENTED


def cell(config: Config) -> list[Row]:
    """Return a row for the second adapter alone, and for its sum with each first adapter.

    Returns
    -------
    list of dict
        Training conditions of the ``first`` and ``second`` adapter; columns of `measures.measured`;
        and ``portability``, the top-1 accuracy of the second adapter alone on
        `described.questions`, else NaN.
    """
    from loratheory.pretrained import attach
    from paper.studies._shared import measures
    from paper.studies.lm_training import described

    both, base = measures.begin(config)
    # The second adapter is evaluated alone and with each first adapter.
    second, rows = described.adapter(both, config.recipe), list[Row]()
    for first in (NONE, EARLY, STANDARD, STAND_INS):
        alone = first == NONE
        with attach(both.model, [second] if alone else [both.adapter(0, first), second]):
            found = measures.measured(both.model, both.facts, base)
            prompts = described.questions(both) if alone else []
            found["portability"] = measures.accuracy(both.model, prompts) if prompts else nan
        rows.append({"seed": config.seed, "first": first, "second": config.recipe, **found})
    return rows


PART = part(
    "augmentation",
    cell,
    (Config(STAND_INS, seed=SEEDS[0]),),
    grid(Config, seed=SEEDS, recipe=(AUGMENTED, STANDARD, STAND_INS, DISTILLED)),
)
