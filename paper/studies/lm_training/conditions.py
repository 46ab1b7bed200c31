"""Adapters trained apart, each with stand-ins for a partner yet unknown, and added."""

from collections.abc import Iterator
from dataclasses import dataclass

from paper.studies._shared import Language
from paper.studies._shared.language import coefficients, layer_split
from paper.studies._shared.run import Row, grid, part

RECIPES = ("standard, early-stopped", "standard, 90 steps", "partner not kept", "two stand-ins")
NUMBERS = ("three stand-ins", "one stand-in")
SEEDS = range(200, 210)
SPLIT, NONE = "layer split", "none"
HEAD = ("first", "second", "rule", "coefficient")


@dataclass(frozen=True)
class Config(Language):
    """The adapters of both hops of a seed's world, by a `recipe` in `fact_adapters.RECIPES`."""

    recipe: str = "standard, early-stopped"


def cell(config: Config) -> list[Row]:
    """Return a row for each use of the pair: together, with a plain partner, and each alone.

    Returns
    -------
    list of dict
        ``first`` and ``second``, the recipes of the adapters that act or ``none``; the rule and its
        coefficient; the columns of `measures.measured`.
    """
    from paper.studies._shared import measures as bench

    both, base = bench.begin(config)
    rows: list[Row] = []
    for condition in conditions(config.recipe):
        *recipes, name, c = condition
        chosen = [both.adapter(hop, recipe) for hop, recipe in enumerate(recipes) if recipe != NONE]
        act = layer_split(both.layers // 2) if name == SPLIT else coefficients(c)
        # The base is an adapter with coefficient 0, so that all rows come from one path.
        with act(both.model, chosen or [both.adapter(0, "standard, early-stopped")]):
            found = bench.measured(both.model, both.world, base)
        rows.append({"seed": config.seed, **dict(zip(HEAD, condition, strict=True)), **found})
    return rows


def conditions(recipe: str) -> Iterator[tuple[str, str, str, float]]:
    """Yield the two recipes, the rule's name, and its coefficient."""
    yield recipe, NONE, "first alone", 1.0
    yield NONE, recipe, "second alone", 1.0
    for c in (0.5, 0.7, 1.0):
        yield recipe, recipe, "sum", c
    yield recipe, recipe, SPLIT, 1.0
    if recipe == "standard, early-stopped":
        yield NONE, NONE, "base", 0.0
    elif recipe not in RECIPES[:2]:
        yield recipe, "standard, early-stopped", "sum", 1.0
        yield "standard, early-stopped", recipe, "sum", 1.0


PART = part(
    "conditions",
    cell,
    (Config(seed=SEEDS[0]),),
    [*grid(Config, seed=SEEDS, recipe=RECIPES), *grid(Config, recipe=NUMBERS, seed=SEEDS)],
)
