"""The settings of a training, the modules that it trains, its digest, and what a step costs."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.adapters import Adapter
from loratheory.diagnosis import layer_of
from loratheory.pretrained._model import Model, failure, maps, output_head

KEPT = 110
"""Bytes of activations for each token, layer and unit of width, in float32."""


class TrainingError(RuntimeError):
    """A training could not go on; `adapter` is the last good one, or None."""

    def __init__(self, message: str, adapter: Adapter | None = None) -> None:
        super().__init__(message)
        self.adapter = adapter


@dataclass(frozen=True)
class Training:
    """How an adapter is trained.

    Attributes
    ----------
    rank : int
        Rank of each update.
    alpha : float
        The update is ``alpha / rank * up @ down``.
    layers : (int, int) or None
        The first layer that gets updates and the one after the last; None for all.
    targets : tuple of str
        Last parts of the names of linear maps, such as ``q_proj``; empty for all but the head.
    rate : float
        Learning rate of AdamW, without weight decay.
    last_rate : float
        The share of `rate` that is left after all `steps`; the rate falls linearly.
    batch, accumulate : int
        Prompts in a step, and in how many passes they are computed, which changes rounding only.
    steps : int
        The largest number of steps.
    enough, window : float and int
        Training ends when the mean loss of the last `window` steps is below `enough`.
    clip : float
        Largest norm of a step's gradient.
    every : int
        Steps between checkpoints.
    strengths : tuple of float
        Coefficients of the stand-ins; one is drawn for each step.
    """

    rank: int = 8
    alpha: int | float = 16
    layers: tuple[int, int] | None = None
    targets: tuple[str, ...] = ()
    rate: float = 3e-3
    last_rate: float = 1.0
    batch: int = 16
    accumulate: int = 1
    steps: int = 150
    enough: float = 0.1
    window: int = 10
    clip: float = 1.0
    every: int = 25
    strengths: tuple[float, ...] = (0.5, 1.0)

    @classmethod
    def beside_stand_ins(cls, steps: int) -> "Training":
        """Return settings for training beside stand-ins: all steps are made, whatever the loss."""
        return cls(rate=2e-3, last_rate=0.1, steps=steps, enough=0.0)

    def rate_at(self, number: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self.rate * (1 - (1 - self.last_rate) * number / self.steps)

    def ended(self, losses: Sequence[float]) -> bool:
        """Whether a training with these losses so far is over."""
        last = losses[-self.window :]
        low = len(last) == self.window and sum(last) / self.window < self.enough
        return low or len(losses) >= self.steps


@dataclass(frozen=True, eq=False)
class StandIn:
    """A made-up adapter that acts while another is trained, in place of a partner yet unknown.

    Attributes
    ----------
    adapter : Adapter
        It is not trained, and no part of it enters the adapter that is.
    examples : sequence of (prompt, answer)
        Prompts whose answers are right while it acts; trained on beside those that always hold.
    """

    adapter: Adapter
    examples: Sequence[tuple[str, str]]

    @property
    def content(self) -> str:
        """A SHA-256 of its factors and examples."""
        whole = hashlib.sha256(json.dumps([list(pair) for pair in self.examples]).encode())
        for name, update in self.adapter.items():
            whole.update(name.encode())
            for factor in (update.up, update.down):
                whole.update(np.ascontiguousarray(np.asarray(factor)).tobytes())
        return whole.hexdigest()


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of a training: the adapter, in float32, and the loss of each step."""

    adapter: Adapter
    losses: tuple[float, ...]


def targets(model: Model, how: Training) -> list[str]:
    """The linear maps to train, in the network's order, each once, the output head never.

    Raises `ModelError` if there is none in these layers and with these endings.
    """
    head, chosen = output_head(model), dict[int, str]()
    for name, place in maps(model).items():
        number = layer_of(name)
        inside = how.layers is None or (
            number is not None and how.layers[0] <= number < how.layers[1]
        )
        ends = not how.targets or name.rpartition(".")[2] in how.targets
        if inside and ends and not place.embedding and place.module is not head:
            chosen.setdefault(id(place.module), name)
    if not chosen:
        endings = ", ".join(how.targets) or "anything"
        fact = f"no linear map ends in {endings} in layers {how.layers}"
        raise model.failure(fact, "choose among the names in maps(model)")
    return list(chosen.values())


