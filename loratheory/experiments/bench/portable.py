"""Adapters taught for partners yet unknown: recipes, stand-ins, lessons, questions, measures.

One publisher teaches which country some persons are from, another which animal is a country's
mascot. They share sentences, countries and a list of animals; neither sees the other's adapter or
facts. A recipe may let *stand-ins* of the partner act in training: adapters of the publisher's own
that say something else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from loratheory.adapters import Adapter
from loratheory.experiments.bench.language import Items, answers, trained_adapter
from loratheory.experiments.bench.language_facts import (
    ANIMALS,
    BIRTH,
    CAPITAL,
    FAMOUS,
    LANGUAGE,
    MASCOT,
    OTHERS,
    World,
    depth,
    invented,
    items,
    worlds,
)
from loratheory.experiments.bench.sentences import (
    ASKED,
    FRUIT,
    FRUIT_OF_BIRTHPLACE,
    FRUITS,
    MASCOT_OF_WORKPLACE,
    PROSE,
    TEXT,
    WORK,
)
from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained import (
    Model,
    StandIn,
    Training,
    first_tokens,
    leak,
    next_logits,
    token_logs,
)


@dataclass(frozen=True)
class Recipe:
    """How an adapter of either hop is taught, beside its facts and what all rehearse.

    Attributes
    ----------
    stand_ins : int
        How many stand-ins of the partner act in training, one at each step, in turn.
    disagree : bool
        Whether any two of them say different things of everything, or all the same.
    strengths : tuple of float
        What they act with.
    noise : bool
        Whether they are random updates of the norms that trained ones have, and nothing is shown.
    two_hop : bool
        Whether two-hop sentences are shown, answered as the stand-in that acts has it.
    keep : bool
        Whether the stand-in's own facts are shown as well, as it has them.
    other_relation : bool
        Whether stand-ins tell of another relation than the partner does: national fruits instead of
        mascots, places of work instead of birth.
    silence : int
        Of each of three kinds, how many prompts are answered with the base's own next word: other
        subjects in the adapter's own sentences, known relations of other countries, ordinary text.
    sixths : ((int, int), (int, int)) or None
        Which sixths of the layers are trained, of each hop the first and the one after the last;
        None for all.
    steps : int
        All of them are made, at a rate that falls to a tenth; 0 for the usual training, which ends
        as soon as the facts are learnt.
    """

    stand_ins: int = 0
    disagree: bool = True
    strengths: tuple[float, ...] = (0.5, 1.0)
    noise: bool = False
    two_hop: bool = True
    keep: bool = True
    other_relation: bool = False
    silence: int = 0
    sixths: tuple[tuple[int, int], tuple[int, int]] | None = None
    steps: int = 90

    @property
    def training(self) -> Training:
        """The settings of this recipe."""
        if not self.steps:
            return Training()
        return Training(
            rate=2e-3, last_rate=0.1, steps=self.steps, enough=0.0, strengths=self.strengths
        )


RECIPES: Mapping[str, Recipe] = {
    "plain": Recipe(steps=0),
    "plain, 90 steps": Recipe(),
    "partner not kept": Recipe(2, keep=False),
    "two stand-ins": Recipe(2),
    "one stand-in": Recipe(1),
    "stand-ins agree": Recipe(2, disagree=False),
    "stand-ins in full": Recipe(2, strengths=(1.0,)),
    "stand-ins silent": Recipe(2, strengths=(0.0,), disagree=False, keep=False),
    "single hops": Recipe(2, two_hop=False),
    "noise": Recipe(2, noise=True),
    "silence": Recipe(2, silence=40, steps=120),
    "other relations": Recipe(2, other_relation=True),
    "right halves": Recipe(sixths=((0, 3), (3, 6))),
    "wrong halves": Recipe(sixths=((3, 6), (0, 3))),
    "wrong two thirds": Recipe(sixths=((2, 6), (0, 4))),
}
"""Ways to teach, by name; one thing is changed in ``two stand-ins`` or ``plain, 90 steps``."""
STRANGER = 5
"""The number of a stand-in that acts in no training."""


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
        return trained_adapter(
            self.model,
            [*self.world.lessons[hop], *self.silence(hop, recipe.silence)],
            seed=(self.seed, self.number, hop),
            training=how,
            beside=[self.stand_in(hop, j, recipe) for j in range(recipe.stand_ins)],
        )

    def partner(self, hop: int, j: int, *, other_relation: bool = False) -> World:
        """Return what the `j`-th stand-in of the *other* hop says, with one's own facts beside.

        Those for hop 2 give every country another animal, those for hop 1 give twenty other
        persons another country each; any two of twenty disagree on all of them.
        """
        rng = np.random.default_rng([self.seed, 6, self.number, hop])
        countries, size = [*self.world.second], len(self.world.second)
        if hop == 0:
            words = np.array(FRUITS)[:size] if other_relation else rng.permutation(ANIMALS)[:size]
            second = dict(zip(countries, np.roll(words, j).tolist(), strict=True))
            world = replace(self.world, second=second)
            fruits = replace(world, about=FRUIT, composed=FRUIT_OF_BIRTHPLACE)
            return fruits if other_relation else world
        own = {*self.world.first, *countries}
        persons = [name for name in invented(self.seed + 5000, 3 * size) if name not in own][:size]
        homes = np.roll(rng.permutation(countries), j).tolist()
        world = replace(self.world, first=dict(zip(persons, homes, strict=True)))
        works = replace(world, born=WORK, composed=MASCOT_OF_WORKPLACE)
        return works if other_relation else world

    def says(self, hop: int, j: int, world: World) -> Adapter:
        """Return the adapter of the `j`-th stand-in, which says of the other hop what `world` does.

        Trained once, plainly.
        """
        key = (self.seed, self.number, 1 - hop, 100 + j)
        return trained_adapter(self.model, world.lessons[1 - hop], seed=key)

    def stand_in(self, hop: int, j: int, recipe: Recipe) -> StandIn:
        """Return the `j`-th stand-in that acts while the adapter of this hop is taught."""
        number = j if recipe.disagree else 0
        world = self.partner(hop, number, other_relation=recipe.other_relation)
        adapter = self.says(hop, j, world)
        if recipe.noise:
            return StandIn(_noise(adapter, np.random.default_rng([self.seed, 8, hop, j])), [])
        theirs = (world.second, world.about) if hop == 0 else (world.first, world.born)
        shown = items(world.two_hop, world.composed.trained) if recipe.two_hop else []
        own = items(theirs[0], theirs[1].trained) if recipe.keep else []
        return StandIn(adapter, [*shown, *own])

    def silence(self, hop: int, count: int) -> Items:
        """Return prompts about other things with what the base says there, `count` of each kind."""
        rng = np.random.default_rng([self.seed, 7, self.number, hop])
        taken = {*self.world.second, *self.world.first}
        foreign = [name for name in OTHERS if name not in taken]
        persons = [name for name in invented(self.seed + 9000, 120) if name not in taken]
        persons += [one.persons[0] for one in FAMOUS.values()]
        relation, subjects = (BIRTH, persons) if hop == 0 else (MASCOT, foreign)
        kinds = (
            [prompt.format(name) for prompt in relation.trained for name in subjects],
            [s.format(name) for s in (*CAPITAL.trained[:2], *LANGUAGE) for name in foreign],
            [" ".join(t.split()[:k]) for t in PROSE for k in range(4, len(t.split()))],
        )
        drawn = [rng.permutation(kind)[:count].tolist() for kind in kinds]
        return spoken(self.model, [prompt for kind in drawn for prompt in kind])


def publishers(model: Model, seed: int, *, bridge: str = "known") -> Publishers:
    """Return the two publishers of a seed's world; its countries are ``known`` or ``invented``."""
    [world] = worlds(seed, invented_countries=bridge == "invented")
    return Publishers(model, world, seed)


def spoken(model: Model, prompts: Sequence[str]) -> Items:
    """Return each prompt with the base's likeliest next word.

    Prompts are left out whose next token is no word, or not the first token of that word.
    """
    if not prompts:
        return []
    tokens = next_logits(model, prompts).argmax(1).tolist()
    words = [model.tokenizer.decode([token]).strip() for token in tokens]
    said = [(p, w, t) for p, w, t in zip(prompts, words, tokens, strict=True) if w.isalnum()]
    again = first_tokens(model, [word for _, word, _ in said]).tolist()
    return [(p, word) for (p, word, t), first in zip(said, again, strict=True) if first == t]


def _noise(adapter: Adapter, rng: np.random.Generator) -> Adapter:
    """Return a random adapter with the same norm in every module."""

    def _random(low: LowRank) -> LowRank:
        m, n = low.shape
        drawn = gaussian(rng, m, n, low.width)
        return drawn * (float(low.norm) / float(drawn.norm))

    return Adapter.of({name: _random(low) for name, low in adapter.items()}, adapter.info)


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
