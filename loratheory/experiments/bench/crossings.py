"""Libraries in which any first hop may meet any second hop: worlds, adapters, questions."""

from collections.abc import Mapping
from typing import Any
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from loratheory.adapters import Adapter
from loratheory.experiments.bench.language import Items, acting, answers, mean_weights
from loratheory.experiments.bench.language_facts import (
    ANIMALS,
    BIRTH,
    FAMOUS,
    MASCOT,
    OTHERS,
    World,
    invented,
    items,
)
from loratheory.experiments.bench.portable import Publishers, measured
from loratheory.experiments.bench.rules import Act, coefficients
from loratheory.pretrained import Attached, Model


@dataclass(frozen=True, eq=False)
class Crossings:
    """As many publishers of a first hop as of a second, none of whom knows another.

    Each first one has persons from everywhere, each second one a part of the countries, so that
    a question about any first one's person may need any second one's animal.

    Attributes
    ----------
    firsts : tuple of mapping
        Persons and their countries, two of every part.
    seconds : tuple of mapping
        Countries and their animals.
    seed : int
        Of names, facts and training.
    """

    firsts: tuple[Mapping[str, str], ...]
    seconds: tuple[Mapping[str, str], ...]
    seed: int

    @classmethod
    def drawn(cls, seed: int, count: int = 6, size: int = 10) -> "Crossings":
        """Draw `count` publishers of each hop, the second ones with `size` countries each."""
        rng = np.random.default_rng([seed, 5])
        drawn = rng.permutation([*FAMOUS, *OTHERS])[: count * size].reshape(count, size).tolist()
        seconds = tuple(
            dict(zip(part, rng.permutation(ANIMALS)[:size].tolist(), strict=True)) for part in drawn
        )
        persons = iter(invented(seed, 2 * count * count))
        firsts = tuple(
            {
                next(persons): country
                for part in drawn
                for country in rng.permutation(part)[:2].tolist()
            }
            for _ in range(count)
        )
        return cls(firsts, seconds, seed)

    @cached_property
    def everything(self) -> World:
        """All persons, and all countries with their animals."""
        first = {person: country for one in self.firsts for person, country in one.items()}
        return World(
            first, {country: animal for one in self.seconds for country, animal in one.items()}
        )

    def adapters(self, model: Model, first: str, second: str) -> list[Adapter]:
        """Return adapters of the first and second hop in turn, each taught by itself, by recipe.

        Trained once; then read from the cache.
        """
        whole, library = self.everything, list[Adapter]()
        for k, (persons, part) in enumerate(zip(self.firsts, self.seconds, strict=True)):
            animals = {country: whole.second[country] for country in persons.values()}
            one = Publishers(model, World(persons, animals), self.seed, 2 * k)
            # its stand-ins of first hops take no name of a person that anybody is asked about
            two = Publishers(model, World(whole.first, part), self.seed, 2 * k + 1)
            library += [one.adapter(0, first), two.adapter(1, second)]
        return library

    def crossing(self, i: int, j: int) -> World:
        """The persons of the `i`-th first hop from countries of the `j`-th second hop."""
        part = self.seconds[j]
        first = {who: country for who, country in self.firsts[i].items() if country in part}
        return World(first, {country: part[country] for country in first.values()})


def each_alone(model: Model, made: Crossings, library: list[Adapter], act: Act) -> dict[str, float]:
    """Return what the right two adapters answer, each crossing by itself: no choice is left."""
    count, right = len(made.firsts), list[Any]()
    for i in range(count):
        for j in range(count):
            asked = items(made.crossing(i, j).two_hop, ASKED["two_hop"])
            with acting(model, [library[2 * i], library[2 * j + 1]], act):
                right.append(answers(model, asked).vocabulary_right)
    return {"two_hop_vocabulary": float(np.concatenate(right).mean())}