def usable(
    training: Training | None,
    examples: Sequence[tuple[str, str]],
    beside: Sequence[StandIn] = (),
) -> Training:
    """The settings, the default ones where none are given, if a training can begin with them."""
    how = training or Training()
    if not examples:
        raise failure(str(how), "there are no examples", "give (prompt, answer) pairs")
    for name in ("rank", "batch", "accumulate", "steps", "window", "every"):
        count = getattr(how, name)
        if count < 1 or (name == "accumulate" and count > how.batch):
            fact = f"{name} is {count}"
            raise failure(str(how), fact, "give 1 or more, and no more passes than prompts a step")
    finite = all(map(math.isfinite, how.strengths))
    if beside and not (how.strengths and finite):
        fact = f"strengths are {how.strengths}"
        raise failure(str(how), fact, "give at least one finite number for stand-ins to act with")
    return how


def digest(
    model: Model,
    examples: Sequence[tuple[str, str]],
    how: Training,
    seed: int,
    beside: Sequence[StandIn] = (),
) -> str:
    """What names a training, a SHA-256: only the same one goes on from its checkpoint.

    Of the model its name, revision, class and type count, and of one in a folder its weights and
    tokenizer; of the examples their order, too; every setting; the stand-ins; and the seed of first
    factors and order. Settings that came later count where they are used: older checkpoints stay.
    """
    base = [model.name, model.revision, model.kind, str(model.network.dtype), *model.content]
    parts: dict[str, Any] = {
        "base": base,
        "examples": [list(pair) for pair in examples],
        "training": dataclasses.asdict(how),
        "seed": seed,
    }
    for later in ("last_rate", "strengths"):
        if getattr(how, later) == getattr(Training, later):
            del parts["training"][later]
    if beside:
        parts["beside"] = [one.content for one in beside]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Cost:
    """What one step of a training takes."""

    weights: int  # bytes of the base
    trained: int  # numbers; each takes 16 bytes: itself, its gradient, two moments
    activations: int  # bytes kept for the backward pass, about
    operations: int  # multiplications and additions, about

    @property
    def memory(self) -> int:
        """Bytes in all, beside what Python and PyTorch take themselves."""
        return self.weights + 16 * self.trained + self.activations


def cost(model: Model, training: Training, *, tokens: int) -> Cost:
    """Return what a training step takes, without making one.

    Parameters
    ----------
    model : Model
        Its weights may be on the device ``meta``: nothing is computed.
    training : Training
        Its batch, passes, rank, layers and targets count.
    tokens : int
        Tokens in a prompt, padding included.

    Returns
    -------
    Cost
        With every layer trained, ``4 P t`` operations for ``P`` weights of linear maps and ``t``
        tokens a step: forward, and back through activations alone; layers below the first trained
        one are only passed forward. `activations` is measured on Llamas of width 256 to 576
        (97 to 127 bytes a token, layer and unit of width in float32), half of it in bfloat16.
    """
    network, places = model.network, maps(model)
    head, depth = output_head(model), int(network.config.num_hidden_layers)
    shapes = {
        id(one.module): one.shape
        for one in places.values()
        if not one.embedding and one.module is not head
    }
    share = 1.0 if training.layers is None else 1 - training.layers[0] / depth
    passed = -(-training.batch // training.accumulate) * tokens
    half = 1 if network.dtype.itemsize >= 4 else 2
    width, linear = int(network.config.hidden_size), sum(m * n for m, n in shapes.values())
    return Cost(
        weights=sum(p.numel() * p.element_size() for p in network.parameters()),
        trained=training.rank * sum(sum(places[n].shape) for n in targets(model, training)),
        activations=int(KEPT * passed * depth * share * width) // half,
        operations=int(2 * (1 + share) * linear * training.batch * tokens),
    )
