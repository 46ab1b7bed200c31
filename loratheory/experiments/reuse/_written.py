"""What a model writes when it goes on from a question by itself."""

from dataclasses import replace

import numpy as np

from loratheory.experiments.reuse._marks import scores
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.toy.transformer import Adapt


def written(shelf: Shelf, acting: Adapt | None) -> tuple[np.ndarray, np.ndarray]:
    """Return how often the model goes on with the new bridge, and after what it wrote, the answer.

    Parameters
    ----------
    shelf : Shelf
        Two hops, one pair.
    acting : callable or None
        What is added to the base.

    Returns
    -------
    two (E,) arrays
        The second counts the right answer after the model's own first word.
    """
    asked = [one.thought for one in shelf.trials[0]]
    place = asked[0].tokens.shape[1] - 1
    short = [
        replace(one, tokens=one.tokens[:, :place].copy(), targets=one.targets[:, :place].copy())
        for one in asked
    ]
    first = scores(shelf.bases, short, acting).argmax(axis=-1)
    bridge = np.stack([one.answer for one in short])
    own = [
        replace(one, tokens=np.concatenate([one.tokens[:, :place], word[:, None]], axis=1))
        for one, word in zip(asked, first, strict=True)
    ]
    last = scores(shelf.bases, own, acting).argmax(axis=-1)
    answer = np.stack([one.answer for one in asked])
    return (first == bridge).mean(axis=1), (last == answer).mean(axis=1)
