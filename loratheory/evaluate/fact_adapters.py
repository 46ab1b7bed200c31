"""Train adapters that are later reused with a partner unknown at training time.

One author trains an adapter on the countries of invented persons, another author on the mascot
animals of countries. They share templates, countries and a list of animals, but neither has the
other's adapter or facts. In some training conditions *stand-in partners* are active: adapters that
the author trained on made-up facts, which differ from the partner's facts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np

from loratheory.adapters import Adapter
from loratheory.evaluate import fact_sets as sets
from loratheory.evaluate.answers import continue_texts
from loratheory.evaluate.fact_sets import ANIMALS, FactSet, Items, items
from loratheory.lowrank import gaussian
from loratheory.pretrained import Model, Training
from loratheory.pretrained.stand_ins import assign_disagreeing
from loratheory.pretrained.train import StandIn, fit_rate, train_once


@dataclass(frozen=True)
class Condition:
    """A training condition of an adapter of either hop.

    Attributes
    ----------
    stand_ins : int
        The number of stand-ins, one of which is active at each step; the active stand-in decides
        the answers to two-hop prompts.
    keep, two_hop : bool
        Whether the training set includes the active stand-in's own facts, and two-hop prompts.
    agree : bool
        Whether all stand-ins are trained on the same facts from different seeds.
    noise : bool
        Whether stand-ins are random updates with the norms of trained stand-ins.
    other_relation : bool
        Whether stand-ins have another relation than the partner: national fruits instead of
        mascots, places of work instead of birth.
    strengths : tuple of float
        The coefficients of the stand-ins, one of which is drawn for each step.
    rank : int
        The rank of the adapter; alpha is twice the rank.
    known : bool
        Whether the training set includes two-hop prompts whose other hop the base knows, which need
        no partner: capitals of the countries of the author's persons, or mascots of the countries
        of known persons.
    self_distillation : int
        The number of self-distillation examples for the second hop: prompts about other countries
        in its own templates, with the base's answers.
    sixths : ((int, int), (int, int)) or None
        The layers to train, in sixths of the depth: for each hop the first sixth and the sixth
        after the last; None for all layers.
    steps : int
        A fixed number of steps, with a learning rate that falls to 10%; 0 for early-stopped
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
    self_distillation: int = 0
    sixths: tuple[tuple[int, int], tuple[int, int]] | None = None
    steps: int = 90

    @property
    def training(self) -> Training:
        """Return the training settings of this condition."""
        if not self.steps:
            return Training()
        # alpha follows the rank, so that conditions of other ranks keep the same scale
        usual = Training.with_stand_ins(self.steps)
        return replace(usual, strengths=self.strengths, rank=self.rank, alpha=2 * self.rank)


# Training conditions, by name.
CONDITIONS: Mapping[str, Condition] = {
    "standard, early-stopped": Condition(steps=0),
    "standard, 90 steps": Condition(),
    "partner not kept": Condition(2, keep=False),
    "two stand-ins": Condition(2),
    "one stand-in": Condition(1),
    "three stand-ins": Condition(3),
    "two that agree": Condition(2, agree=True),
    "no two-hop examples": Condition(2, two_hop=False),
    "in full strength": Condition(2, strengths=(1.0,)),
    "in halves": Condition(2, strengths=(0.5,)),
    "rank 2": Condition(2, rank=2),
    "rank 32": Condition(2, rank=32),
    "another relation": Condition(2, other_relation=True),
    "noise": Condition(2, noise=True),
    "without a partner": Condition(known=True),
    "two stand-ins, self-distillation": Condition(2, self_distillation=120),
    "standard, 270 steps": Condition(steps=270),
    "right halves": Condition(sixths=((0, 3), (3, 6))),
    "wrong halves": Condition(sixths=((3, 6), (0, 3))),
    "wrong two thirds": Condition(sixths=((2, 6), (0, 4))),
    "sixth 5": Condition(sixths=((4, 5), (4, 5))),
    "sixth 6": Condition(sixths=((5, 6), (5, 6))),
    "sixths 1 to 5": Condition(sixths=((0, 5), (0, 5))),
    "sixths 5 and 6": Condition(sixths=((4, 6), (4, 6))),
    "two stand-ins, sixth 6": Condition(2, sixths=((5, 6), (5, 6))),
}


