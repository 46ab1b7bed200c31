"""How many digits of an exact construction survive in float64, by width and depth."""

from dataclasses import dataclass
from functools import reduce

import numpy as np

from loratheory.theorems.expressiveness import depth_budget
from paper.studies._shared.run import Row, part

COLUMNS = ("width", "depth", "rank", "network", "published", "sweep", "worst", "condition")


@dataclass(frozen=True)
class Config:
    """Networks of Gaussian layers: `draws` networks for each (width, depth) in `shapes`."""

    shapes: tuple[tuple[int, int], ...] = ((16, 2), (16, 4), (16, 8), (64, 4), (64, 8), (64, 16))
    draws: int = 5
    seed: int = 0


def cell(config: Config) -> list[Row]:
    """Return a row per shape and kind of target, with medians over the draws.

    The columns are `width`, `depth` and `rank`; `network`, 1 if the target is another such network
    and 0 if it is one dense matrix; `published` and `sweep`, log10 of the relative spectral error
    of each construction; `worst`, the largest such error of the sweep; `condition`, log10 of the
    sweep's condition number. Digits depend on the processor.
    """
    rng, rows = np.random.default_rng(config.seed), list[Row]()
    for width, depth in config.shapes:
        for network in (0, 1):
            errors = [_errors(drawn(rng, width, depth, network)) for _ in range(config.draws)]
            published, sweep, condition = np.median(errors, axis=0).tolist()
            worst = max(error for _, error, _ in errors)
            rank = -(-width // depth)
            each = (width, depth, rank, network, published, sweep, worst, condition)
            rows.append(dict(zip(COLUMNS, map(float, each), strict=True)))
    return rows


def published(case: depth_budget.Case) -> list[np.ndarray]:
    """Return the layers with the adapters of the published construction added."""
    missing, before = case.target - case.product, np.eye(len(case.target))
    right, layers = np.linalg.svd(missing)[2], []
    for index, weight in enumerate(case.weights):
        # Each layer takes its share of the missing directions.
        axes = right[index * case.rank : (index + 1) * case.rank]
        # What follows is still frozen, what precedes is adapted already.
        after = reduce(lambda done, w: w @ done, case.weights[index + 1 :], np.eye(len(right)))
        effect = np.linalg.solve(after, missing @ axes.T)
        layers.append(weight + effect @ np.linalg.solve(before.T, axes.T).T)
        before = layers[-1] @ before
    return layers


def drawn(rng: np.random.Generator, width: int, depth: int, network: int) -> depth_budget.Case:
    """Draw a frozen network and a target; the rank is the least at which adapters can be exact.

    The target is a product of `depth` layers if `network` is 1, else one dense matrix.
    """
    weights = rng.standard_normal((depth, width, width)) / width**0.5
    others = rng.standard_normal((depth if network else 1, width, width)) / width**0.5
    target = reduce(lambda done, w: w @ done, others)
    return depth_budget.Case(tuple(weights), target, -(-width // depth))


def _errors(case: depth_budget.Case) -> tuple[float, float, float]:
    old = reduce(lambda done, w: w @ done, published(case)) - case.target
    new = depth_budget.measure(case, depth_budget.attain(case))
    errors = np.asarray([np.linalg.norm(old, 2), new]) / np.linalg.norm(case.target, 2)
    old_digits, new_digits = np.log10(errors).tolist()
    return old_digits, new_digits, float(np.log10(depth_budget.THEOREM.condition(case)))


PART = part("construction_digits", cell, [Config(draws=1)], [Config()])
