"""Evaluate the layers and tokens where adapters of both hops must be active to compose."""

from dataclasses import dataclass
from math import nan

from loratheory.evaluate.fact_adapters import authors
from loratheory.pretrained import attach
from paper.studies._shared import Language
from paper.studies._shared.run import Row, grid, part, study
from paper.studies.lm_order import whereabouts
from paper.studies.lm_order.whereabouts import Condition

SEEDS = range(200, 210)
EARLY, STANDARD, STAND_INS = ("standard, early-stopped", "standard, 90 steps", "two stand-ins")
PLACED = ("right halves", "wrong halves", "wrong two thirds")
COLUMNS = (
    *("two_hop_vocabulary", "two_hop", "hop_1", "hop_2"),
    *("bridge_at_subject", "bridge_at_last", "answer_at_last"),
)


@dataclass(frozen=True)
class Config(Language):
    """The adapters of a seed's fact set; `recipe` is a name in `fact_adapters.CONDITIONS`."""

    recipe: str = EARLY


def cell(config: Config) -> list[Row]:
    """Return a row for each condition, and for each layer of the lens.

    Returns
    -------
    list of dict
        ``condition``; ``layer``, of a split or of the lens; the columns of `whereabouts.shares` and
        of `whereabouts.lens`.
    """
    model, rows = config.base(dtype="bfloat16"), list[Row]()
    both = authors(model, config.seed)
    questions, half = whereabouts.questions(both.facts), both.layers // 2

    def _row(condition: str, layer: int, found: dict[str, float]) -> None:
        row: Row = {"seed": config.seed, "recipe": config.recipe, "layer": layer}
        row["condition"] = condition
        rows.append({**row, **dict.fromkeys(COLUMNS, nan), **found})

    with attach(model, [both.adapter(hop, config.recipe) for hop in (0, 1)]) as active:
        for name, condition in conditions(config.recipe).items():
            _row(name, half, whereabouts.shares(model, active, questions, condition, half))
        # The conditions have changed the coefficients.
        active.set(1.0)
        for layer, found in enumerate(whereabouts.lens(model, questions["two_hop"]), 1):
            _row("lens", layer, found)
    return rows


def conditions(recipe: str) -> dict[str, Condition]:
    """Return the conditions by name; adapters that are trained in some layers have the sum only."""
    if recipe in PLACED:
        return {"sum": Condition()}
    found = {
        "sum": Condition(),
        "layer split": Condition(("below", "above")),
        "reversed layer split": Condition(("above", "below")),
        "hop 1 at subject": Condition(tokens=("subject", "all")),
        "hop 2 at last token": Condition(tokens=("all", "last")),
        "countries banned": Condition(banned=True),
    }
    if recipe != STAND_INS:
        found["layer split, countries banned"] = Condition(("below", "above"), banned=True)
        found["hop 1 below"] = Condition(("below", "all"))
        found["hop 2 above"] = Condition(("all", "above"))
        found["hop 1 at subject, hop 2 at last"] = Condition(tokens=("subject", "last"))
    return found


STUDY = study(
    __name__,
    part(
        "lm_order",
        cell,
        (Config(seed=SEEDS[0]),),
        grid(Config, seed=SEEDS, recipe=(EARLY, STANDARD, STAND_INS, *PLACED)),
    ),
    minutes=(1.5, 80),
)
