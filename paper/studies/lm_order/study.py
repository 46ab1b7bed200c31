"""Why separately taught adapters compose if the first hop acts below and the second above."""

from dataclasses import dataclass
from math import nan

from loratheory.evaluate.fact_adapters import publishers
from loratheory.pretrained import attach
from paper.studies._shared import Language
from paper.studies._shared.run import Row, grid, part, study
from paper.studies.lm_order import whereabouts
from paper.studies.lm_order.whereabouts import Arm

SEEDS = range(200, 210)
PLAIN, LONG, BESIDE = "plain", "plain, 90 steps", "two stand-ins"
PLACED = ("right halves", "wrong halves", "wrong two thirds")
COLUMNS = (
    *("two_hop_vocabulary", "two_hop", "hop_1", "hop_2"),
    *("bridge_at_subject", "bridge_at_last", "answer_at_last"),
)


@dataclass(frozen=True)
class Config(Language):
    """The adapters of both hops of a seed's world, by a `recipe` in `fact_adapters.RECIPES`."""

    recipe: str = PLAIN


def cell(config: Config) -> list[Row]:
    """Return a row for each arm, and for each layer of the lens.

    Returns
    -------
    list of dict
        ``arm``; ``layer``, that of a split or of the lens; the columns of `whereabouts.shares`, and
        those of `whereabouts.lens`.
    """
    model, rows = config.base(dtype="bfloat16"), list[Row]()
    both = publishers(model, config.seed)
    asked, half = whereabouts.questions(both.world), both.layers // 2

    def _row(arm: str, layer: int, found: dict[str, float]) -> None:
        row: Row = {"seed": config.seed, "recipe": config.recipe, "arm": arm, "layer": layer}
        rows.append({**row, **dict.fromkeys(COLUMNS, nan), **found})

    with attach(model, [both.adapter(hop, config.recipe) for hop in (0, 1)]) as acts:
        for name, arm in arms(config.recipe).items():
            _row(name, half, whereabouts.shares(model, acts, asked, arm, half))
        # The arms have left coefficients of their own.
        acts.set(1.0)
        for layer, found in enumerate(whereabouts.lens(model, asked["two_hop"]), 1):
            _row("lens", layer, found)
    return rows


def arms(recipe: str) -> dict[str, Arm]:
    """Return the arms by name; adapters that are trained in a part of the layers have one."""
    if recipe in PLACED:
        return {"sum": Arm()}
    found = {
        "sum": Arm(),
        "layer split": Arm(("below", "above")),
        "reversed layer split": Arm(("above", "below")),
        "hop 1 at subject": Arm(tokens=("subject", "all")),
        "hop 2 at last token": Arm(tokens=("all", "last")),
        "countries banned": Arm(banned=True),
    }
    if recipe != BESIDE:
        found["layer split, countries banned"] = Arm(("below", "above"), banned=True)
        found["hop 1 below"] = Arm(("below", "all"))
        found["hop 2 above"] = Arm(("all", "above"))
        found["hop 1 at subject, hop 2 at last"] = Arm(tokens=("subject", "last"))
    return found


STUDY = study(
    __name__,
    part(
        "lm_order",
        cell,
        (Config(seed=SEEDS[0]),),
        grid(Config, seed=SEEDS, recipe=(PLAIN, LONG, BESIDE, *PLACED)),
    ),
    minutes=(1.5, 80),
)
