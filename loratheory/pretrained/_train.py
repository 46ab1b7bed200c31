"""Training adapters: a plain loop over prompts and their next words, killed and resumed at will.

The base stays frozen and no weight of it changes: the factors act through hooks, as `attached`
adapters do, and begin as PEFT's do. Peak memory above the model's own is that of the activations,
about ``batch / accumulate`` prompts' worth, and four numbers for each trained one (itself, its
gradient, two moments). Several adapters at once, in one batch, would save next to nothing on a CPU:
a prompt in a batch of 32 took 95 % of its time in one of 16.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.adapters import Info
from loratheory.pretrained._ask import batch, first_tokens, last_logits
from loratheory.pretrained._model import Model, spent
from loratheory.pretrained._trainable import (
    Trainable,
    keep,
    resumed,
    targets,
    trainable,
)
from loratheory.pretrained._training import (
    Trained,
    Training,
    TrainingError,
    digest,
    usable,
)


def trained(
    model: Model,
    examples: Sequence[tuple[str, str]],
    training: Training | None = None,
    *,
    rng: np.random.Generator,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> Trained:
    """Return an adapter that makes a model continue prompts with their answers.

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

    how = usable(training, examples)
    seed = int(rng.integers(2**63))
    names = targets(model, how.layers, how.targets)
    one = trainable(model, names, how.rank, how.alpha / how.rank, np.random.default_rng([seed, 0]))
    optimizer = AdamW(one.tensors, lr=how.rate, weight_decay=0.0)
    info = Info(name=checkpoint.stem if checkpoint else "trained", base=model.name)
    name = digest(model, examples, how, seed)
    losses, over = resumed(checkpoint, one, optimizer, name) if checkpoint else ([], False)
    answers = first_tokens(model, [answer for _, answer in examples])

    def _keep(*, last: bool) -> None:
        if checkpoint is not None:
            keep(checkpoint, one, optimizer, losses, name, last=last)

    with (
        one.acting(),
        tqdm(total=how.steps, initial=len(losses), disable=not progress) as bar,
    ):
        while not over and not _enough(losses, how):
            rows = order(seed, len(examples), len(losses) * how.batch, how.batch)
            try:
                loss = step(model, one, optimizer, examples, answers, rows, how)
            except Broken as broken:
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


def _enough(losses: Sequence[float], how: Training) -> bool:
    last = losses[-how.window :]
    return len(losses) >= how.steps or (
        len(last) == how.window and sum(last) / how.window < how.enough
    )


def order(seed: int, count: int, start: int, size: int) -> list[int]:
    """The examples number `start` to ``start + size`` of an endless series shuffled by `seed`.

    Each of the `count` examples comes once in every `count` of the series.
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
    one: Trainable,
    optimizer: Any,
    examples: Sequence[tuple[str, str]],
    answers: Any,
    rows: list[int],
    how: Training,
) -> float:
    """Make one step with the examples `rows`, and return their mean loss before it.

    Costs a forward and a backward pass. Raises `Broken` if the loss or the gradient is not finite:
    the factors are then what they were.
    """
    import torch
    from torch.nn.functional import cross_entropy

    optimizer.zero_grad()
    total, kind = 0.0, model.network.device.type
    try:
        for part in np.array_split(rows, how.accumulate):
            prompts = batch(model, [examples[i][0] for i in part])
            with torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu"):
                logits = last_logits(model, prompts)
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
