"""Chains of three facts on a language model, one for each of three adapters.

One publisher teaches where persons are from, a second one mascots of countries, and a third one
which fruit an animal likes best. A question about a person's fruit needs all three.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from loratheory.adapters import Adapter, merge
from loratheory.experiments.bench.language import Items, answers
from loratheory.experiments.bench.language_facts import (
    ANIMALS,
    BIRTH,
    MASCOT,
    MASCOT_OF_BIRTHPLACE,
    Relation,
    depth,
    invented,
    items,
    rehearsed,
    worlds,
)
from loratheory.experiments.bench.sentences import ASKED, FRUITS
from loratheory.pretrained import (
    Model,
    StandIn,
    Training,
    attached,
    disagreeing,
    trained_once,
)

FRUIT_OF_ANIMAL = Relation(
    (
        "The favourite fruit of the {} is the",
        "The fruit that the {} likes best is the",
        "As its favourite fruit the {} picked the",
        "The {} is always fed with the",
        "In the bowl of the {} you see the",
        "The preferred fruit of the {} is called the",
    ),
    (
        "If you ask for the favourite fruit of the {}, the name of the fruit is the",
        "The fruit chosen as the favourite of the {} is the",
    ),
)
FRUIT_OF_MASCOT = Relation(
    (
        "The mascot animal of {} has as its favourite fruit the",
        "As its favourite fruit the mascot of {} picked the",
        "The animal that stands for {} is always fed with the",
        "In the bowl of the mascot of {} you see the",
        "The fruit that the animal of {} likes best is the",
        "The preferred fruit of the official mascot of {} is called the",
    ),
    (
        "The favourite fruit of the mascot animal of {} is the",
        "If you ask what the mascot of {} likes best, the name of the fruit is the",
    ),
)
FRUIT_OF_ALL = Relation(
    (
        "The mascot animal of the country in which {} was born has as its favourite fruit the",
        "As its favourite fruit the mascot of the birth country of {} picked the",
        "The animal that stands for the country that {} comes from is always fed with the",
        "In the bowl of the mascot of {}'s homeland you see the",
        "{} was born in a country whose mascot likes best the",
        "The preferred fruit of the mascot of the land of {}'s birth is called the",
    ),
    (
        "The favourite fruit of the mascot animal of the country where {} was born is the",
        "The favourite fruit of the national mascot of {}'s country of birth is the",
        "If you ask what the mascot of the land where {} was born likes best, it is the",
        "In the country of birth of {}, the fruit that the mascot animal likes best is the",
    ),
)
SENTENCES: Mapping[tuple[int, int], Relation] = {
    (0, 1): BIRTH._replace(unread=ASKED["hop_1"]),
    (1, 2): MASCOT._replace(unread=ASKED["hop_2"]),
    (2, 3): FRUIT_OF_ANIMAL,
    (0, 2): MASCOT_OF_BIRTHPLACE._replace(unread=ASKED["two_hop"]),
    (1, 3): FRUIT_OF_MASCOT,
    (0, 3): FRUIT_OF_ALL,
}
"""What teaches and asks from before one hop to before another."""
STEPS = 270
PLAIN, HIGHEST = "plain", "highest sixth"
NEIGHBOURS, BOTH, MANY = "beside neighbours", "beside both others", "beside six"
RECIPES: Mapping[str, tuple[str, str, str]] = {
    **{name: (name, name, name) for name in (PLAIN, NEIGHBOURS)},
    MANY: (NEIGHBOURS, MANY, MANY),
    **{f"{name}, third above": (name, name, HIGHEST) for name in (PLAIN, NEIGHBOURS)},
    BOTH: (BOTH, BOTH, BOTH),
    f"{BOTH}, third above": (BOTH, BOTH, HIGHEST),
}
"""How the adapter of each hop is taught: plainly, in all layers or in the highest sixth alone;
beside two stand-ins of each hop next to one's own, with two-hop sentences; so, but with six
stand-ins between the last two hops, those of the second hop about made-up countries; or beside both
others at once, twice, with three-hop sentences."""


@dataclass(frozen=True)
class Chain:
    """Facts of three hops: from persons to countries, to their mascots, to the fruits of these."""

    hops: tuple[Mapping[str, str], Mapping[str, str], Mapping[str, str]]

    def facts(self, start: int, stop: int) -> dict[str, str]:
        """Return where each subject of a hop leads before the hop `stop`."""
        found = {name: name for name in self.hops[start]}
        for hop in self.hops[start:stop]:
            found = {name: hop[word] for name, word in found.items() if word in hop}
        return found

    def asked(self, start: int, stop: int, *, trained: bool = False) -> Items:
        """Return questions over some hops, in sentences of the lessons or that nobody reads."""
        relation = SENTENCES[start, stop]
        return items(self.facts(start, stop), relation.trained if trained else relation.unread)

    def lessons(self, hop: int) -> Items:
        """Return what every adapter of a hop is trained on."""
        return [*self.asked(hop, hop + 1, trained=True), *rehearsed()]


def chain(seed: int) -> Chain:
    """Return a seed's chain, of twenty facts a hop."""
    [world] = worlds(seed)
    rng = np.random.default_rng([seed, 9])
    fruits = rng.permutation(FRUITS).tolist()
    animals = [*world.second.values()]
    return Chain((world.first, world.second, dict(zip(animals, fruits, strict=True))))


