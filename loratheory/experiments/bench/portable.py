"""Adapters taught for partners yet unknown: recipes, stand-ins, lessons, questions, measures.

One publisher teaches which country some persons are from, another which animal is a country's
mascot. They share sentences, countries and a list of animals; neither sees the other's adapter or
facts. A recipe may let *stand-ins* of the partner act in training: adapters of the publisher's own
that say something else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from loratheory.adapters import Adapter
from loratheory.experiments.bench.language import Items, answers
from loratheory.experiments.bench.language_facts import (
    ANIMALS,
    BIRTH,
    FAMOUS,
    MASCOT,
    MASCOT_OF_BIRTHPLACE,
    World,
    depth,
    invented,
    items,
    worlds,
)
from loratheory.experiments.bench.sentences import ASKED, TEXT
from loratheory.pretrained import (
    Model,
    StandIn,
    Training,
    disagreeing,
    first_tokens,
    leak,
    token_logs,
    trained_once,
)


@dataclass(frozen=True)
class Recipe:
    """How an adapter of either hop is taught, beside its facts and what all rehearse.

    Attributes
    ----------
    stand_ins : int
        How many stand-ins of the partner act in training, one at each step, in turn; two-hop
        sentences are answered as the one that acts has it.
    keep : bool
        Whether the stand-in's own facts are shown as well, as it has them.
    sixths : ((int, int), (int, int)) or None
        Which sixths of the layers are trained, of each hop the first and the one after the last;
        None for all.
    steps : int
        All of them are made, at a rate that falls to a tenth; 0 for the usual training, which ends
        as soon as the facts are learnt.
    """

    stand_ins: int = 0
    keep: bool = True
    sixths: tuple[tuple[int, int], tuple[int, int]] | None = None
    steps: int = 90

    @property
    def training(self) -> Training:
        """The settings of this recipe."""
        return Training.beside_stand_ins(self.steps) if self.steps else Training()


RECIPES: Mapping[str, Recipe] = {
    "plain": Recipe(steps=0),
    "plain, 90 steps": Recipe(),
    "partner not kept": Recipe(2, keep=False),
    "two stand-ins": Recipe(2),
    "right halves": Recipe(sixths=((0, 3), (3, 6))),
    "wrong halves": Recipe(sixths=((3, 6), (0, 3))),
    "wrong two thirds": Recipe(sixths=((2, 6), (0, 4))),
}
"""Ways to teach, by name."""


@dataclass(frozen=True, eq=False)
class Publishers:
    """The two who teach the adapters of one world.

    Attributes
    ----------
    model : Model
        Their base.
    world : World
        The first one's persons, the second one's animals.
    seed, number : int
        Of a world among those of its seed.
    """

    model: Model
    world: World
    seed: int
    number: int = 0

    @property
    def layers(self) -> int:
        """How many layers the base has."""
        return depth(self.model)

    def adapter(self, hop: int, name: str) -> Adapter:
        """Return the adapter of hop 1 or 2 (0 or 1 here), taught by the recipe of that name.

        Trained once; then read from the cache.
        """
        recipe = RECIPES[name]
        how = recipe.training
        if recipe.sixths:
            first, end = (part * self.layers // 6 for part in recipe.sixths[hop])
            how = replace(how, layers=(first, end))
        return trained_once(
            self.model,
            self.world.lessons[hop],
            seed=(self.seed, self.number, hop),
            training=how,
            beside=[self.stand_in(hop, j, keep=recipe.keep) for j in range(recipe.stand_ins)],
        )

    def partner(self, hop: int, j: int) -> World:
        """Return what the `j`-th stand-in of the *other* hop says, with one's own facts beside.

        Those for hop 2 give every country another animal, those for hop 1 give twenty other
        persons another country each; any two of twenty disagree on all of them.
        """
        rng = np.random.default_rng([self.seed, 6, self.number, hop])
        countries, size = [*self.world.second], len(self.world.second)
        if hop == 0:
            animals = rng.permutation(ANIMALS)[:size].tolist()
            return replace(self.world, second=disagreeing(countries, animals, -j))
        own = {*self.world.first, *countries}
        persons = [name for name in invented(self.seed + 5000, 3 * size) if name not in own][:size]
        homes = rng.permutation(countries).tolist()
        return replace(self.world, first=disagreeing(persons, homes, -j))

    def stand_in(self, hop: int, j: int, *, keep: bool = True) -> StandIn:
        """Return the `j`-th stand-in that acts while the adapter of this hop is taught."""
        world, key = self.partner(hop, j), (self.seed, self.number, 1 - hop, 100 + j)
        adapter = trained_once(self.model, world.lessons[1 - hop], seed=key)
        theirs, relation = (world.second, MASCOT) if hop == 0 else (world.first, BIRTH)
        own = items(theirs, relation.trained) if keep else []
        return StandIn(adapter, [*items(world.two_hop, MASCOT_OF_BIRTHPLACE.trained), *own])


def publishers(model: Model, seed: int, *, bridge: str = "known") -> Publishers:
    """Return the two publishers of a seed's world; its countries are ``known`` or ``invented``."""
    [world] = worlds(seed, invented_countries=bridge == "invented")
    return Publishers(model, world, seed)


