"""Prompts as a network takes them, one at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from loratheory.pretrained._ask import entry
from loratheory.pretrained._generic import GENERIC
from loratheory.pretrained._model import Model


def batches(model: Model, prompts: Sequence[str] = GENERIC, seed: int = 0) -> list[dict[str, Any]]:
    """Return prompts as the network takes them, one at a time, so that nothing is padded.

    Parameters
    ----------
    model : Model
        Without a tokenizer, random tokens take the prompts' place.
    prompts : sequence of str
        Twelve plain sentences where not given.
    seed : int
        Of the random tokens.

    Returns
    -------
    list of dict
        Each with `input_ids` on the model's device.
    """
    import torch

    device = entry(model)
    if model.tokenizer is None:
        rng, most = np.random.default_rng(seed), int(model.network.config.vocab_size)
        ids = [torch.from_numpy(rng.integers(0, most, (1, 12))) for _ in prompts]
    else:
        ids = [model.tokenizer(text, return_tensors="pt").input_ids for text in prompts]
    return [{"input_ids": each.to(device)} for each in ids]
