"""Evaluate the construction of exact low-rank adapters on the published grids."""

from dataclasses import dataclass, replace

import numpy as np

from loratheory.lowrank import orthonormal
from loratheory.theorems.expressiveness import depth_budget, relu_budget
from paper.studies._shared.run import Row, part

LINEAR, RELU, ATTENTION = 0, 1, 2
DECIMALS = 6  # of relative errors, above the rounding errors

Groups = list[depth_budget.Case]


@dataclass(frozen=True)
class Config:
    """The published grids: every depth at every rank up to the `width`.

    `depths` count the frozen layers for each target layer, `target_depths` the layers of the ReLU
    target and the blocks of the transformer, which has `heads` heads. ReLU networks are compared on
    this number of Gaussian `inputs`. In the flat half of the grid target and frozen product differ
    by a matrix whose singular values are all `gap`.
    """

    width: int = 16
    depths: tuple[int, ...] = (2, 4, 8)
    target_depths: tuple[int, ...] = (1, 2, 4)
    heads: int = 2
    inputs: int = 200
    gap: float = 1.0
    seed: int = 0


def cell(config: Config) -> list[Row]:
    """Return a row per grid cell, with errors relative to the target.

    The columns are `family` (0 linear, 1 ReLU, 2 attention), `flat` (1 in the flat half),
    `target_depth`, the `depth` of all frozen layers, `rank`, and `threshold`, the least rank at
    which every target is reached exactly. `bound` is the theorem's bound and `value` the error of
    the construction: spectral norms, for ReLU root mean squares over the inputs.
    """
    rng, rows = np.random.default_rng(config.seed), list[Row]()
    for flat in (0, 1):
        for depth in config.depths:
            groups = target_layers(config, rng, flat, 1, depth)
            rows += _all_ranks((LINEAR, flat, 1, depth), groups)
        for count in config.target_depths:
            for depth in config.depths:
                groups = target_layers(config, rng, flat, count, depth)
                inputs = rng.standard_normal((config.width, config.inputs))
                rows += _all_ranks((RELU, flat, count, count * depth), groups, inputs)
    for blocks in config.target_depths:
        products = target_layers(config, rng, 0, 2 * config.heads * blocks, 2)
        rows += _all_ranks((ATTENTION, 0, blocks, blocks), products)
    return rows


def target_layers(
    config: Config, rng: np.random.Generator, flat: int, count: int, depth: int
) -> Groups:
    """Draw `count` target layers, each with its own `depth` frozen layers; all are Gaussian."""
    d, cases = config.width, []
    for _ in range(count):
        # Entries have variance 1/d, so that products keep their norm.
        *weights, target = rng.standard_normal((depth + 1, d, d)) / d**0.5
        case = depth_budget.Case(tuple(weights), target, 0)
        if flat:
            case = replace(case, target=case.product + config.gap * orthonormal(rng, d, d))
        cases.append(case)
    return cases


def _all_ranks(
    place: tuple[int, ...], groups: Groups, inputs: np.ndarray | None = None
) -> list[Row]:
    """Return the rows of one network of the grid, at every rank."""
    names = ("family", "flat", "target_depth", "depth", "rank", "threshold", "bound", "value")
    width, rows = len(groups[0].target), list[Row]()
    for rank in range(1, width + 1):
        cases = [replace(case, rank=rank) for case in groups]
        errors = largest_gap(cases) if inputs is None else output_gap(cases, inputs)
        # From this rank on every target is a product of the adapted layers.
        threshold = -(-width // len(groups[0].weights))
        each = (*place, rank, threshold, *(round(error, DECIMALS) for error in errors))
        rows.append(dict(zip(names, map(float, each), strict=True)))
    return rows


def largest_gap(groups: Groups) -> tuple[float, float]:
    """Return the largest bound and the largest spectral error over the products."""
    errors = [
        (depth_budget.bound(case), depth_budget.measure(case, depth_budget.attain(case)))
        for case in groups
    ]
    norms = [[np.linalg.norm(case.target, 2)] for case in groups]
    bound, value = np.max(np.array(errors) / norms, axis=0).tolist()
    return bound, value


def output_gap(groups: Groups, inputs: np.ndarray) -> tuple[float, float]:
    """Return bound and error of a ReLU network, as root mean squares over the inputs.

    Target layers have bias 0. The frozen layers for each get biases that keep their hidden units
    active on the ball of inputs that reach it. The bound multiplies the error of the input of a
    layer by the layer's norm.
    """
    wanted, reached, errors = inputs, inputs, np.zeros(inputs.shape[1])
    for case in groups:
        radius, none = float(np.max(np.linalg.norm(reached, axis=0))), np.zeros(len(case.target))
        # Biases keep every hidden unit active, where the network is linear.
        layers = relu_budget.Case(case, radius).layers(depth_budget.attain(case))
        biases = relu_budget.opening_biases(layers, radius, none)
        for layer, bias in zip(layers, biases, strict=True):
            reached = np.maximum(layer @ reached + bias[:, None], 0)
        left = depth_budget.bound(case)
        # An error at a layer's input grows by the layer's norm.
        stretch = float(np.linalg.norm(case.target, 2)) + left
        errors = stretch * errors + left * np.linalg.norm(wanted, axis=0)
        wanted = np.maximum(case.target @ wanted, 0)
    size = float(np.linalg.norm(wanted))
    return float(np.linalg.norm(errors)) / size, float(np.linalg.norm(reached - wanted)) / size


PART = part("expressive_power", cell, [Config()], [Config()])
