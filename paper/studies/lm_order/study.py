"""Why separately taught adapters compose if the first hop acts below and the second above."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import nan

from loratheory.evaluate.fact_adapters import publishers
from loratheory.pretrained import attach
from paper.studies._shared import Language, whereabouts
from paper.studies._shared.run import Row, grid, part, study
from paper.studies._shared.whereabouts import Arm

SEEDS = range(200, 210)
PLAIN, LONG, BESIDE = "plain", "plain, 90 steps", "two stand-ins"
PLACED = ("right halves", "wrong halves", "wrong two thirds")
SPLITS = (9, 12, 18, 21)
PATCHES = tuple(product((12, 16, 20, 24), (4, 8, 12)))  # from which layer, and to which
COLUMNS = (
    *("two_hop_vocabulary", "two_hop", "says_bridge", "hop_1", "hop_2"),
    *("bridge_at_subject", "bridge_at_last", "answer_at_last"),
)


@dataclass(frozen=True)
class Config(Language):
    """The adapters of both hops of a seed's world, by a `recipe` in `fact_adapters.RECIPES`."""

    recipe: str = PLAIN


def cell(config: Config) -> list[Row]:
    """Return a row for each arm, each place of a split or patch, and each layer of the lens.

    Returns
    -------
    list of dict
        ``arm``; ``layer``, that of the split or of the lens or the one from which a patch is taken,
        and ``target``, the one where it is put, NaN where there is none; the shares of two-hop
        questions right in the whole vocabulary, right among animals, and answered by the country;
        the shares of single hops right in the whole vocabulary; the shares of
        `whereabouts.lens`.
    """
    model, rows = config.base(dtype="bfloat16"), list[Row]()
    both = publishers(model, config.seed)
    asked, half = whereabouts.questions(both.world), both.layers // 2

    def _row(arm: str, layer: float | int = nan, target: float | int = nan, **found: float) -> None:
        row: Row = {"seed": config.seed, "recipe": config.recipe, "arm": arm}
        row |= {"layer": layer, "target": target}
        rows.append({**row, **dict.fromkeys(COLUMNS, nan), **found})

    pair = [both.adapter(hop, config.recipe) for hop in (0, 1)]
    # The first adapter once more, without what it writes towards countries.
    without = [whereabouts.projected(model, pair[0], sorted(both.world.second), half), pair[1]]
    for changed in (False, True):
        with attach(model, without if changed else pair) as acts:
            for name, layer, arm in arms(config.recipe, half):
                if arm.projected == changed:
                    _row(name, layer, **whereabouts.shares(model, acts, asked, arm, layer))
            if changed:
                continue
            # The arms have left coefficients of their own.
            acts.set(1.0)
            for layer, found in enumerate(whereabouts.lens(model, asked["two_hop"]), 1):
                _row("lens", layer, **found)
            for source, target in PATCHES if config.recipe == PLAIN else ():
                # A state can only be put where the pass has yet to come.
                if source > target:
                    logits = whereabouts.back_patched(model, asked["two_hop"], source, target)
                    found = whereabouts.right(model, logits, asked["two_hop"])
                    _row("back-patching", source, target, **found)
    return rows


def arms(recipe: str, half: int) -> Iterator[tuple[str, int, Arm]]:
    """Yield each arm's name, the layer of its split, and the arm."""
    yield "sum", half, Arm()
    if recipe in PLACED:
        return
    yield "layer split", half, Arm(("below", "above"))
    yield "reversed layer split", half, Arm(("above", "below"))
    yield "hop 1 at subject", half, Arm(tokens=("subject", "all"))
    yield "hop 2 at last token", half, Arm(tokens=("all", "last"))
    yield "countries banned", half, Arm(banned=True)
    if recipe == BESIDE:
        return
    yield "layer split, countries banned", half, Arm(("below", "above"), banned=True)
    yield "hop 1 below", half, Arm(("below", "all"))
    yield "hop 2 above", half, Arm(("all", "above"))
    yield "hop 1 not at last token", half, Arm(tokens=("but the last", "all"))
    yield "hop 1 at subject, hop 2 at last", half, Arm(tokens=("subject", "last"))
    yield "countries projected out", half, Arm(projected=True)
    for layer in SPLITS:
        yield "layer split", layer, Arm(("below", "above"))


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
