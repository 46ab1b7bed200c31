"""A tokenizer of letters for the small random models, and a short training on letters."""

import numpy as np
from causal import VOCABULARY, network

from loratheory.pretrained import Model, Training


class Letters:
    """Each letter is a token; a word after a space begins with a token of its own."""

    pad_token_id = None

    def __call__(self, text, **_):
        """The number of each letter, whatever the options."""
        return {"input_ids": [1 + ord(letter) % (VOCABULARY - 1) for letter in text.strip()]}


def model(kind="llama", seed=0):
    """A small random network that reads letters."""
    return Model(network(kind, seed), Letters(), kind)


EXAMPLES = [("abc", "x"), ("de", "y"), ("fghi", "z"), ("jk", "q"), ("lmnop", "r")]
SMALL = Training(rank=2, alpha=6, rate=0.02, batch=3, steps=6, enough=0.0, every=2, clip=0.5)


def draws(seed=7):
    """The generator that trainings get."""
    return np.random.default_rng(seed)


def same(one, other):
    """Whether two adapters are equal bit for bit."""
    return one.keys() == other.keys() and all(
        np.array_equal(one[name].up, other[name].up)
        and np.array_equal(one[name].down, other[name].down)
        for name in one
    )
