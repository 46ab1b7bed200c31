"""The grids on which low-rank adapters were first said to be exact, by construction.

Zeng and Lee (ICLR 2024, arXiv:2310.17513; their repository `UW-Madison-Lee-Lab` on GitHub,
`Expressive_Power_of_LoRA`, holds the grids) adapt Gaussian networks of width 16 to Gaussian targets
at ranks 1 to 16: linear ones of 2, 4 and 8 layers; ReLU ones, each target layer having 2, 4 or 8
layers of its own; transformers of 1, 2 and 4 blocks with two heads. Here the same cells are drawn
anew, with the bound and what the construction measures side by side.

**Question.** From which rank on are adapters of a frozen network exact, and what is lost below?

**Prediction.** Linear and attention cells meet their bound; ReLU cells respect theirs; everything
is exact from the rank on at which the ranks of all layers together reach the width
(`thm:depth-budget`, `thm:relu-budget`), and flat cells lose the whole gap at every rank below it.

**Chance.** A relative error of 1: as far off as an output that is always zero.

**Controls.** Flat spectra, where rank buys nothing until it buys all; both sides of each threshold.
"""

from dataclasses import dataclass, replace

import numpy as np

from loratheory.experiments.engine import Row, study
from loratheory.lowrank import orthonormal
from loratheory.theorems.expressiveness import depth_budget, relu_budget

LINEAR, RELU, ATTENTION = 0, 1, 2
DECIMALS = 6  # of relative errors: what rounding adds lies below

Groups = list[depth_budget.Case]


@dataclass(frozen=True)
class Config:
    """Their grids: every depth, every rank.

    Attributes
    ----------
    width : int
        Of every layer; also the highest rank.
    depths, target_depths : tuple of int
        Frozen layers for each target layer; layers of the ReLU target, blocks of the transformer.
    heads, inputs : int
        Heads of a block; Gaussian inputs on which ReLU networks are compared.
    gap : float
        In the flat half of the grid, all singular values of what each target layer misses.
    """

    width: int = 16
    depths: tuple[int, ...] = (2, 4, 8)
    target_depths: tuple[int, ...] = (1, 2, 4)
    heads: int = 2
    inputs: int = 200
    gap: float = 1.0
    seed: int = 0


def cell(config: Config) -> list[Row]:
    """Return a row a cell of the grid, errors relative to the target.

    `family` (0 linear, 1 ReLU, 2 attention), `flat` (whether all singular values of what is missing
    agree), `target_depth`, `depth` of all frozen layers, `rank`, `threshold` (the rank from which
    every target is exact); `bound` and `value`: spectral norms, for ReLU root mean squares over the
    inputs.
    """
    rng, rows = np.random.default_rng(config.seed), list[Row]()
    for flat in (0, 1):
        for depth in config.depths:
            names = _names(LINEAR, flat, 1, depth)
            rows += _swept(names, target_layers(config, rng, flat, 1, depth), None)
        for count in config.target_depths:
            for depth in config.depths:
                names = _names(RELU, flat, count, count * depth)
                groups = target_layers(config, rng, flat, count, depth)
                inputs = rng.standard_normal((config.width, config.inputs))
                rows += _swept(names, groups, inputs)
    for blocks in config.target_depths:
        names = _names(ATTENTION, 0, blocks, blocks)
        products = target_layers(config, rng, 0, 2 * config.heads * blocks, 2)
        rows += _swept(names, products, None)
    return rows


def target_layers(
    config: Config, rng: np.random.Generator, flat: int, count: int, depth: int
) -> Groups:
    """Return for each of `count` target layers its own frozen ones; all Gaussian, of unit gain."""
    d, found = config.width, []
    for _ in range(count):
        *weights, target = rng.standard_normal((depth + 1, d, d)) / d**0.5
        case = depth_budget.Case(tuple(weights), target, 0)
        if flat:
            case = replace(case, target=case.product + config.gap * orthonormal(rng, d, d))
        found.append(case)
    return found


def _names(family: int, flat: int, target_depth: int, depth: int) -> Row:
    names = ("family", "flat", "target_depth", "depth")
    return dict(zip(names, map(float, (family, flat, target_depth, depth)), strict=True))


def _swept(names: Row, groups: Groups, inputs: np.ndarray | None) -> list[Row]:
    """All ranks of one network."""
    rows, d = [], len(groups[0].target)
    for rank in range(1, d + 1):
        here = [replace(case, rank=rank) for case in groups]
        bound, value = largest_gap(here) if inputs is None else output_gap(here, inputs)
        threshold = -(-d // len(groups[0].weights))
        ranks = {"rank": float(rank), "threshold": float(threshold)}
        errors = {"bound": round(bound, DECIMALS), "value": round(value, DECIMALS)}
        rows.append({**names, **ranks, **errors})
    return rows


def largest_gap(groups: Groups) -> tuple[float, float]:
    """Return bound and spectral error, each of the product that misses its target by most."""
    pairs = [
        (depth_budget.bound(case), depth_budget.measure(case, depth_budget.attain(case)))
        for case in groups
    ]
    norms = [float(np.linalg.norm(case.target, 2)) for case in groups]
    return (
        max(bound / norm for (bound, _), norm in zip(pairs, norms, strict=True)),
        max(value / norm for (_, value), norm in zip(pairs, norms, strict=True)),
    )


def output_gap(groups: Groups, inputs: np.ndarray) -> tuple[float, float]:
    """Return bound and error of a ReLU network, root mean squares over the inputs.

    Each target layer has bias 0. Its group gets the biases that keep hidden units active on the
    ball of the inputs that reach it; an error on the way in is stretched by the layer's norm.
    """
    wanted, found, errors = inputs, inputs, np.zeros(inputs.shape[1])
    for case in groups:
        radius, none = float(np.max(np.linalg.norm(found, axis=0))), np.zeros(len(case.target))
        layers = relu_budget.Case(case, radius).layers(depth_budget.attain(case))
        biases = relu_budget.opening_biases(layers, radius, none)
        for layer, bias in zip(layers, biases, strict=True):
            found = np.maximum(layer @ found + bias[:, None], 0)
        left = depth_budget.bound(case)
        stretch = float(np.linalg.norm(case.target, 2)) + left
        errors = stretch * errors + left * np.linalg.norm(wanted, axis=0)
        wanted = np.maximum(case.target @ wanted, 0)
    size = float(np.linalg.norm(wanted))
    return float(np.linalg.norm(errors)) / size, float(np.linalg.norm(found - wanted)) / size


EXPERIMENT = study(
    cell,
    quick=(Config(),),
    paper=(Config(),),
    minutes=(0.1, 0.1),
)
