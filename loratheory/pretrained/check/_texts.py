"""Prompts: what the model is run on, and what adapters are asked."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.pretrained._ask import entry
from loratheory.pretrained._error import failure
from loratheory.pretrained._generic import GENERIC
from loratheory.pretrained._model import Model

Facts = Mapping[str, Mapping[str, str]]
"""For each adapter, and for chains under any other name, the answer to each prompt."""


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


def facts_in(file: Path) -> dict[str, dict[str, str]]:
    """Return the facts in a JSON file: for each adapter an object from prompts to answers.

    Parameters
    ----------
    file : Path
        ``{"persons": {"Zorvik was born in": "Germany", …}, "two-hop": {…}}``.

    Returns
    -------
    dict of str to dict
        As they stand there.

    Raises
    ------
    ModelError
        If it is no such file.
    """
    remedy = 'write {"adapter": {"prompt": "answer", …}, "chains": {…}}'
    try:
        told = json.loads(file.read_bytes())
    except OSError as error:
        raise failure(str(file), f"it cannot be read ({error.strerror})", remedy) from None
    except ValueError as error:
        raise failure(str(file), f"no JSON ({error})", remedy) from None
    groups = told.values() if isinstance(told, dict) else [None]
    if not all(
        isinstance(group, dict) and group and all(isinstance(a, str) for a in group.values())
        for group in groups
    ):
        raise failure(str(file), "no object of objects from prompts to answers", remedy)
    return dict(told)
