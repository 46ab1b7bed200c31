"""Plain transformers, of two and of four untied layers: the questions asked of a looped block."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from paper.studies._shared.answers import PASSES
from paper.studies._shared.configs import Untied
from paper.studies._shared.library import by_hop, coefficients, layer_split, of, rule
from paper.studies._shared.rows import by_part, compared, grown_libraries
from paper.studies._shared.run import Row, grid, part, study
from paper.studies._shared.theory import forecast, in_own_layer, margins
from paper.studies._shared.training import Taught, alike
from paper.studies.untied_transformer.questions import Way, by_question

PLACES: dict[str, tuple[tuple[tuple[int, ...], ...], ...]] = {
    "all": (),
    "halves": (((0, 1),), ((2, 3),)),
}
"""For each hop's adapter, the layers in which it is trained; ``()``: all of them."""
METHODS: tuple[str, ...] = (
    *("base", "hop 1 alone", "hop 2 alone", "ties", "dare", "knots", "arrow", "norm, soft"),
    *("norm, z", "gates", "gates, z = 2", "block gates, z = 0", "block gates, z = 2"),
    "sum, second pass",
)
SPLIT = {"layer split": ("below", "above"), "reversed layer split": ("above", "below")}


@dataclass(frozen=True)
class UntiedTransformer(Untied):
    """A base at several stages and its adapters; coefficients go to 1.5 in `steps` steps."""

    steps: int = 15


def untied_transformer(config: UntiedTransformer) -> list[Row]:
    """Return a row per stage, layers, way of reuse, edit set and question.

    The columns are those of `by_question`. The rule ``sum`` has each coefficient of the grid;
    ``sum, hop by hop`` has ½ and 1.
    """
    table: list[Row] = []
    for stage, where, library in grown_libraries(config, PLACES):
        head = {"coverage": config.coverage, "stage": stage, "layers": where}
        table += by_question(library, head, ways(library, config.steps))
    return table


def ways(library: Taught, steps: int) -> list[Way]:
    """Return the ways of using one pair of adapters, with the adapters of controls."""
    first, second = library.adapters
    grid = [1.5 * step / steps for step in range(steps + 1)]
    density = {"density": 0.3, "rank": library.bases.config.width}
    options = dict.fromkeys(("ties", "dare", "knots"), density)
    # The lower half is for first hops, the upper one for second hops.
    middle = library.bases.config.depth // 2
    noise = {"hop 1 beside noise": (first, alike(second, 1))}
    noise |= {"hop 2 beside noise": (alike(first), second)}
    turns = (("mean, hop by hop", 0.5), ("sum, hop by hop", 1.0))
    return [
        *(Way("sum", c, coefficients(c), theory=True) for c in grid),
        *(Way("sum, hop by hop", c, rule(name), theory=True) for name, c in turns),
        *(Way(name, 1.0, rule(name, **options.get(name, {}))) for name in METHODS),
        *(Way(name, 1.0, layer_split(middle, *halves)) for name, halves in SPLIT.items()),
        *(Way(name, 1.0, of(*both)) for name, both in noise.items()),
    ]


UNTIED_TRANSFORMER_PART = part(
    "untied_transformer",
    untied_transformer,
    (UntiedTransformer(coverage=0.5, stages=(1000,), sets=2),),
    [
        *grid(UntiedTransformer, seed=range(8)),
        *grid(UntiedTransformer, coverage=[0.5], stages=[(1000,)], seed=range(8)),
    ],
)

LAYERS = {"together": (), "own": ((0,), (1,)), "each": ((0, 1), (0, 1))}
"""For each hop's adapter, the layers in which it is trained separately; ``()``: both at once."""
WEIGHTS = {"base": 0.0, "base, second pass": 0.0, "base, hop by hop": 0.0}
WEIGHTS |= {"hop 1 alone": 0.0, "hop 2 alone": 0.0, "mean": 0.5, "sum": 1.0}
WEIGHTS |= {"oracle placement": 1.0, "reversed placement": 0.0}
WEIGHTS |= {"block gates, z = 0": 1.0, "block gates, z = 2": 1.0, "sum, second pass": 1.0}
WEIGHTS |= {"mean, hop by hop": 0.5, "sum, hop by hop": 1.0}
"""Methods, and the coefficient that each gives an adapter where it acts."""


@dataclass(frozen=True)
class PlainTransformer:
    """A base of a `seed` at several `stages`, steps of a training that ends with the last of them.

    The other fields are those of `bases.PlainSetting` and `training.Teaching`; `trained` is the
    number of steps of an adapter.
    """

    seed: int = 0
    stages: tuple[int, ...] = (250, 500, 1000, 2000)
    sets: int = 3
    facts: int = 4
    entities: int = 50
    relations: int = 8
    width: int = 64
    rows: int = 256
    trained: int = 120
    retained: int = 150


def plain_transformer(config: PlainTransformer) -> list[Row]:
    """Return a row per stage, layers of the adapters' training, rule and edit set.

    The columns are accuracies; `predicted`, that predicted on two-hop questions; the base's own
    accuracies in the passes of the rule, on `facts` and on each of `bases.PARTS`; the median
    strengths of the edits if the adapter acts everywhere (`strength_1`, `strength_2`) and only in
    its own layer (`placed_1`, `placed_2`); how often an edit alone decides its hop within a
    question whose other facts are old (`inside_1`, `inside_2`), and how often both of a question's
    edits do (`inside`).
    """
    table: list[Row] = []
    for stage, where, library in grown_libraries(config, LAYERS):
        table += _rows(library, {"stage": stage, "layers": where})
    return table


def _rows(library: Taught, head: Row) -> list[Row]:
    """Every rule, and what is predicted of it from the strengths in its passes."""
    everywhere = forecast(library)
    there = forecast(library, placed=in_own_layer(library))
    inside = margins(library, inside=True).survives(1.0)
    beside = {**everywhere.medians}
    beside |= {name.replace("strength", "placed"): x for name, x in there.medians.items()}
    beside |= by_hop("inside", inside.mean(axis=-1))
    beside["inside"] = inside.all(axis=0).mean(axis=-1)
    # The base's own accuracy bounds what edits can reach, in the same passes.
    bare = {passes: by_part(library.bases, passes) for passes in PASSES}

    def _columns(weight: float, acts: Any) -> dict[str, Any]:
        passes = acts[0].passes
        # Between hops the bridge is decided: each edit only has to win its own.
        if passes == "hop by hop":
            predicted = replace(everywhere, strengths=weight * everywhere.strengths).decided()
        else:
            # In a second pass an early layer reads what a late one wrote.
            theory = there if passes == "one" else everywhere
            predicted = theory.feasible([weight, weight]) * bare[passes]["held_out"]
        return {"predicted": predicted, **bare[passes], **beside}

    arms = [(name, rule(name), partial(_columns, x)) for name, x in WEIGHTS.items()]
    return compared(library, head, arms)


PLAIN_TRANSFORMER_PART = part(
    "plain_transformer",
    plain_transformer,
    (PlainTransformer(stages=(250, 2000), sets=1),),
    grid(PlainTransformer, seed=range(4)),
)


STUDY = study(__name__, UNTIED_TRANSFORMER_PART, PLAIN_TRANSFORMER_PART, minutes=(1, 17))
