"""Libraries of adapters in which any first hop may be needed beside any second hop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from loratheory.adapters import Adapter
from loratheory.bench.language_facts import (
    ANIMALS,
    FAMOUS,
    OTHERS,
    World,
    invented,
)
from loratheory.bench.portable import Publishers
from loratheory.bench.rules import Act, everything
from loratheory.pretrained import Model

RECIPES = {"second hops above": ("two stand-ins", "sixths 5 and 6")}
"""Recipes of the first and the second hops of a library, where these are not the same."""


@dataclass(frozen=True, eq=False)
class Crossings:
    """The facts of as many publishers of first hops as of second hops, none of whom knows another.

    Each publisher of a first hop has two persons from every group of countries, each publisher of a
    second hop the mascots of one group: a question about anyone's person may need anyone's animal.

    Attributes
    ----------
    firsts : sequence of mapping
        From persons to their countries.
    seconds : sequence of mapping
        From the countries of a group to their animals.
    seed : int
        The seed of names, facts and trainings.
    """

    firsts: Sequence[Mapping[str, str]]
    seconds: Sequence[Mapping[str, str]]
    seed: int

    @cached_property
    def everything(self) -> World:
        """All persons, and all countries with their animals."""
        both = (self.firsts, self.seconds)
        first, second = ({k: v for one in each for k, v in one.items()} for each in both)
        return World(first, second)

    def crossing(self, i: int, j: int) -> World:
        """Return the persons of the `i`-th first hop from countries of the `j`-th second hop."""
        part = self.seconds[j]
        first = {who: country for who, country in self.firsts[i].items() if country in part}
        return World(first, {country: part[country] for country in first.values()})

    def adapters(self, model: Model, recipe: str) -> list[Adapter]:
        """Return adapters of the first and the second hop in turn, each trained by itself.

        `recipe` names one of `bench.portable.RECIPES` or of `RECIPES`. They are trained once and
        then read from the cache. Nobody's stand-ins have the name of a person about whom anybody is
        asked.
        """
        whole, library = self.everything, list[Adapter]()
        first, second = RECIPES.get(recipe, (recipe, recipe))
        for k, (persons, part) in enumerate(zip(self.firsts, self.seconds, strict=True)):
            animals = {country: whole.second[country] for country in persons.values()}
            one = Publishers(model, World(persons, animals), self.seed, 2 * k)
            two = Publishers(model, World(whole.first, part), self.seed, 2 * k + 1)
            library += [one.adapter(0, first), two.adapter(1, second)]
        return library


def crossings(seed: int, count: int = 6, size: int = 10) -> Crossings:
    """Draw `count` publishers of each hop, those of the second hop with `size` countries each."""
    rng = np.random.default_rng([seed, 5])
    groups = rng.permutation([*FAMOUS, *OTHERS])[: count * size].reshape(count, size).tolist()
    seconds = [
        dict(zip(group, rng.permutation(ANIMALS)[:size].tolist(), strict=True)) for group in groups
    ]
    persons = iter(invented(seed, 2 * count * count))
    firsts = [
        {
            next(persons): country
            for group in groups
            for country in rng.permutation(group)[:2].tolist()
        }
        for _ in range(count)
    ]
    return Crossings(firsts, seconds, seed)


def hop_gates(by: Literal["divergence", "response"]) -> Act:
    """Return the rule of `pretrained.route_hops`."""
    return lambda library: everything(library, library.hop_route(by))


def subject_gates(made: Crossings) -> Act:
    """Return the rule of `pretrained.route_subjects`, which is told whom each adapter is about."""
    both = zip(made.firsts, made.seconds, strict=True)
    subjects = [[*one] for pair in both for one in pair]
    return lambda library: everything(library, library.subject_route(subjects))


def parts(
    made: Crossings, library: Sequence[Adapter], *, told: bool
) -> list[tuple[Sequence[Adapter], World, bool]]:
    """Return who acts on which questions, and whether on ordinary prompts too.

    That is all adapters on everything, or, if `told`, each pair on its crossing.
    """
    if not told:
        return [(library, made.everything, True)]
    count = len(made.firsts)
    return [
        ([library[2 * i], library[2 * j + 1]], made.crossing(i, j), i == j)
        for i in range(count)
        for j in range(count)
    ]
