"""A training as it is planned: its settings, what names it, what a step of it takes."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from loratheory.adapters import Adapter
from loratheory.pretrained._model import Model, failure, maps
from loratheory.pretrained._trainable import targets

KEPT = 110
"""Bytes of activations for each token, layer and unit of width, in float32."""


class TrainingError(RuntimeError):
    """A training could not go on.

    Attributes
    ----------
    adapter : Adapter or None
        The last good one.
    """

    def __init__(self, message: str, adapter: Adapter | None = None) -> None:
        super().__init__(message)
        self.adapter = adapter


@dataclass(frozen=True)
class Training:
    """How an adapter is trained.

    Attributes
    ----------
    rank : int
        Of each update.
    alpha : float
        The update is ``alpha / rank * up @ down``.
    layers : (int, int) or None
        The first layer that gets updates and the one after the last; None for all.
    targets : tuple of str
        Last parts of the names of linear maps; empty for all but the output head.
    rate : float
        Of AdamW, without weight decay.
    batch, accumulate : int
        Prompts a step, and in how many passes; the result depends on the passes by rounding only.
    steps : int
        At most.
    enough, window : float and int
        Training ends when the mean loss of the last `window` steps is below `enough`.
    clip : float
        Largest norm of a step's gradient.
    every : int
        Steps from checkpoint to checkpoint.
    """

    rank: int = 8
    alpha: int | float = 16
    layers: tuple[int, int] | None = None
    targets: tuple[str, ...] = ()
    rate: float = 3e-3
    batch: int = 16
    accumulate: int = 1
    steps: int = 150
    enough: float = 0.1
    window: int = 10
    clip: float = 1.0
    every: int = 25


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of a training.

    Attributes
    ----------
    adapter : Adapter
        In float32.
    losses : tuple of float
        One a step.
    """

    adapter: Adapter
    losses: tuple[float, ...]


def usable(training: Training | None, examples: Sequence[tuple[str, str]]) -> Training:
    """The settings, the default ones where none are given, if a training can begin with them."""
    how = training or Training()
    if not examples:
        raise failure(str(how), "there are no examples", "give (prompt, answer) pairs")
    wrong = [
        name
        for name in ("rank", "batch", "accumulate", "steps", "window", "every")
        if getattr(how, name) < 1
    ]
    if wrong or how.accumulate > how.batch:
        name = wrong[0] if wrong else "accumulate"
        fact = f"{name} is {getattr(how, name)}"
        raise failure(str(how), fact, "give 1 or more, and no more passes than prompts a step")
    return how


def digest(model: Model, examples: Sequence[tuple[str, str]], how: Training, seed: int) -> str:
    """What names a training, a SHA-256: only the same one goes on from its checkpoint.

    Of the model its name, revision, class and type count, not its weights; of the examples their
    order, too; every setting; and the seed of first factors and order.
    """
    parts = {
        "base": [model.name, model.revision, model.kind, str(model.network.dtype)],
        "examples": [list(pair) for pair in examples],
        "training": dataclasses.asdict(how),
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Cost:
    """What one step of a training takes.

    Attributes
    ----------
    weights : int
        Bytes of the base.
    trained : int
        Numbers that are trained; each takes 16 bytes: itself, its gradient, two moments.
    activations : int
        Bytes kept for the backward pass, about.
    operations : int
        Multiplications and additions, about.
    """

    weights: int
    trained: int
    activations: int
    operations: int

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
        Batch, passes, rank, layers and targets.
    tokens : int
        Of a prompt, padding included.

    Returns
    -------
    Cost
        With every layer trained, ``4 P t`` operations for ``P`` weights of linear maps and ``t``
        tokens a step: forward, and back through activations alone; layers below the first trained
        one are only passed forward. `activations` is measured on Llamas of width 256 to 576
        (97 to 127 bytes a token, layer and unit of width in float32), half of it in bfloat16.
    """
    network = model.network
    names = targets(model, training.layers, training.targets)
    known = maps(model)
    head = getattr(network, "get_output_embeddings", lambda: None)()
    each = {id(place.module): place for place in known.values() if not place.embedding}
    linear = sum(m * n for m, n in (x.shape for x in each.values() if x.module is not head))
    depth = int(network.config.num_hidden_layers)
    share = 1.0 if training.layers is None else 1 - training.layers[0] / depth
    length = training.batch * tokens
    passed = -(-training.batch // training.accumulate) * tokens
    half = 1 if network.dtype.itemsize >= 4 else 2
    width = int(network.config.hidden_size)
    return Cost(
        weights=sum(p.numel() * p.element_size() for p in network.parameters()),
        trained=training.rank * sum(sum(known[name].shape) for name in names),
        activations=int(KEPT * passed * depth * share * width) // half,
        operations=int(2 * (1 + share) * linear * length),
    )
