"""Training adapters: a plain loop over prompts and their next words, killed and taken up at will.

The base stays frozen and no weight of it changes: the factors act through hooks, as `attached`
adapters do, and begin as PEFT's do. Peak memory above the model's own is that of the activations,
about ``batch / accumulate`` prompts' worth, and four numbers for each trained one (itself, its
gradient, two moments). Several adapters at once, in one batch, would save next to nothing on a CPU:
a prompt in a batch of 32 took 95 % of its time in one of 16.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.adapters import Adapter, Info
from loratheory.pretrained._ask import batch, first_tokens, last_logits
from loratheory.pretrained._checkpoint import keep, taken_up
from loratheory.pretrained._error import failure
from loratheory.pretrained._model import Model
from loratheory.pretrained._pupil import Pupil, pupil, targets


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


def trained(
    model: Model,
    examples: Sequence[tuple[str, str]],
    training: Training | None = None,
    *,
    rng: np.random.Generator,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> Trained:
    """Return an adapter that makes a model continue prompts as told.

    Parameters
    ----------
    model : Model
        With a tokenizer. On a GPU, products run in bfloat16.
    examples : sequence of (prompt, answer)
        The loss is the cross-entropy of the answer's first token, after a space.
    training : Training, optional
        How; the settings that learn 20 facts on 135M parameters where not given.
    rng : numpy.random.Generator
        One number is drawn from it, which determines first factors and order.
    checkpoint : Path, optional
        A safetensors file to go on from and to write to. Killed and called again, a training ends
        with the adapter it would have had, bit for bit on a CPU; one that is over is only read.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    Trained
        Costs a forward and a backward pass a step, the latter down to the lowest trained layer.

    Raises
    ------
    ModelError
        If nothing can be trained so, or the checkpoint is of another training.
    TrainingError
        If a loss or a gradient is not finite (the last good factors are kept, and in the error),
        or memory ran out.

    References
    ----------
    Hu et al. (ICLR 2022), "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685.
    """
    from torch.optim import AdamW
    from tqdm.auto import tqdm

    how = training or Training()
    _check(how, examples)
    seed = int(rng.integers(2**63))
    names = targets(model, how.layers, how.targets)
    one = pupil(model, names, how.rank, how.alpha / how.rank, np.random.default_rng([seed, 0]))
    optimizer = AdamW(one.tensors, lr=how.rate, weight_decay=0.0)
    info = Info(name=checkpoint.stem if checkpoint else "trained", base=model.name)
    told = _told(model, examples, how, seed)
    losses, over = taken_up(checkpoint, one, optimizer, told) if checkpoint else ([], False)
    answers = first_tokens(model, [answer for _, answer in examples])

    def _keep(*, last: bool) -> None:
        if checkpoint is not None:
            keep(checkpoint, one, optimizer, losses, told, last=last)

    with one.acting(model), tqdm(total=how.steps, initial=len(losses), disable=not progress) as bar:
        while not over and not _enough(losses, how):
            rows = order(seed, len(examples), len(losses) * how.batch, how.batch)
            try:
                loss = _step(model, one, optimizer, examples, answers, rows, how)
            except _Broken as broken:
                _keep(last=False)
                message = (
                    f"after {len(losses)} steps {broken} is not finite: the last good factors are "
                    "kept; lower the rate, or look for what is wrong with the examples"
                )
                raise TrainingError(message, one.adapter(info)) from None
            losses.append(loss)
            bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
            bar.update()
            if len(losses) % how.every == 0:
                _keep(last=False)
    if not over:
        _keep(last=True)
    return Trained(one.adapter(info), tuple(losses))


def order(seed: int, count: int, start: int, size: int) -> list[int]:
    """Return the examples number `start` to ``start + size`` of an endless shuffled series.

    Parameters
    ----------
    seed : int
        Determines the series.
    count : int
        How many examples there are; each comes once in every `count` of the series.
    start, size : int
        Which part.

    Returns
    -------
    list of int
        Indices of examples. Costs a permutation of all for each round that is touched.
    """
    rounds = range(start // count, (start + size - 1) // count + 1)
    series = np.concatenate(
        [np.random.default_rng([seed, 1, i]).permutation(count) for i in rounds]
    )
    first = start - rounds[0] * count
    return [int(i) for i in series[first : first + size]]


class _Broken(ArithmeticError):
    """Which number is not finite."""


def _step(
    model: Model,
    one: Pupil,
    optimizer: Any,
    examples: Sequence[tuple[str, str]],
    answers: Any,
    rows: list[int],
    how: Training,
) -> float:
    """Make one step and return its loss; without one where a number is not finite."""
    import torch
    from torch.nn.functional import cross_entropy

    optimizer.zero_grad()
    total, kind = 0.0, model.network.device.type
    try:
        for part in np.array_split(rows, how.accumulate):
            told = batch(model, [examples[i][0] for i in part])
            with torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu"):
                logits = last_logits(model, told)
            wanted = answers[part].to(logits.device)
            loss = cross_entropy(logits.float(), wanted) * (len(part) / len(rows))
            loss.backward()
            total += loss.item()
    except (torch.OutOfMemoryError, RuntimeError) as error:
        raise _explained(error, how) from error
    norm = torch.nn.utils.clip_grad_norm_(one.tensors, how.clip)
    for name, value in (("the loss", total), ("the gradient", float(norm))):
        if not math.isfinite(value):
            raise _Broken(name)
    optimizer.step()
    return total


def _explained(error: Exception, how: Training) -> Exception:
    """What to lower if memory ran out; any other error as it is."""
    import torch

    spent = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    if not spent:
        return error
    message = (
        f"memory ran out at {math.ceil(how.batch / how.accumulate)} prompts a pass: raise "
        f"accumulate from {how.accumulate} (the result stays), shorten prompts, give fewer layers "
        "or targets, or load the base in bfloat16"
    )
    return TrainingError(message)


def _enough(losses: Sequence[float], how: Training) -> bool:
    last = losses[-how.window :]
    return len(losses) >= how.steps or (
        len(last) == how.window and sum(last) / how.window < how.enough
    )


def _check(how: Training, examples: Sequence[tuple[str, str]]) -> None:
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


def _told(model: Model, examples: Sequence[tuple[str, str]], how: Training, seed: int) -> str:
    """A digest of all that determines the adapter."""
    parts = {
        "base": [model.name, model.revision, model.kind, str(model.network.dtype)],
        "examples": [list(pair) for pair in examples],
        "training": dataclasses.asdict(how),
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
