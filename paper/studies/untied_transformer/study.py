"""Evaluate standard transformers of two and four untied layers on two-hop questions."""

from dataclasses import dataclass

import numpy as np

from paper.studies._shared.configs import Untied
from paper.studies._shared.library import by_hop, coefficients, layer_split, only_adapters, rule
from paper.studies._shared.rows import Condition, compared, condition, train_libraries
from paper.studies._shared.run import Row, grid, part, study
from paper.studies._shared.theory import circuit, margins
from paper.studies._shared.training import EditLibrary, alike

PLACES: dict[str, tuple[tuple[tuple[int, ...], ...], ...]] = {
    "all": (),
    "halves": (((0, 1),), ((2, 3),)),
}
"""For each hop's adapter, the layers in which it is trained; ``()``: all of them."""
METHODS: tuple[str, ...] = (
    *("base", "hop 1 alone", "hop 2 alone", "ties", "dare", "knots", "arrow", "norm, soft"),
    *("norm, z", "per-matrix gating", "per-matrix gating, z = 2"),
    *("per-block gating, z = 0", "per-block gating, z = 2"),
    "sum, second pass",
)
SPLIT = {"layer split": ("below", "above"), "reversed layer split": ("above", "below")}


@dataclass(frozen=True)
class UntiedTransformer(Untied):
    """A base at several stages and its adapters; coefficients go to 1.5 in `steps` steps."""

    steps: int = 15


def untied_transformer(config: UntiedTransformer) -> list[Row]:
    """Return a row per stage, layers, combination method and edit set.

    The columns are accuracies; `held_out`, the base's accuracy on held-out questions; and the
    `coefficient` of the active adapters. The rule ``sum`` has each coefficient of the grid,
    ``sum, two-step prompting`` has 0.5 and 1.
    """
    table: list[Row] = []
    for stage, where, library in train_libraries(config, PLACES):
        head = {"coverage": config.coverage, "stage": stage, "layers": where}
        held_out = np.repeat(circuit(library.bases), library.training.sets)
        table += compared(library, head, conditions(library, config.steps), held_out=held_out)
    return table


def conditions(library: EditLibrary, steps: int) -> list[Condition]:
    """Return the combination methods of one pair of adapters, and the controls."""
    first, second = library.adapters
    grid = [1.5 * step / steps for step in range(steps + 1)]
    density = {"density": 0.3, "rank": library.bases.config.width}
    options = dict.fromkeys(("ties", "dare", "knots"), density)
    # The lower half of the layers is for hop 1, the upper half for hop 2.
    middle = library.bases.config.depth // 2
    active = {name: rule(name, **options.get(name, {})) for name in METHODS}
    active |= {name: layer_split(middle, *halves) for name, halves in SPLIT.items()}
    active["hop 1 with noise"] = only_adapters(first, alike(second, 1))
    active["hop 2 with noise"] = only_adapters(alike(first), second)
    return [
        *(condition("sum", method=coefficients(c), coefficient=c) for c in grid),
        condition(
            "sum, two-step prompting", method=rule("mean, two-step prompting"), coefficient=0.5
        ),
        condition("sum, two-step prompting", coefficient=1.0),
        *(condition(name, method=method, coefficient=1.0) for name, method in active.items()),
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
BLOCKS = ("per-block gating, z = 0", "per-block gating, z = 2")
IN_LAYERS = ("mean", "sum", "reversed placement", *BLOCKS)


@dataclass(frozen=True)
class StandardTransformer:
    """A base of a `seed` at several `stages`, numbers of training steps up to the last stage.

    The other fields are of `bases.UntiedSetting` and `training.AdapterTraining`; `trained` is the
    number of training steps of an adapter.
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


def standard_transformer(config: StandardTransformer) -> list[Row]:
    """Return a row per stage, layers of the adapters' training, rule and edit set.

    The columns are accuracies, and the median strengths of the edits (`strength_1`, `strength_2`).
    """
    table: list[Row] = []
    for stage, where, library in train_libraries(config, LAYERS):
        medians = np.median(margins(library).effective(1.0), axis=-1)
        head, more = {"stage": stage, "layers": where}, by_hop("strength", medians)
        table += compared(library, head, map(condition, IN_LAYERS), **more)
    return table


STANDARD_TRANSFORMER_PART = part(
    "plain_transformer",
    standard_transformer,
    (StandardTransformer(stages=(250, 2000), sets=1),),
    grid(StandardTransformer, seed=range(4)),
)


STUDY = study(__name__, UNTIED_TRANSFORMER_PART, STANDARD_TRANSFORMER_PART, minutes=(1, 12))
