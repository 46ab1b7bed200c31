"""What a model says next: prompts to batches, batches to logits of the next token."""

from collections.abc import Sequence
from inspect import signature
from typing import Any

from loratheory.pretrained._error import failure
from loratheory.pretrained._model import Model


def batch(model: Model, prompts: Sequence[str]) -> dict[str, Any]:
    """Return prompts as a batch that ends where each prompt ends.

    Parameters
    ----------
    model : Model
        With a tokenizer; its own padding settings are neither used nor changed.
    prompts : sequence of str
        At least one.

    Returns
    -------
    dict of str to (b, t) tensor
        `input_ids` padded on the left, `attention_mask`, and `position_ids` that count from the
        first real token, on the model's device: what the network is called with.

    Raises
    ------
    ModelError
        If the model has no tokenizer, or a prompt no token.
    """
    import torch

    _readable(model)
    rows = [model.tokenizer(prompt)["input_ids"] for prompt in prompts]
    if not all(rows):
        empty = f"prompt {prompts[rows.index([])]!r}"
        raise failure(empty, "it has no token", "give it at least one word")
    pad = getattr(model.tokenizer, "pad_token_id", None) or 0
    length = max(map(len, rows))
    ids = torch.tensor([[pad] * (length - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    made = {
        "input_ids": ids,
        "attention_mask": mask,
        "position_ids": (mask.cumsum(-1) - 1).clamp(min=0),
    }
    return {name: values.to(entry(model)) for name, values in made.items()}


def next_logits(model: Model, prompts: Sequence[str], *, size: int = 64) -> Any:
    """Return the logits of the token that follows each prompt.

    Parameters
    ----------
    model : Model
        Adapters that act on it at the time have their effect.
    prompts : sequence of str
        At least one.
    size : int
        How many are passed at once.

    Returns
    -------
    (prompts, vocabulary) tensor
        In float32, on the CPU; padding has no effect but rounding. Costs the forward passes.
    """
    import torch

    found = []
    with torch.no_grad():
        for start in range(0, len(prompts), size):
            told = batch(model, prompts[start : start + size])
            found.append(last_logits(model, told).float().cpu())
    return torch.cat(found)


def first_tokens(model: Model, words: Sequence[str]) -> Any:
    """Return the first token of each word as it follows a space.

    Parameters
    ----------
    model : Model
        With a tokenizer; one that puts a space before what it reads is given none.
    words : sequence of str
        Answers; those with one first token cannot be told apart by it.

    Returns
    -------
    (words,) tensor of int
        On the CPU.

    Raises
    ------
    ModelError
        If the model has no tokenizer, a word no token, or if different words all begin alike.
    """
    import torch

    _readable(model)
    before = "" if _tokens(model, "b a") == _tokens(model, "b") + _tokens(model, "a") else " "
    rows = [_tokens(model, f"{before}{word}") for word in words]
    if not all(rows):
        empty = f"answer {words[rows.index([])]!r}"
        raise failure(empty, "it has no token", "give it a letter")
    first = [row[0] for row in rows]
    if len(set(first)) == 1 < len(set(words)):
        fact = f"{len(set(words))} answers begin with one token"
        raise failure(
            model.name or model.kind, fact, "give some that their first tokens tell apart"
        )
    return torch.tensor(first, dtype=torch.int64)


def last_logits(model: Model, told: dict[str, Any]) -> Any:
    """Return the logits of the last position, ``(b, vocabulary)``, on the device."""
    known = signature(model.network.forward).parameters
    spared = {"logits_to_keep": 1, "use_cache": False}
    extra = {name: value for name, value in spared.items() if name in known}
    return model.network(**told, **extra).logits[:, -1]


def entry(model: Model) -> Any:
    """Return the device that takes a model's tokens; offloaded models fetch them themselves."""
    device = next(model.network.parameters()).device
    return "cpu" if device.type == "meta" else device


def _tokens(model: Model, text: str) -> list[int]:
    return list(model.tokenizer(text, add_special_tokens=False)["input_ids"])


def _readable(model: Model) -> None:
    if model.tokenizer is None:
        remedy = "load it from a folder that holds its tokenizer"
        raise failure(model.name or model.kind, "it has no tokenizer", remedy)