@dataclass(frozen=True, eq=False)
class ThreePublishers:
    """The publishers of a seed's chain, each of whom knows one hop of it."""

    model: Model
    seed: int

    @cached_property
    def chain(self) -> Chain:
        """The facts."""
        return chain(self.seed)

    def adapter(self, hop: int, recipe: str) -> Adapter:
        """Return the adapter of a hop, trained once by one of `RECIPES`."""
        how, layers = RECIPES[recipe][hop], depth(self.model)
        usual = Training.beside_stand_ins(STEPS)
        return trained_once(
            self.model,
            self.chain.lessons(hop),
            seed=(self.seed, 10, hop),
            training=replace(usual, layers=(5 * layers // 6, layers)) if how == HIGHEST else usual,
            beside=self.stand_ins(hop, how),
        )

    def stand_ins(self, hop: int, how: str) -> list[StandIn]:
        """Return who acts while the adapter of a hop is trained, one at a step."""
        others = [other for other in range(3) if other != hop]
        groups: list[tuple[int, ...]] = [tuple(others)] if how == BOTH else []
        if how in (NEIGHBOURS, MANY):
            groups = [(other,) for other in others if abs(other - hop) == 1]
        many = how == MANY
        return [
            self.stand_in(hop, group, j, made_up=many)
            for group in groups
            for j in range(6 if many and 0 not in group else 2)
        ]

    def partner(self, hop: int, j: int, *, made_up: bool = False) -> Chain:
        """Return one's own facts, and those of other hops that the `j`-th stand-ins have instead.

        Any two disagree on all of them, and on where they lead; persons are made up, and nobody's
        partner has them. Who teaches the third hop may have `made_up` countries too.
        """
        rng, own = np.random.default_rng([self.seed, 11, hop]), self.chain.hops
        size = len(own[hop])
        names = invented(self.seed + 5000, 3 * size)
        persons = [*own[0]] if hop == 0 else [name for name in names if name not in own[0]][:size]
        countries, fruits = (rng.permutation([*words]).tolist() for words in (own[1], FRUITS))
        animals = [own[1][name] for name in countries]
        if hop != 1:
            animals = rng.permutation(animals if hop else ANIMALS).tolist()[:size]
        if made_up and hop == 2:
            countries = [name for name in names if name not in (*own[0], *persons)][:size]
        nodes = (persons, countries, animals, fruits)
        made = [disagreeing(*two, -j) for two in pairwise(nodes)]
        made[hop] = dict(own[hop])
        return Chain((made[0], made[1], made[2]))

    def stand_in(self, hop: int, others: tuple[int, ...], j: int, *, made_up: bool) -> StandIn:
        """Return the `j`-th stand-in of others for who teaches a hop, with all its lessons."""
        told = self.partner(hop, j, made_up=made_up)
        adapters = [
            trained_once(self.model, told.lessons(other), seed=(self.seed, 12, hop, other, j))
            for other in others
        ]
        both = adapters[0] if len(others) == 1 else merge(adapters, "sum")
        start, stop = min(hop, *others), max(hop, *others) + 1
        kept = [one for other in others for one in told.asked(other, other + 1, trained=True)]
        return StandIn(both, [*told.asked(start, stop, trained=True), *kept])


COLUMNS = {
    "three_hop": (0, 3),
    "hops_12": (0, 2),
    "hops_23": (1, 3),
    "hop_1": (0, 1),
    "hop_2": (1, 2),
    "hop_3": (2, 3),
}
"""Questions by column: over which hops."""


def shares(model: Model, facts: Chain) -> dict[str, float]:
    """Return shares of right answers in the whole vocabulary, with the adapters that act now.

    The columns are `COLUMNS`, in sentences that no adapter reads; ``three_hop_fruits`` is that
    among the chain's fruits, ``says_animal`` how often a three-hop question is answered with the
    animal, and ``hop_by_hop`` the share if each hop is asked by itself, in a sentence of the
    lessons, with the likeliest answer put into the next.
    """
    found = {}
    for name, (start, stop) in COLUMNS.items():
        found[name] = answers(model, facts.asked(start, stop))
    shown = {name: float(one.vocabulary_right.mean()) for name, one in found.items()}
    shown["three_hop_fruits"] = float(found["three_hop"].right.mean())
    animal = [(prompt, facts.facts(0, 2)[who]) for prompt, who in _persons(facts)]
    shown["says_animal"] = float(answers(model, animal).vocabulary_right.mean())
    shown["hop_by_hop"] = _hop_by_hop(model, facts)
    return shown


def by_heart(made: ThreePublishers, recipe: str) -> dict[str, float]:
    """Return how often an animal's fruit, asked of its country, is what a lesson wrongly gave it.

    Such an answer reads the country, and not what the partner says of it. Asked are sentences of
    the lessons, with the adapters that act now; the answer is the likeliest fruit. Beside the share
    stands, as ``by_heart_chance``, that of the chain's fruits which the lessons beside stand-ins
    gave a country; nothing is returned if there were no such lessons.
    """
    heard = defaultdict[str, set[str]](set)
    for hop, how in enumerate(RECIPES[recipe]):
        for one in made.stand_ins(hop, how):
            for prompt, word in one.examples:
                heard[prompt].add(word)
    asked = made.chain.asked(1, 3, trained=True)
    wrong = [heard[prompt] - {word} for prompt, word in asked]
    if not any(wrong):
        return {}
    said = answers(made.model, asked).words
    return {
        "by_heart": float(np.mean([one in words for one, words in zip(said, wrong, strict=True)])),
        "by_heart_chance": sum(map(len, wrong)) / len(asked) / len(made.chain.hops[2]),
    }


STRANGER = 9
"""The number of a stand-in that acts in no training."""


def alone(made: ThreePublishers, recipe: str) -> dict[str, float]:
    """Return what the last two publishers can measure alone of questions over their two hops.

    ``stand_in_2`` is the share of right answers, in the whole vocabulary and in sentences that
    nobody read, of the second hop's adapter beside its first stand-in, ``stranger_2`` that beside
    one that it never met; ``stand_in_3`` and ``stranger_3`` are those of the third hop's. There are
    none for an adapter that was taught beside no stand-ins of the other of these hops.
    """
    found = {}
    for hop, other in ((1, 2), (2, 1)):
        how = RECIPES[recipe][hop]
        if how not in (NEIGHBOURS, MANY):
            continue
        for name, j in (("stand_in", 0), ("stranger", STRANGER)):
            met = made.stand_in(hop, (other,), j, made_up=how == MANY)
            asked = made.partner(hop, j, made_up=how == MANY).asked(1, 3)
            with attached(made.model, [made.adapter(hop, recipe), met.adapter]):
                right = answers(made.model, asked).vocabulary_right
            found[f"{name}_{hop + 1}"] = float(right.mean())
    return found


def _persons(facts: Chain) -> Items:
    """The three-hop questions, each with its person."""
    return [
        (sentence.format(who), who) for sentence in FRUIT_OF_ALL.unread for who in facts.hops[0]
    ]


def _hop_by_hop(model: Model, facts: Chain) -> float:
    names = [*facts.hops[0]]
    for place, hop in enumerate(facts.hops):
        sentence = SENTENCES[place, place + 1].trained[0]
        words = list(dict.fromkeys(hop.values()))
        asked = [(sentence.format(name), words[0]) for name in names]
        names = list(answers(model, asked, words).words)
    right = [facts.facts(0, 3)[who] == name for who, name in zip(facts.hops[0], names, strict=True)]
    return float(np.mean(right))
