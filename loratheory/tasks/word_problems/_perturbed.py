"""The same problems otherwise: in other words, of others, in another order, with other numbers."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loratheory.tasks._error import impossible
from loratheory.tasks.word_problems._filling import filled
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._sampling import ENTITIES, WORDINGS

_ROUNDS = 100


def reworded(
    here: Problems, *, rng: np.random.Generator, wordings: Sequence[int] = range(WORDINGS)
) -> Problems:
    """Return the problems with every sentence in other words.

    Parameters
    ----------
    here : Problems
        Their answers stay.
    rng : Generator
        Chooses the wordings.
    wordings : sequence of int
        Below 4.

    Returns
    -------
    Problems
        No sentence is worded as it was.

    Raises
    ------
    ImpossibleError
        If a sentence is in the only wording allowed.
    """
    allowed = np.unique(np.array([*wordings], dtype=np.int64))
    if not len(allowed) or allowed.min() < 0 or allowed.max() >= WORDINGS:
        fact = f"wordings are {allowed.tolist()}"
        raise impossible(fact, f"name some of {', '.join(map(str, range(WORDINGS)))}")
    if len(allowed) == 1 and allowed[0] in (*here.wordings[here.told], *here.asking):
        fact = f"some sentences are in wording {allowed[0]} already"
        raise impossible(fact, "allow another wording")
    said = np.concatenate([here.wordings, here.asking[:, None]], axis=1)
    luck = rng.random((*said.shape, len(allowed)))
    luck[said[:, :, None] == allowed] = -1
    said = allowed[luck.argmax(axis=2)]
    return replace(here, wordings=said[:, :-1], asking=said[:, -1])


def renamed(here: Problems, *, rng: np.random.Generator) -> Problems:
    """Return the problems about others: each name is another one, still different in a problem."""
    shift = rng.integers(1, ENTITIES, size=(len(here), 1))
    return replace(here, names=np.where(here.told, (here.names + shift) % ENTITIES, -1))


def reordered(here: Problems, *, rng: np.random.Generator) -> Problems:
    """Return the problems told in another order, in which steps may precede what they need.

    Parameters
    ----------
    here : Problems
        Their answers stay; their solutions follow the new order where they can.
    rng : Generator
        Draws among all orders but the one there is.

    Returns
    -------
    Problems
        No problem is told as it was.
    """
    order, left = here.order.copy(), np.arange(len(here))
    while len(left):
        luck = np.where(here.told[left], rng.random((len(left), order.shape[1])), 2.0)
        order[left] = luck.argsort(axis=1, kind="stable")
        left = left[(order[left] == here.order[left]).all(axis=1)]
    return replace(here, order=order)


def renumbered(here: Problems, *, rng: np.random.Generator) -> Problems:
    """Return the problems with other numbers, and the answers that follow.

    Parameters
    ----------
    here : Problems
        Their templates, names, words and order stay.
    rng : Generator
        Draws the numbers.

    Returns
    -------
    Problems
        In each, some number differs; draws that make no sense are counted as in `problems`.

    Raises
    ------
    ImpossibleError
        If a problem allows no other numbers.
    """
    numbers, values = here.numbers.copy(), here.values.copy()
    left, told = np.arange(len(here)), here.excluded
    for _ in range(_ROUNDS):
        part = replace(here[left], excluded=told)
        found = filled(part, part.told, rng=rng)
        numbers[left], values[left], told = found.numbers, found.values, found.excluded
        left = left[(numbers[left] == here.numbers[left]).all(axis=(1, 2))]
        if not len(left):
            return replace(here, numbers=numbers, values=values, excluded=told)
    fact = f"{len(left)} problems came up with the numbers they had {_ROUNDS} times"
    raise impossible(fact, "take problems with more numbers, or a larger prime")
