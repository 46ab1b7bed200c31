"""Compare gradient training with the construction on twenty networks."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from loratheory.theorems.expressiveness import depth_budget
from paper.studies._shared.run import Row, part
from paper.studies.expressive_power import expressive_power


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
    """Train an adapter; return the least relative error of a hundred evaluations."""
    weights = torch.tensor(np.array(case.weights))
    target, parts, best = torch.tensor(case.target), start(case, rng), np.inf
    optimiser = torch.optim.Adam(parts, lr=rate)
    for step in range(1, config.steps + 1):
        # Inputs are fresh at every step, so that none can be memorised.
        x = torch.tensor(rng.standard_normal((config.width, config.batch)))
        optimiser.zero_grad()
        # Half the mean squared error of a batch.
        gap = run_network(weights, parts, x) - (target @ x).relu()
        (gap.square().sum() / (2 * config.batch)).backward()
        optimiser.step()
        if step % max(config.steps // 100, 1) == 0:
            with torch.no_grad():
                wanted = (target @ torch.tensor(inputs)).relu()
                left = (run_network(weights, parts, torch.tensor(inputs)) - wanted).norm()
            best = min(best, float(left / wanted.norm()))
    return best


def start(case: depth_budget.Case, rng: np.random.Generator) -> list[torch.Tensor]:
    """Return the initial parameters of each layer: zero `up`, Gaussian `down` and zero bias."""
    d, parts = len(case.target), list[np.ndarray]()
    for _ in case.weights:
        down = rng.standard_normal((case.rank, d)) / d**0.5
        parts += [np.zeros((d, case.rank)), down, np.zeros((d, 1))]
    return [torch.tensor(part, requires_grad=True) for part in parts]


def run_network(weights: torch.Tensor, parts: list[torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return the outputs of the ReLU network with its adapters."""
    for weight, up, down, bias in zip(weights, parts[::3], parts[1::3], parts[2::3], strict=True):
        x = ((weight + up @ down) @ x + bias).relu()
    return x


PART = part("training_gap", cell, [Config(ranks=(2, 8), steps=1000)], [Config()])
