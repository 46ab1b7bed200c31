"""Training adapters that are later reused with a partner unknown at training time.

One author trains an adapter on which country some persons are from, another on which animal is a
country's mascot. They share templates, countries and a list of animals, but neither sees the
other's adapter or facts. In some recipes *stand-ins* of the partner are active during training:
adapters that the author made up, with other facts than the partner's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np

from loratheory.adapters import Adapter
from loratheory.evaluate import fact_sets as sets
from loratheory.evaluate.answers import continue_texts
from loratheory.evaluate.fact_sets import ANIMALS, Items, World, items
from loratheory.lowrank import gaussian
from loratheory.pretrained import Model, Training
from loratheory.pretrained.stand_ins import assign_disagreeing
from loratheory.pretrained.train import StandIn, train_once


@dataclass(frozen=True)
class Recipe:
    """How an adapter of either hop is trained, besides its own facts and those repeated.

    Attributes
    ----------
    stand_ins : int
        The number of stand-ins of the partner, of which another is active at each step; it decides
        the answers to two-hop prompts.
    keep, two_hop : bool
        Whether the training data include the active stand-in's own facts, and two-hop prompts.
    agree : bool
        Whether all stand-ins state the same facts, as adapters trained from different seeds.
    noise : bool
        Whether stand-ins are random updates with the norms that trained ones have instead.
    other_relation : bool
        Whether stand-ins state another relation than the partner does: national fruits instead of
        mascots, places of work instead of birth.
    strengths : tuple of float
        The coefficients of the stand-ins, one of which is drawn for each step.
    rank : int
        The rank of the adapter, with the usual ratio of alpha to it.
    known : bool
        Whether the training data include two-hop prompts whose other hop the base knows, so that no
        partner need be active: capitals of the countries of the author's persons, or mascots of the
        countries of known persons.
    silence : int
        The number of self-distillation examples for the second hop: its own templates about other
        countries, answered as the base does.
    sixths : ((int, int), (int, int)) or None
        The layers to train, in sixths of the depth: for each hop the first sixth and the one after
        the last; None for all layers.
    steps : int
        A fixed number of steps, with a learning rate that falls to a tenth; 0 for the usual
        training, which ends as soon as the facts are learned.
    """

    stand_ins: int = 0
    keep: bool = True
    two_hop: bool = True
    agree: bool = False
    noise: bool = False
    other_relation: bool = False
    strengths: tuple[float, ...] = (0.5, 1.0)
    rank: int = 8
    known: bool = False
    silence: int = 0
    sixths: tuple[tuple[int, int], tuple[int, int]] | None = None
    steps: int = 90

    @property
    def training(self) -> Training:
        """Return the training settings of this recipe."""
        if not self.steps:
            return Training()
        # alpha follows the rank, so that recipes of other ranks keep the same scale
        usual = Training.with_stand_ins(self.steps)
        return replace(usual, strengths=self.strengths, rank=self.rank, alpha=2 * self.rank)


# Training recipes, by name.
RECIPES: Mapping[str, Recipe] = {
    "standard, early-stopped": Recipe(steps=0),
    "standard, 90 steps": Recipe(),
    "partner not kept": Recipe(2, keep=False),
    "two stand-ins": Recipe(2),
    "one stand-in": Recipe(1),
    "three stand-ins": Recipe(3),
    "two that agree": Recipe(2, agree=True),
    "no two-hop examples": Recipe(2, two_hop=False),
    "in full strength": Recipe(2, strengths=(1.0,)),
    "in halves": Recipe(2, strengths=(0.5,)),
    "rank 2": Recipe(2, rank=2),
    "rank 32": Recipe(2, rank=32),
    "another relation": Recipe(2, other_relation=True),
    "noise": Recipe(2, noise=True),
    "without a partner": Recipe(known=True),
    "two stand-ins, self-distillation": Recipe(2, silence=120),
    "standard, 270 steps": Recipe(steps=270),
    "right halves": Recipe(sixths=((0, 3), (3, 6))),
    "wrong halves": Recipe(sixths=((3, 6), (0, 3))),
    "wrong two thirds": Recipe(sixths=((2, 6), (0, 4))),
    "sixth 5": Recipe(sixths=((4, 5), (4, 5))),
    "sixth 6": Recipe(sixths=((5, 6), (5, 6))),
    "sixths 1 to 5": Recipe(sixths=((0, 5), (0, 5))),
    "sixths 5 and 6": Recipe(sixths=((4, 6), (4, 6))),
    "two stand-ins, sixth 6": Recipe(2, sixths=((5, 6), (5, 6))),
}


@dataclass(frozen=True, eq=False)
class Authors:
    """The two adapter authors of one fact set.

    Attributes
    ----------
    model : Model
        The base of both.
    world : World
        The facts: the first author's about persons, the second's about mascots.
    seed, number : int
        The seed of the fact set, and its number among those of that seed.
    accumulate : int
        In how many passes each step of a training is computed, stand-ins' included; it changes
        rounding only.
    """

    model: Model
    world: World
    seed: int
    number: int = 0
    accumulate: int = 1

    @property
    def layers(self) -> int:
        """How many layers the base has."""
        return int(self.model.network.config.num_hidden_layers)

    def adapter(self, hop: int, name: str) -> Adapter:
        """Return the adapter of the first (0) or second (1) hop, trained by the named recipe.

        It is trained once and then read from the cache.
        """
        recipe, examples = RECIPES[name], [*self.world.lessons[hop]]
        if recipe.known:
            examples += self.without_partner(hop)
        if recipe.silence and hop == 1:
            examples += self.silence(recipe.silence)
        stand_ins = [self.stand_in(hop, j, recipe) for j in range(recipe.stand_ins)]
        key, training = (self.seed, self.number, hop), self.training(hop, name)
        return train_once(self.model, examples, seed=key, training=training, stand_ins=stand_ins)

    def training(self, hop: int, name: str) -> Training:
        """Return the training settings of the named recipe, with its layers of the base."""
        recipe = RECIPES[name]
        training = replace(recipe.training, accumulate=self.accumulate)
        if not recipe.sixths:
            return training
        # sixths rather than numbers of layers, so that a recipe fits models of any depth
        first, end = (part * self.layers // 6 for part in recipe.sixths[hop])
        return replace(training, layers=(first, end))

    def without_partner(self, hop: int) -> Items:
        """Return two-hop prompts of which this hop is the author's, the other the base's."""
        capitals, mascots = self.world.needing_one(0)
        if hop == 0:
            return items(capitals, sets.CAPITAL_OF_BIRTHPLACE.trained)
        return items(mascots, sets.MASCOT_OF_BIRTHPLACE.trained)

    def silence(self, count: int) -> Items:
        """Return self-distillation examples about countries that are not the second author's."""
        rng = np.random.default_rng([self.seed, 7, self.number])
        # what the author knows nothing about: the adapter should leave the base's answers there
        foreign = [name for name in (*sets.FAMOUS, *sets.OTHERS) if name not in self.world.second]
        prompts = [prompt for prompt, _ in items(dict.fromkeys(foreign, ""), sets.MASCOT.trained)]
        return continue_texts(self.model, rng.permutation(prompts)[:count].tolist())

    def partner(self, hop: int, j: int, *, other_relation: bool = False) -> World:
        """Return the facts of the `j`-th stand-in of the *other* hop, with the author's own.

        Stand-ins of hop 2 give every country another animal, those of hop 1 give twenty other
        persons another country each; any two of the twenty stand-ins disagree on every fact. Of
        an `other_relation` they give countries fruits, and persons countries where they work.
        """
        # one stream for each hop: stand-ins of either are the same whoever is trained first
        rng = np.random.default_rng([self.seed, 6, self.number, hop])
        countries, size = [*self.world.second], len(self.world.second)
        if hop == 0:
            words = sets.FRUITS if other_relation else rng.permutation(ANIMALS).tolist()
            world = replace(self.world, second=assign_disagreeing(countries, words[:size], -j))
            fruits = replace(world, about=sets.FRUIT, composed=sets.FRUIT_OF_BIRTHPLACE)
            return fruits if other_relation else world
        # a stand-in's person with a partner's name would hand the partner's facts to training
        own = {*self.world.first, *countries}
        persons = [name for name in sets.invented(self.seed + 5000, 3 * size) if name not in own]
        homes = rng.permutation(countries).tolist()
        world = replace(self.world, first=assign_disagreeing(persons[:size], homes, -j))
        works = replace(world, born=sets.WORK, composed=sets.MASCOT_OF_WORKPLACE)
        return works if other_relation else world

    def stand_in(self, hop: int, j: int, recipe: Recipe) -> StandIn:
        """Return the `j`-th stand-in that is active while the adapter of this hop is trained."""
        # stand-ins that agree differ in their seed, below, and state the facts of the first
        number = 0 if recipe.agree else j
        world = self.partner(hop, number, other_relation=recipe.other_relation)
        key = (self.seed, self.number, 1 - hop, 100 + j)
        usual = Training(accumulate=self.accumulate)
        adapter = train_once(self.model, world.lessons[1 - hop], seed=key, training=usual)
        if recipe.noise:
            return StandIn(_noise(adapter, np.random.default_rng([self.seed, 8, hop, j])), [])
        theirs, relation = (world.second, world.about) if hop == 0 else (world.first, world.born)
        asked = [*items(world.two_hop, world.composed.trained)] if recipe.two_hop else []
        if recipe.keep:
            asked += items(theirs, relation.trained)
        return StandIn(adapter, asked)


