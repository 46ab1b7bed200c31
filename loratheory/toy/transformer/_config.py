"""The configuration of a small transformer, and the recipe of its training."""

import math
from dataclasses import dataclass

ATTENTION = ("attention.query", "attention.key", "attention.value", "attention.output")
MLP = ("mlp.in", "mlp.out")
HEAD = "head"
NORMS = ("rms", "none")
POSITIONS = ("none", "learned", "rope")


class ConfigError(ValueError):
    """A configuration that describes no possible model or training run."""


def _refuse_unless(value: object, holds: bool, name: str, remedy: str) -> None:
    if not holds:
        message = f"{name} is {value!r}: {remedy}"
        raise ConfigError(message)


@dataclass(frozen=True)
class Site:
    """One use of a linear map in a pass: the same map is used once in every loop.

    Attributes
    ----------
    module : str
        One of `ATTENTION`, of `MLP`, or ``"head"``.
    loop : int
        The pass through the block, counted from 0; for the head, the pass before it.
    layer : int
        The layer of the block, counted from 0; for the head, the depth of the block.
    """

    module: str
    loop: int
    layer: int

    @property
    def name(self) -> str:
        """The name of the weight used here, the same in all loops, such as ``layers.0.mlp.in``."""
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
        How many tokens attention sees, the present one included; by default all up to it.
    norm : str
        ``rms`` normalises what each sublayer and the head read; ``none`` leaves it as it is.
    position : str
        ``none``, ``learned`` (added to the embedding) or ``rope`` (rotates queries and keys).
    context : int
        The longest sequence where positions are learned; not used otherwise.
    tied : bool
        Whether the head is the embedding.
    noise : float
        Training adds Gaussian noise after each layer, of this share of the residual stream's rms.
    supervision : float
        Weight of the loss on targets decoded after earlier loops than the last.
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
        """Raise ConfigError for values that describe no possible model."""
        for name in ("vocabulary", "width", "heads", "depth", "loops", "context"):
            value = getattr(self, name)
            _refuse_unless(value, value >= 1, name, "give 1 or more")
        own = self.window is None or self.window >= 1
        _refuse_unless(self.window, own, "window", "give 1 (the token itself) or more, or None")
        for name, known in (("norm", NORMS), ("position", POSITIONS)):
            value = getattr(self, name)
            _refuse_unless(value, value in known, name, f"choose one of {', '.join(known)}")
        for name in ("noise", "supervision"):
            value = getattr(self, name)
            _refuse_unless(value, 0 <= value < math.inf, name, "give a finite number, 0 or above")
        divisor = f"give a divisor of the width {self.width}"
        _refuse_unless(self.heads, self.width % self.heads == 0, "heads", divisor)
        even = self.position != "rope" or self.width // self.heads % 2 == 0
        pairs = f"rope rotates pairs: give an even multiple of {self.heads} heads"
        _refuse_unless(self.width, even, "width", pairs)
        between = not self.supervision or self.loops > 1
        loops = "it acts between loops, and there is one: give loops=2 or 0"
        _refuse_unless(self.supervision, between, "supervision", loops)

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """The shape (outputs, inputs) of every linear map, by the name of its weight."""
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
        The number of steps.
    rate : float
        The highest learning rate.
    warmup : int
        Steps over which the rate rises linearly to the highest.
    schedule : str
        How the rate falls: ``cosine`` or ``linear``.
    floor : float
        The last rate as a share of the highest; 1 for a constant rate.
    decay : float
        Weight decay, which gains of norms do not have.
    betas : pair of float
        Decay factors of AdamW's averages of the gradient and of its square.
    """

    steps: int
    rate: int | float
    warmup: int = 0
    schedule: str = "cosine"
    floor: int | float = 0.1
    decay: int | float = 0.0
    betas: tuple[float, float] = (0.9, 0.98)

    def __post_init__(self) -> None:
        """Raise ConfigError for values that describe no possible training."""
        for name, holds, remedy in (
            ("steps", self.steps >= 1, "give 1 or more"),
            ("warmup", self.warmup >= 0, "give 0 or more"),
            ("rate", 0 < self.rate < math.inf, "give a finite number above 0, such as 1e-3"),
            ("floor", 0 <= self.floor <= 1, "give a share of the highest rate, from 0 to 1"),
            ("decay", 0 <= self.decay < math.inf, "give a finite number, 0 or above"),
            ("schedule", self.schedule in ("cosine", "linear"), "choose cosine or linear"),
        ):
            _refuse_unless(getattr(self, name), holds, name, remedy)

    def share(self, step: int) -> float:
        """Return the rate at a step, counted from 0, as a share of the highest."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        gone = (step - self.warmup) / max(self.steps - self.warmup, 1)
        left = (1 + math.cos(math.pi * gone)) / 2 if self.schedule == "cosine" else 1 - gone
        return self.floor + (1 - self.floor) * left


BASE = Recipe(steps=700, rate=1e-3, warmup=100, schedule="cosine", decay=1.0)
"""For a base of width 128 that answers held-out two-hop questions; batches of 96 prompts."""

LORA = Recipe(steps=120, rate=5e-3, schedule="linear")
"""For adapters of rank 8 on the MLPs of such a base; all prompts in every batch."""
