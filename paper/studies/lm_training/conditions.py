"""Train adapters separately, each with stand-in partners, and evaluate their sum."""

from collections.abc import Iterator
from dataclasses import dataclass

from paper.studies._shared import Language
from paper.studies._shared.language import coefficients, layer_split
from paper.studies._shared.run import Row, grid, part

CONDITIONS = ("standard, early-stopped", "standard, 90 steps", "partner not kept", "two stand-ins")
NUMBERS = ("three stand-ins", "one stand-in")
SEEDS = range(200, 210)
SPLIT, NONE = "layer split", "none"
HEAD = ("first", "second", "rule", "coefficient")


@dataclass(frozen=True)
class Config(Language):
    """The adapters of a seed's fact set; `recipe` is a name in `fact_adapters.CONDITIONS`."""

    recipe: str = "standard, early-stopped"


def cell(config: Config) -> list[Row]:
    """Return a row for the pair together, with a standard partner, and for each adapter alone.

    Returns
    -------
    list of dict
        ``first`` and ``second``, the training conditions of the active adapters or ``none``; the
        rule and its coefficient; the columns of `measures.measured`.
    """
    from paper.studies._shared import measures as bench

    both, base = bench.begin(config)
    rows: list[Row] = []
    for condition in conditions(config.recipe):
        *names, name, c = condition
        chosen = [both.adapter(hop, recipe) for hop, recipe in enumerate(names) if recipe != NONE]
        method = layer_split(both.layers // 2) if name == SPLIT else coefficients(c)
        # The base is an adapter with coefficient 0, so that all rows use the same code.
        with method(both.model, chosen or [both.adapter(0, "standard, early-stopped")]):
            found = bench.measured(both.model, both.facts, base)
        rows.append({"seed": config.seed, **dict(zip(HEAD, condition, strict=True)), **found})
    return rows


def conditions(recipe: str) -> Iterator[tuple[str, str, str, float]]:
    """Yield both training conditions, the rule's name, and its coefficient."""
    yield recipe, NONE, "first alone", 1.0
    yield NONE, recipe, "second alone", 1.0
    for c in (0.5, 0.7, 1.0):
        yield recipe, recipe, "sum", c
    yield recipe, recipe, SPLIT, 1.0
    if recipe == "standard, early-stopped":
        yield NONE, NONE, "base", 0.0
    elif recipe not in CONDITIONS[:2]:
        yield recipe, "standard, early-stopped", "sum", 1.0
        yield "standard, early-stopped", recipe, "sum", 1.0


PART = part(
    "conditions",
    cell,
    (Config(seed=SEEDS[0]),),
    [*grid(Config, seed=SEEDS, recipe=CONDITIONS), *grid(Config, recipe=NUMBERS, seed=SEEDS)],
)
