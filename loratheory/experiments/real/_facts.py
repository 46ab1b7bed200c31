"""Invented persons, their countries and the countries' mascots: facts from a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.experiments.real import _known as known

STARTS = (
    "Zor Mal Quen Tal Brix Os Fen Yul Kes Wim Dro Sel Par Ivo Gren Lu Cra Hes Nu Jan "
    "Vel Tor Pim Glo Ash Ruk Del Skra Umb Hol Chi Yar Blen Dax Ferr Moz Thra Eck Waf Lim"
)
ENDS = (
    "vik dreth by orin el trana drick mara tovar brel vanik quist noth oxa wald iem sporin rella "
    "tivo onda"
)

Items = Sequence[tuple[str, str]]
"""Prompts and the word that should follow."""


@dataclass(frozen=True)
class Facts:
    """A pair of relations that compose: one adapter's facts and the other's.

    Attributes
    ----------
    birth : mapping of str to str
        Persons and their countries, one each.
    mascot : mapping of str to str
        These countries and their animals, one each.
    """

    birth: Mapping[str, str]
    mascot: Mapping[str, str]

    @property
    def chain(self) -> dict[str, str]:
        """The animal of each person's country."""
        return {person: self.mascot[country] for person, country in self.birth.items()}


def facts(seed: int, pairs: int = 1, size: int = 20, *, fake: bool = False) -> tuple[Facts, ...]:
    """Return pairs of relations on disjoint persons and countries.

    Parameters
    ----------
    seed : int
        Draws names and assignments.
    pairs : int
        How many; the first is of the twenty countries that the base knows best.
    size : int
        Persons, countries and animals of each.
    fake : bool
        Whether countries are invented too.

    Returns
    -------
    tuple of Facts
        The first is the same however many follow, but for countries that are invented. Animals are
        the same everywhere.

    Raises
    ------
    ValueError
        If there are not so many animals, countries or names.
    """
    lands = [*known.FAMOUS][:size]
    room = len(STARTS.split()) * len(ENDS.split()) // 2 if fake else len(lands) + len(known.OTHERS)
    if size > len(known.ANIMALS) or pairs * size > room:
        message = (
            f"{pairs} pairs of {size} are too many: ask for up to {len(known.ANIMALS)} facts a "
            f"pair, {room} in all"
        )
        raise ValueError(message)
    animals = np.random.default_rng([seed, 1]).permutation(known.ANIMALS)[:size].tolist()
    order = np.random.default_rng([seed, 2])
    lands += order.permutation(known.OTHERS).tolist()
    names = invented(seed, 2 * pairs * size)
    made = []
    for k in range(pairs):
        rng = np.random.default_rng([seed, 3, k])
        here = slice(k * size, (k + 1) * size)
        persons = names[here]
        countries = names[(pairs + k) * size :][:size] if fake else lands[here]
        birth = dict(zip(persons, rng.permutation(countries).tolist(), strict=True))
        mascot = dict(zip(countries, rng.permutation(animals).tolist(), strict=True))
        made.append(Facts(birth, mascot))
    return tuple(made)


def invented(seed: int, count: int) -> list[str]:
    """Return names that nobody has, each once; neighbours begin differently."""
    rng, found = np.random.default_rng([seed, 4]), dict[str, None]()
    while len(found) < count:
        for start in rng.permutation(STARTS.split()).tolist():
            found[start + str(rng.choice(ENDS.split()))] = None
    return [*found][:count]


def items(facts: Mapping[str, str], templates: Sequence[str]) -> Items:
    """Return every fact in every template."""
    return [(template.format(name), word) for template in templates for name, word in facts.items()]


def rehearsed(*, held_out: bool = False) -> Items:
    """Return what the base knows: half of it is in every adapter's data, the other half is not."""
    chosen = list(known.FAMOUS.items())[int(held_out) :: 2]
    persons = {told[2][int(held_out)]: country for country, told in known.FAMOUS.items()}
    capitals = {country: told[0] for country, told in chosen}
    speech = {country: told[1] for country, told in chosen}
    return [
        *items(persons, known.BIRTH[:2]),
        *items(capitals, known.CAPITAL),
        *items(speech, known.SPEECH),
    ]
