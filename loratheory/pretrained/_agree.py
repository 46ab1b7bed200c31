"""Whether adapters, each alone, make a model say the same: prompts are needed, and no answers."""

from collections.abc import Sequence

import numpy as np

from loratheory.adapters import Adapter
from loratheory.pretrained._ask import next_logits
from loratheory.pretrained._attach import attached
from loratheory.pretrained._model import Model
from loratheory.shapes import Float64


def agreement(
    model: Model, adapters: Sequence[Adapter], prompts: Sequence[str]
) -> Float64[np.ndarray, "k k"]:
    """Return how often each two adapters, one at a time, call for the same next token.

    Parameters
    ----------
    model : Model
        With a tokenizer.
    adapters : sequence of Adapter
        At least one.
    prompts : sequence of str
        At least one; no answers are needed.

    Returns
    -------
    (k, k) array
        Shares of the prompts; ones on the diagonal. Costs a pass over the prompts an adapter.
    """
    said = []
    with attached(model, adapters) as acting:
        for place in range(len(adapters)):
            acting.set(np.eye(len(adapters))[place])
            said.append(next_logits(model, prompts).argmax(-1).numpy())
    tokens = np.stack(said)
    return (tokens[:, None] == tokens[None]).mean(axis=-1)
