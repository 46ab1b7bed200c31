"""How to train, as data."""

import math
from dataclasses import dataclass

from loratheory.toy.transformer._config import ConfigError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """AdamW (Loshchilov & Hutter 2019) with a rate that rises, then falls to a floor.

    Attributes
    ----------
    steps : int
        How many.
    rate : float
        Highest learning rate.
    warmup : int
        Steps over which the rate rises to it, on a line.
    schedule : str
        How it falls: ``cosine`` or ``linear``.
    floor : float
        Where it ends, as a share of the highest; 1 for a constant rate.
    decay : float
        Weight decay; none on the gains of norms.
    betas : pair of float
        How slowly the averages of AdamW forget.

    Raises
    ------
    ConfigError
        If a number describes no training.
    """

    steps: int
    rate: int | float
    warmup: int = 0
    schedule: str = "cosine"
    floor: int | float = 0.1
    decay: int | float = 0.0
    betas: tuple[float, float] = (0.9, 0.98)

    def __post_init__(self) -> None:
        """Refuse what describes no training."""
        if self.steps < 1 or self.warmup < 0:
            message = f"{self.steps} steps, {self.warmup} to warm up: give at least 1 and 0"
            raise ConfigError(message)
        if not 0 < self.rate < math.inf:
            message = f"rate is {self.rate}: give a finite number above 0, such as 1e-3"
            raise ConfigError(message)
        if not 0 <= self.floor <= 1:
            message = f"floor is {self.floor}: give a share of the highest rate, from 0 to 1"
            raise ConfigError(message)
        if not 0 <= self.decay < math.inf:
            message = f"decay is {self.decay}: give a finite number that is not negative"
            raise ConfigError(message)
        if self.schedule not in ("cosine", "linear"):
            message = f"schedule is {self.schedule!r}: choose cosine or linear"
            raise ConfigError(message)

    def share(self, step: int) -> float:
        """The rate of a step, counted from 0, as a share of the highest."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        gone = (step - self.warmup) / max(self.steps - self.warmup, 1)
        left = (1 + math.cos(math.pi * gone)) / 2 if self.schedule == "cosine" else 1 - gone
        return self.floor + (1 - self.floor) * left


BASE = Recipe(steps=700, rate=1e-3, warmup=100, schedule="cosine", decay=1.0)
"""For a base of width 128 that answers held-out two-hop questions; batches of 96 prompts."""

LORA = Recipe(steps=120, rate=5e-3, schedule="linear")
"""For adapters of rank 8 on the MLPs of such a base; all prompts in every batch."""