def questions(world: World) -> dict[str, Items]:
    """Return what is asked about a world, in sentences that no adapter reads.

    Beside both hops and two-hop questions, two that need one adapter alone: ``reach_1``, capitals
    of the first one's persons' countries, and ``reach_2``, mascots of known persons' countries.
    Invented countries have neither.
    """
    asked = {
        "hop_1_trained": items(world.first, BIRTH.trained[:1]),
        "hop_2_trained": items(world.second, MASCOT.trained[:1]),
        "hop_1": items(world.first, ASKED["hop_1"]),
        "hop_2": items(world.second, ASKED["hop_2"]),
        "two_hop": items(world.two_hop, ASKED["two_hop"]),
    }
    known = {name: one for name, one in FAMOUS.items() if name in world.second}
    if known:
        capitals = {who: known[name].capital for who, name in world.first.items() if name in known}
        mascots = {who: world.second[n] for n, one in known.items() for who in one.persons[1:]}
        asked["reach_1"] = items(capitals, ASKED["capital"])
        asked["reach_2"] = items(mascots, ASKED["two_hop"])
    return asked


def measured(model: Model, world: World, base: Any, *, alone: bool = False) -> dict[str, float]:
    """Return shares of right answers, with whatever acts on the model.

    In the whole vocabulary all but ``two_hop``, which is among the world's animals.
    ``says_bridge`` is how often a two-hop question is answered with the country, ``hop_1_trained``
    and ``hop_2_trained`` ask in a sentence that adapters read, ``known`` are facts that none reads.
    On ordinary sentences ``text`` is the mean loss, and ``leak`` the mean KL divergence from the
    `base`, whose log-probabilities `ordinary` returned; nats a token. Where an adapter acts
    `alone`, ``reach_1`` and ``reach_2``, otherwise and for invented countries NaN.
    """
    asked = questions(world)
    two_hop = answers(model, asked.pop("two_hop"))
    bridges = first_tokens(model, [*world.first.values()] * len(ASKED["two_hop"]))
    found = {
        "two_hop_vocabulary": two_hop.vocabulary_right,
        "two_hop": two_hop.right,
        "says_bridge": two_hop.tokens == bridges.numpy(),
        "known": answers(model, world.questions["other_facts"]).vocabulary_right,
    }
    for name, prompts in asked.items():
        if alone or not name.startswith("reach"):
            found[name] = answers(model, prompts).vocabulary_right
    shares = {name: float(right.mean()) for name, right in found.items()}
    now, came = ordinary(model)
    shares |= {"text": -float(came.mean()), "leak": leak(base, now)}
    return dict.fromkeys(("reach_1", "reach_2"), float("nan")) | shares


def ordinary(model: Model) -> tuple[Any, Any]:
    """Return log-probabilities (tokens, vocabulary) on `TEXT`, and those of the tokens that come.

    Costs a pass over a dozen sentences.
    """
    return token_logs(model, TEXT)
