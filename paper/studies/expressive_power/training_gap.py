"""What gradient training reaches on twenty cells where a construction is known."""

from dataclasses import dataclass, replace

import numpy as np

from loratheory.theorems.expressiveness import depth_budget
from paper.studies._shared.run import Row, part
from paper.studies.expressive_power import expressive_power

Parameters = list[np.ndarray]


@dataclass(frozen=True)
class Config:
    """Networks of a `width` and of `depths` layers, adapted with each of the `ranks`.

    Training takes `steps` steps, each on a fresh `batch` of inputs, with each of the `rates`, and
    the best learning rate counts. Errors are measured on this number of `inputs`.
    """

    width: int = 16
    depths: tuple[int, ...] = (2, 4)
    ranks: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16)
    steps: int = 5000
    batch: int = 256
    inputs: int = 2000
    rates: tuple[float, ...] = (1e-2, 1e-3)
    seed: int = 0


def cell(config: Config) -> list[Row]:
    """Return a row per depth and rank; errors are root mean squares, relative to the target's.

    `threshold` is the least rank at which the construction is exact; `bound` the theorem's bound,
    `constructed` the error of its construction, and `trained` the least error over the rates, whose
    digits depend on the processor.
    """
    rng, rows = np.random.default_rng(config.seed), list[Row]()
    names = ("depth", "rank", "threshold", "bound", "constructed", "trained")
    shape = expressive_power.Config(width=config.width)
    for depth in config.depths:
        frozen = expressive_power.target_layers(shape, rng, 0, 1, depth)[0]
        inputs = rng.standard_normal((config.width, config.inputs))
        for rank in config.ranks:
            case = replace(frozen, rank=rank)
            gaps = expressive_power.output_gap([case], inputs)
            trained = min(_trained(config, case, inputs, rate, rng) for rate in config.rates)
            each = map(float, (depth, rank, -(-config.width // depth), *gaps, trained))
            rows.append(dict(zip(names, each, strict=True)))
    return rows


def _trained(
    config: Config,
    case: depth_budget.Case,
    inputs: np.ndarray,
    rate: float,
    rng: np.random.Generator,
) -> float:
    """The least relative error seen in training, looked at every hundredth of the way."""
    d, parts = config.width, start(case, rng)
    first, second, best = [0 * p for p in parts], [0 * p for p in parts], np.inf
    for step in range(1, config.steps + 1):
        slopes = gradients(case, parts, rng.standard_normal((d, config.batch)))
        first = [0.9 * m + 0.1 * g for m, g in zip(first, slopes, strict=True)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, slopes, strict=True)]
        pace = rate * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
        moments = zip(parts, first, second, strict=True)
        parts = [p - pace * m / (np.sqrt(v) + 1e-8) for p, m, v in moments]
        if step % max(config.steps // 100, 1) == 0:
            best = min(best, relative_error(case, parts, inputs))
    return float(best)


def start(case: depth_budget.Case, rng: np.random.Generator) -> Parameters:
    """Return the initial parameters of each layer: zero `up`, Gaussian `down` and zero bias."""
    d, parts = len(case.target), Parameters()
    for _ in case.weights:
        down = rng.standard_normal((case.rank, d)) / d**0.5
        parts += [np.zeros((d, case.rank)), down, np.zeros((d, 1))]
    return parts


def relative_error(case: depth_budget.Case, parts: Parameters, inputs: np.ndarray) -> float:
    """Return the root mean square of the outputs' error, relative to the target's outputs."""
    wanted = np.maximum(case.target @ inputs, 0)
    return float(np.linalg.norm(_hidden(case, parts, inputs)[-1] - wanted) / np.linalg.norm(wanted))


def gradients(case: depth_budget.Case, parts: Parameters, inputs: np.ndarray) -> Parameters:
    """Return the gradients of half the mean squared error in all `parts`, by the chain rule."""
    hidden = _hidden(case, parts, inputs)
    slope = (hidden[-1] - np.maximum(case.target @ inputs, 0)) / inputs.shape[1]
    slopes: Parameters = []
    for index in reversed(range(len(case.weights))):
        up, down, _ = parts[3 * index : 3 * index + 3]
        slope = slope * (hidden[index + 1] > 0)
        weight = slope @ hidden[index].T
        slopes = [weight @ down.T, up.T @ weight, np.sum(slope, axis=1, keepdims=True), *slopes]
        slope = (case.weights[index] + up @ down).T @ slope
    return slopes


def _hidden(case: depth_budget.Case, parts: Parameters, inputs: np.ndarray) -> list[np.ndarray]:
    hidden = [inputs]
    for index, weight in enumerate(case.weights):
        up, down, bias = parts[3 * index : 3 * index + 3]
        hidden.append(np.maximum((weight + up @ down) @ hidden[-1] + bias, 0))
    return hidden


PART = part("training_gap", cell, [Config(ranks=(2, 8), steps=1000)], [Config()])
