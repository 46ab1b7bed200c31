"""Merge two edits of a language model that composes, with one coefficient from 0 to 1.5."""

from dataclasses import dataclass

from paper.studies._shared import Language
from paper.studies._shared.run import Row, grid, part, study

SEEDS = range(200, 210)


@dataclass(frozen=True)
class Config(Language):
    """A fact set, edited by adapters of a training condition in `fact_adapters.CONDITIONS`."""

    recipe: str = "two stand-ins"


def cell(config: Config) -> list[Row]:
    """Return a row for each kind of question at each coefficient of both edits.

    Returns
    -------
    list of dict
        ``hop`` (``hop 1``, ``hop 2``, ``two hops``, ``old``), the ``case`` of the persons
        (``any`` for countries), the ``coefficient``, and the columns of `overwritten.curves`, as
        top-1 accuracies.
    """
    from loratheory.evaluate.fact_adapters import authors
    from loratheory.pretrained import attach
    from paper.studies.lm_old_facts import overwritten as bench

    model = config.base(dtype="bfloat16")
    both = authors(model, config.seed)
    old = [both.adapter(hop, "two stand-ins") for hop in range(2)]
    made = bench.edits(both.facts, config.seed)
    # The edits are trained on the base that composes: the old adapters are active.
    with attach(model, old):
        editors = bench.editors(both, made)
        new = [editors.adapter(hop, config.recipe) for hop in range(2)]
    questions, found = [*made.questions()], {}
    # All prompts are evaluated at one pair of coefficients at a time.
    for pair in bench.coefficient_pairs():
        with attach(model, [*old, *new], [1.0, 1.0, *pair]):
            found[pair] = bench.margins(model, questions)
    head: Row = {"seed": config.seed, "recipe": config.recipe}
    return [{**head, **row} for row in bench.curves(made, questions, found)]


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
            ),  # not in the predictions: reported separately
        ),
    ),
    minutes=(4, 85),
)
