"""Names of entities, made of syllables: no list of real people, places or things behind them."""

from dataclasses import dataclass

import numpy as np

from loratheory.tasks._error import impossible
from loratheory.tasks.two_hop._phrases import ENDINGS
from loratheory.tasks.two_hop._world import World

_SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")
_LENGTH = 3
MOST_NAMES = len(_SYLLABLES) ** _LENGTH


@dataclass(frozen=True, eq=False)
class Language:
    """What the entities and canaries of a world are called.

    Attributes
    ----------
    here : World
        Whose tokens have names.
    names : dict of str
        By token; no name stands inside another.
    """

    here: World
    names: dict[int, str]


def language(here: World, *, rng: np.random.Generator) -> Language:
    """Return names for all entities and canaries of a world.

    Parameters
    ----------
    here : World
        Whose entities are named.
    rng : Generator
        Chooses the syllables.

    Returns
    -------
    Language
        Persons have a first and a last name; the endings of the others tell their level.

    Raises
    ------
    ImpossibleError
        If there are more entities than names.
    """
    if here.size > MOST_NAMES:
        fact = f"a level has {here.size} entities and there are {MOST_NAMES} names"
        raise impossible(fact, "draw a smaller world to be told in words")
    names: dict[int, str] = {}
    for level, ending in enumerate(ENDINGS[: here.hops + 1]):
        words = [_word(code, ending) for code in _codes(here.size, rng)]
        if level == 0:
            first = [_word(code, "") for code in _codes(here.size, rng)]
            words = [f"{one} {other}" for one, other in zip(first, words, strict=True)]
        names |= dict(zip(here.level(level), words, strict=True))
    for number in range(here.canaries):
        names[here.canary(number)] = f"canary-{number}-{rng.bytes(8).hex()}"
    return Language(here, names)


def _codes(count: int, rng: np.random.Generator) -> list[int]:
    return rng.permutation(MOST_NAMES)[:count].tolist()


def _word(code: int, ending: str) -> str:
    syllables = []
    for _ in range(_LENGTH):
        code, digit = divmod(code, len(_SYLLABLES))
        syllables.append(_SYLLABLES[digit])
    return ("".join(syllables) + ending).capitalize()
