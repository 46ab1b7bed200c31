"""Two edits of a language model that composes, merged with one coefficient from 0 to 1.5."""

from dataclasses import dataclass

from paper.studies._shared import Language
from paper.studies._shared.run import Row, grid, part, study

SEEDS = range(200, 210)


@dataclass(frozen=True)
class Config(Language):
    """A world of `portable`, edited by adapters of one recipe of `fact_adapters.RECIPES`."""

    recipe: str = "two stand-ins"


def cell(config: Config) -> list[Row]:
    """Return a row for each kind of question at each coefficient of both edits.

    Returns
    -------
    list of dict
        ``hop`` (``hop 1``, ``hop 2``, ``two hops``, ``old``), the ``case`` of the persons asked
        about (``any`` for countries), the ``coefficient``, and the columns of
        `overwritten.curves`; right is what leads the whole vocabulary.
    """
    from loratheory.evaluate.fact_adapters import authors
    from loratheory.pretrained import attach
    from paper.studies.lm_old_facts import overwritten as bench

    model = config.base(dtype="bfloat16")
    both = authors(model, config.seed)
    old = [both.adapter(hop, "two stand-ins") for hop in range(2)]
    made = bench.edits(both.world, config.seed)
    # Editors train on the base that composes: the old adapters act meanwhile.
    with attach(model, old):
        editors = bench.editors(both, made)
        new = [editors.adapter(hop, config.recipe) for hop in range(2)]
    asked, found = [*made.questions()], {}
    # All prompts under one setting at a time: attaching is cheap, passes are not.
    for pair in bench.ways():
        with attach(model, [*old, *new], [1.0, 1.0, *pair]):
            found[pair] = bench.margins(model, asked)
    head: Row = {"seed": config.seed, "recipe": config.recipe}
    return [{**head, **row} for row in bench.curves(made, asked, found)]


STUDY = study(
    __name__,
    part(
        "lm_old_facts",
        cell,
        (Config(seed=SEEDS[0], recipe="standard, early-stopped"),),
        (
            *grid(Config, seed=SEEDS),
            *grid(
                Config, seed=SEEDS[:5], recipe=["standard, early-stopped"]
            ),  # not admitted: told apart
        ),
    ),
    minutes=(4, 85),
)
