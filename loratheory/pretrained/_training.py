"""A training as it is planned and what comes of it: settings, their check, their digest, result."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from loratheory.adapters import Adapter
from loratheory.pretrained._error import failure
from loratheory.pretrained._model import Model


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
    """Return the settings, the default ones where none are given, if a training can begin.

    Parameters
    ----------
    training : Training or None
        The settings.
    examples : sequence of (prompt, answer)
        The data.

    Returns
    -------
    Training
        As given.

    Raises
    ------
    ModelError
        If there are no examples, a count is below 1, or there are more passes than prompts.
    """
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
    """Return what names a training: only the same one goes on from its checkpoint.

    Parameters
    ----------
    model : Model
        Its name, revision, class and type count, not its weights.
    examples : sequence of (prompt, answer)
        In their order.
    how : Training
        Every setting counts.
    seed : int
        Of first factors and order.

    Returns
    -------
    str
        SHA-256, in hexadecimal digits.
    """
    parts = {
        "base": [model.name, model.revision, model.kind, str(model.network.dtype)],
        "examples": [list(pair) for pair in examples],
        "training": dataclasses.asdict(how),
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
