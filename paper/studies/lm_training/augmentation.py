"""A second hop that is taught by descriptions of its subjects too, beside strangers' first hops."""

from dataclasses import dataclass
from math import nan

from paper.studies._shared import Language
from paper.studies._shared.run import Row, grid, part

SEEDS = range(200, 210)
NONE, PLAIN, LONG, BESIDE = "none", "standard, early-stopped", "standard, 90 steps", "two stand-ins"
DESCRIBED, SILENT = "augmented", "augmented, self-distillation"


@dataclass(frozen=True)
class Config(Language):
    """Both adapters of a seed's world, the second one taught by a recipe.

    `recipe` is one of `fact_adapters.RECIPES`, or of `described.RECIPES`.
    """

    recipe: str = DESCRIBED


def cell(config: Config) -> list[Row]:
    """Return a row for the second adapter alone, and for its sum with each first one.

    Returns
    -------
    list of dict
        Recipes of the ``first`` and ``second`` adapter; columns of `measures.measured`; of the
        second alone ``portability``, the share right in the whole vocabulary of
        `described.questions`, else NaN.
    """
    from loratheory.pretrained import attach
    from paper.studies._shared import measures
    from paper.studies.lm_training import described

    both, base = measures.begin(config)
    # One second adapter beside each first one, and alone.
    second, rows = described.adapter(both, config.recipe), list[Row]()
    for first in (NONE, PLAIN, LONG, BESIDE):
        alone = first == NONE
        with attach(both.model, [second] if alone else [both.adapter(0, first), second]):
            found = measures.measured(both.model, both.world, base)
            asked = described.questions(both) if alone else []
            found["portability"] = measures.accuracy(both.model, asked) if asked else nan
        rows.append({"seed": config.seed, "first": first, "second": config.recipe, **found})
    return rows


PART = part(
    "augmentation",
    cell,
    (Config(BESIDE, seed=SEEDS[0]),),
    grid(Config, seed=SEEDS, recipe=(DESCRIBED, LONG, BESIDE, SILENT)),
)