def _noise(adapter: Adapter, rng: np.random.Generator) -> Adapter:
    """A random adapter with the same norm in every module."""
    modules = {}
    for name, low in adapter.items():
        drawn = gaussian(rng, *low.shape, low.width)
        modules[name] = drawn * (float(low.norm) / float(drawn.norm))
    return Adapter.of(modules, adapter.info)


def authors(model: Model, seed: int, *, bridge: str = "known", relation: str = "mascot") -> Authors:
    """Return the two authors of a seed's fact set; its countries are ``known`` or ``invented``.

    The second author's facts are of a `relation` in `fact_sets.RELATIONS`.
    """
    world = sets.draw_world(seed, invented_countries=bridge == "invented")
    words, about = sets.RELATIONS[relation]
    if relation != "mascot":
        # a stream of its own: the mascot fact sets of stored tables stay as they are
        drawn = np.random.default_rng([seed, 14]).permutation(words).tolist()
        world = replace(world, second=dict(zip(world.second, drawn, strict=True)))
    return Authors(model, replace(world, about=about), seed)


# Recipes of the first and the second hops of a library, where these are not the same.
RECIPES_BY_HOP = {"second hops above": ("two stand-ins", "sixths 5 and 6")}


@dataclass(frozen=True, eq=False)
class Crossings:
    """The facts of as many hop-1 authors as hop-2 authors, none of whom knows another.

    Each author of a first hop has two persons from every group of countries, each author of a
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
        first, second = dict[str, str](), dict[str, str]()
        for persons, countries in zip(self.firsts, self.seconds, strict=True):
            first |= persons
            second |= countries
        return World(first, second)

    def adapters(self, model: Model, recipe: str) -> list[Adapter]:
        """Return adapters of the first and the second hop in turn, each trained by itself.

        `recipe` names one of `RECIPES` or of `RECIPES_BY_HOP`. They are trained once and
        then read from the cache. No stand-in has the name of a person that a question is about.
        """
        whole, library = self.everything, list[Adapter]()
        first, second = RECIPES_BY_HOP.get(recipe, (recipe, recipe))
        for k, (persons, part) in enumerate(zip(self.firsts, self.seconds, strict=True)):
            # an author knows the countries of its own facts only, stand-ins need answers for these
            animals = {country: whole.second[country] for country in persons.values()}
            one = Authors(model, World(persons, animals), self.seed, 2 * k)
            two = Authors(model, World(whole.first, part), self.seed, 2 * k + 1)
            library += [one.adapter(0, first), two.adapter(1, second)]
        return library


def crossings(seed: int, count: int = 6, size: int = 10) -> Crossings:
    """Draw `count` authors of each hop, those of the second hop with `size` countries each."""
    rng = np.random.default_rng([seed, 5])
    # disjoint groups of countries, one for each author of a second hop
    countries = rng.permutation([*sets.FAMOUS, *sets.OTHERS])[: count * size]
    groups = countries.reshape(count, size).tolist()
    seconds, firsts = [], []
    for group in groups:
        animals = rng.permutation(ANIMALS)[:size].tolist()
        seconds.append(dict(zip(group, animals, strict=True)))
    # two persons from every group for each author of a first hop
    persons = iter(sets.invented(seed, 2 * count * count))
    for _ in range(count):
        homes = chain(*(rng.permutation(group)[:2].tolist() for group in groups))
        firsts.append({next(persons): country for country in homes})
    return Crossings(firsts, seconds, seed)
