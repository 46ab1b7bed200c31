"""What a small transformer is made of, and how it is trained, as data."""

import math
from dataclasses import dataclass

ATTENTION = ("attention.query", "attention.key", "attention.value", "attention.output")
MLP = ("mlp.in", "mlp.out")
HEAD = "head"
NORMS = ("rms", "none")
POSITIONS = ("none", "learned", "rope")


class ConfigError(ValueError):
    """Numbers that describe no model or no training run."""


@dataclass(frozen=True)
class Site:
    """One linear map at one moment of the computation.

    Attributes
    ----------
    module : str
        One of `ATTENTION`, of `MLP`, or ``"head"``.
    loop : int
        Which pass through the block, from 0; the head reads after that pass.
    layer : int
        Which layer of the block, from 0; the depth of the block for the head.
    """

    module: str
    loop: int
    layer: int

    @property
    def name(self) -> str:
        """The weight that acts here, one for all loops, such as ``layers.0.mlp.in``."""
        return self.module if self.module == HEAD else f"layers.{self.layer}.{self.module}"


@dataclass(frozen=True, kw_only=True)
class Config:
    """A decoder: a block of layers, passed through `loops` times with the same weights.

    Attributes
    ----------
    vocabulary : int
        How many tokens there are.
    width : int
        Dimension of the residual stream; the inner side of an MLP is four times that.
    heads : int
        Attention heads; they divide the width.
    depth : int
        Layers of the block.
    loops : int
        Passes through the block; 1 is a plain transformer.
    window : int, optional
        How many tokens attention sees, the present one included; all before it where not given.
    norm : str
        ``rms`` normalises what each sublayer and the head read; ``none`` leaves it as it is.
    position : str
        ``none``, ``learned`` (added to the embedding) or ``rope`` (rotates queries and keys).
    context : int
        Most tokens of a sequence where positions are learned; idle elsewhere.
    tied : bool
        Whether the head is the embedding.
    noise : float
        Training adds Gaussian noise after each layer: this share of the residual stream's rms.
    supervision : float
        Weight of the loss on answers decoded after the loop in which they are due.

    Raises
    ------
    ConfigError
        If a number describes no model.
    """

    vocabulary: int
    width: int = 64
    heads: int = 2
    depth: int = 2
    loops: int = 1
    window: int | None = None
    norm: str = "rms"
    position: str = "none"
    context: int = 16
    tied: bool = True
    noise: int | float = 0.0
    supervision: int | float = 0.0

    def __post_init__(self) -> None:
        """Refuse what describes no model."""
        for name in ("vocabulary", "width", "heads", "depth", "loops", "context"):
            if (value := getattr(self, name)) < 1:
                message = f"{name} is {value}: give 1 or more"
                raise ConfigError(message)
        if self.window is not None and self.window < 1:
            message = f"window is {self.window}: give 1 (the token itself) or more, or None for all"
            raise ConfigError(message)
        for name, known in (("norm", NORMS), ("position", POSITIONS)):
            if (value := getattr(self, name)) not in known:
                message = f"{name} is {value!r}: choose one of {', '.join(known)}"
                raise ConfigError(message)
        for name in ("noise", "supervision"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                message = f"{name} is {value}: give a finite number that is not negative"
                raise ConfigError(message)
        self._check_sides()

    def _check_sides(self) -> None:
        """What the numbers must be to each other."""
        if self.width % self.heads:
            message = f"{self.heads} heads do not divide width {self.width}: give a divisor"
            raise ConfigError(message)
        if self.position == "rope" and self.width // self.heads % 2:
            message = (
                f"rope rotates pairs, and a head of width {self.width} / {self.heads} is odd: "
                "give a width that is an even multiple of heads"
            )
            raise ConfigError(message)
        if self.supervision and self.loops == 1:
            message = "supervision acts between loops, and there is one loop: give loops=2 or 0"
            raise ConfigError(message)

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Outputs and inputs of every linear map, by the name of its weight."""
        d = self.width
        sides = {**dict.fromkeys(ATTENTION, (d, d)), "mlp.in": (4 * d, d), "mlp.out": (d, 4 * d)}
        block = {
            Site(module, 0, layer).name: shape
            for layer in range(self.depth)
            for module, shape in sides.items()
        }
        return {**block, HEAD: (self.vocabulary, d)}


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
