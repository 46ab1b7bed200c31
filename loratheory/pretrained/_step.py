"""One step of a training: which examples, their loss, and what stops it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from loratheory.pretrained._ask import batch, last_logits
from loratheory.pretrained._error import spent
from loratheory.pretrained._model import Model
from loratheory.pretrained._pupil import Pupil
from loratheory.pretrained._training import Training, TrainingError


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


class Broken(ArithmeticError):
    """Which number is not finite."""


def step(
    model: Model,
    one: Pupil,
    optimizer: Any,
    examples: Sequence[tuple[str, str]],
    answers: Any,
    rows: list[int],
    how: Training,
) -> float:
    """Make one step and return its loss.

    Parameters
    ----------
    model : Model
        The base; the pupil acts on it.
    one : Pupil
        Whose factors are changed in place.
    optimizer : torch.optim.Optimizer
        Over the pupil's tensors.
    examples : sequence of (prompt, answer)
        All of them.
    answers : (examples,) tensor of int
        The first token of each answer.
    rows : list of int
        Which examples this step is about.
    how : Training
        The settings.

    Returns
    -------
    float
        The mean over the step's examples, before the step. Costs a forward and a backward pass.

    Raises
    ------
    Broken
        If the loss or the gradient is not finite; the factors are what they were.
    TrainingError
        If memory ran out.
    """
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
            loss.backward(inputs=one.tensors)  # none for the base, even if it could have one
            total += loss.item()
    except (MemoryError, RuntimeError) as error:
        raise _explained(error, how) from error
    norm = torch.nn.utils.clip_grad_norm_(one.tensors, how.clip)
    for name, value in (("the loss", total), ("the gradient", float(norm))):
        if not math.isfinite(value):
            raise Broken(name)
    optimizer.step()
    return total


def _explained(error: Exception, how: Training) -> Exception:
    """What to lower if memory ran out; any other error as it is."""
    if not spent(error):
        return error
    message = (
        f"memory ran out at {math.ceil(how.batch / how.accumulate)} prompts a pass: raise "
        f"accumulate from {how.accumulate} (the result stays), shorten prompts, give fewer layers "
        "or targets, or load the base in bfloat16"
    )
    return TrainingError(message)