@dataclass(frozen=True, eq=False)
class Authors:
    """The two adapter authors of one fact set.

    Attributes
    ----------
    model : Model
        The base of both.
    facts : FactSet
        The first author's facts about persons and the second author's facts about mascots.
    seed, number : int
        The seed of the fact set, and its number among those of that seed.
    accumulate : int
        The number of passes per training step, also of stand-ins; it changes rounding only.
    """

    model: Model
    facts: FactSet
    seed: int
    number: int = 0
    accumulate: int = 1

    @property
    def layers(self) -> int:
        """The number of layers of the base."""
        return int(self.model.network.config.num_hidden_layers)

    def adapter(self, hop: int, name: str) -> Adapter:
        """Return the adapter of the first (0) or second (1) hop in the named training condition.

        The adapter is trained once and then read from the cache.
        """
        condition, examples = CONDITIONS[name], [*self.facts.training_sets[hop]]
        if condition.known:
            examples += self.without_partner(hop)
        if condition.self_distillation and hop == 1:
            examples += self.self_distillation(condition.self_distillation)
        stand_ins = [self.stand_in(hop, j, condition) for j in range(condition.stand_ins)]
        key, training = (self.seed, self.number, hop), self.training(hop, name)
        return train_once(self.model, examples, seed=key, training=training, stand_ins=stand_ins)

    def training(self, hop: int, name: str) -> Training:
        """Return the training settings of the named condition, with its layers of the base."""
        condition = CONDITIONS[name]
        training = self._fit(condition.training)
        if not condition.sixths:
            return training
        # sixths rather than numbers of layers, so that a condition fits models of any depth
        first, end = (part * self.layers // 6 for part in condition.sixths[hop])
        return replace(training, layers=(first, end))

    @cached_property
    def relative_rate(self) -> float:
        """The learning rate that fits the base, relative to the rate of the conditions."""
        return fit_rate(self.model) / Training.with_stand_ins(1).rate

    def _fit(self, training: Training) -> Training:
        """Return the settings with a rate that fits the base, in the passes asked for."""
        rate = float(f"{self.relative_rate * training.rate:.3g}")
        return replace(training, rate=rate, accumulate=self.accumulate)

    def without_partner(self, hop: int) -> Items:
        """Return two-hop prompts that need this hop of the author and the other hop of the base."""
        capitals, mascots = self.facts.with_known_hop(0)
        if hop == 0:
            return items(capitals, sets.CAPITAL_OF_BIRTHPLACE.trained)
        return items(mascots, sets.MASCOT_OF_BIRTHPLACE.trained)

    def self_distillation(self, count: int) -> Items:
        """Return self-distillation examples about countries that are not the second author's."""
        rng = np.random.default_rng([self.seed, 7, self.number])
        # countries without a fact of the author: the adapter should keep the base's answers there
        foreign = [name for name in (*sets.FAMOUS, *sets.OTHERS) if name not in self.facts.second]
        prompts = [prompt for prompt, _ in items(dict.fromkeys(foreign, ""), sets.MASCOT.trained)]
        return continue_texts(self.model, rng.permutation(prompts)[:count].tolist())

    def partner(self, hop: int, j: int, *, other_relation: bool = False) -> FactSet:
        """Return the facts of the `j`-th stand-in of the *other* hop, with the author's own.

        Stand-ins of hop 2 give every country another animal; stand-ins of hop 1 give twenty other
        persons a country each. Any two of the twenty stand-ins disagree on every fact. With
        `other_relation` they give countries fruits, and persons countries where they work.
        """
        # a random stream for each hop: stand-ins do not depend on the order of training
        rng = np.random.default_rng([self.seed, 6, self.number, hop])
        countries, size = [*self.facts.second], len(self.facts.second)
        if hop == 0:
            words = sets.FRUITS if other_relation else rng.permutation(ANIMALS).tolist()
            facts = replace(self.facts, second=assign_disagreeing(countries, words[:size], -j))
            fruits = replace(facts, about=sets.FRUIT, composed=sets.FRUIT_OF_BIRTHPLACE)
            return fruits if other_relation else facts
        # a stand-in's person with a partner's name would put the partner's facts into training
        own = {*self.facts.first, *countries}
        persons = [name for name in sets.invented(self.seed + 5000, 3 * size) if name not in own]
        homes = rng.permutation(countries).tolist()
        facts = replace(self.facts, first=assign_disagreeing(persons[:size], homes, -j))
        works = replace(facts, born=sets.WORK, composed=sets.MASCOT_OF_WORKPLACE)
        return works if other_relation else facts

    def stand_in(self, hop: int, j: int, condition: Condition) -> StandIn:
        """Return the `j`-th stand-in that is active while the adapter of this hop is trained."""
        # agreeing stand-ins have the facts of the first stand-in and different training seeds
        number = 0 if condition.agree else j
        facts = self.partner(hop, number, other_relation=condition.other_relation)
        key = (self.seed, self.number, 1 - hop, 100 + j)
        usual = self._fit(Training())
        adapter = train_once(self.model, facts.training_sets[1 - hop], seed=key, training=usual)
        if condition.noise:
            # The first author's stream is that of stored tables.
            stream = [self.seed, 8, hop, j, *([self.number] if self.number else [])]
            return StandIn(_noise(adapter, np.random.default_rng(stream)), [])
        theirs, relation = (facts.second, facts.about) if hop == 0 else (facts.first, facts.born)
        examples = [*items(facts.two_hop, facts.composed.trained)] if condition.two_hop else []
        if condition.keep:
            examples += items(theirs, relation.trained)
        return StandIn(adapter, examples)


def _noise(adapter: Adapter, rng: np.random.Generator) -> Adapter:
    """Draw a random adapter with the same norm in every module."""
    modules = {}
    for name, low in adapter.items():
        drawn = gaussian(rng, *low.shape, low.width)
        modules[name] = drawn * (float(low.norm) / float(drawn.norm))
    return Adapter.of(modules, adapter.info)


def authors(model: Model, seed: int, *, bridge: str = "known", relation: str = "mascot") -> Authors:
    """Return the two authors of a seed's fact set; its countries are ``known`` or ``invented``.

    The second author's facts are of a `relation` in `fact_sets.RELATIONS`.
    """
    facts = sets.draw_facts(seed, invented_countries=bridge == "invented")
    words, about = sets.RELATIONS[relation]
    if relation != "mascot":
        # a stream of its own: the mascot fact sets of stored tables stay as they are
        drawn = np.random.default_rng([seed, 14]).permutation(words).tolist()
        facts = replace(facts, second=dict(zip(facts.second, drawn, strict=True)))
    return Authors(model, replace(facts, about=about), seed)


# Training conditions of the hop-1 and the hop-2 adapters of a library, where they differ.
CONDITIONS_BY_HOP = {"second hops above": ("two stand-ins", "sixths 5 and 6")}


@dataclass(frozen=True, eq=False)
class AllPairsFacts:
    """The facts of equally many hop-1 and hop-2 authors, for the all-pairs evaluation.

    Each hop-1 author has two persons from every group of countries, and each hop-2 author the
    mascots of one group. A two-hop question may need any hop-1 adapter with any hop-2 adapter.

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
    def all_facts(self) -> FactSet:
        """The fact set of all authors: all persons, and all countries with their animals."""
        first, second = dict[str, str](), dict[str, str]()
        for persons, countries in zip(self.firsts, self.seconds, strict=True):
            first |= persons
            second |= countries
        return FactSet(first, second)

    def adapters(self, model: Model, condition: str) -> list[Adapter]:
        """Return adapters of hop 1 and hop 2 in turn, each trained separately.

        `condition` is a name in `CONDITIONS` or in `CONDITIONS_BY_HOP`. Adapters are trained once
        and then read from the cache. No stand-in has the name of a person in a question.
        """
        whole, library = self.all_facts, list[Adapter]()
        first, second = CONDITIONS_BY_HOP.get(condition, (condition, condition))
        for k, (persons, part) in enumerate(zip(self.firsts, self.seconds, strict=True)):
            # stand-ins need answers for the countries of the author's own facts only
            animals = {country: whole.second[country] for country in persons.values()}
            one = Authors(model, FactSet(persons, animals), self.seed, 2 * k)
            two = Authors(model, FactSet(whole.first, part), self.seed, 2 * k + 1)
            library += [one.adapter(0, first), two.adapter(1, second)]
        return library


def draw_all_pairs(seed: int, count: int = 6, size: int = 10) -> AllPairsFacts:
    """Draw the facts of `count` authors of each hop; hop-2 authors have `size` countries each."""
    rng = np.random.default_rng([seed, 5])
    # disjoint groups of countries, one for each hop-2 author
    countries = rng.permutation([*sets.FAMOUS, *sets.OTHERS])[: count * size]
    groups = countries.reshape(count, size).tolist()
    seconds, firsts = [], []
    for group in groups:
        animals = rng.permutation(ANIMALS)[:size].tolist()
        seconds.append(dict(zip(group, animals, strict=True)))
    # two persons from every group for each hop-1 author
    persons = iter(sets.invented(seed, 2 * count * count))
    for _ in range(count):
        homes = chain(*(rng.permutation(group)[:2].tolist() for group in groups))
        firsts.append({next(persons): country for country in homes})
    return AllPairsFacts(firsts, seconds, seed)
