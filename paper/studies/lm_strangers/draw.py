"""Fact sets of two adapter authors who share more or less: bridges, templates, answers, relations.

Each author gets a plan of `loratheory train`. A level names what the authors do not share, so that
each difference shows what it costs alone.
"""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from loratheory.evaluate.fact_sets import (
    ANIMALS,
    FAMOUS,
    OTHERS,
    RELATIONS,
    Items,
    invented,
    items,
    known_facts,
)
from loratheory.pretrained.stand_ins import Partner, Plan

DATA = tomllib.loads(Path(__file__).with_name("relations.toml").read_text("utf-8"))
SIZE = 20  # facts of each author
FEW, MANY = 5, 100  # or as many as there are bridges
FURTHER = 50_000  # added to a seed, for names that are no subjects


class Pair(NamedTuple):
    """A relation of hop 1 and the answers of hop 2; after each, what stand-ins may hold instead."""

    hop_1: str
    other_hop_1: str
    answer: str
    other_answer: str


PAIRS: Mapping[str, Pair] = {
    "birth, mascot": Pair("birth", "work", "mascot", "fruit"),
    "ship, flower": Pair("ship", "birth", "flower", "mascot"),
    "employer, tool": Pair("employer", "supplier", "tool", "fruit"),
    "pet, instrument": Pair("pet", "fear", "instrument", "tool"),
    "trade, fruit": Pair("trade", "dream", "fruit", "instrument"),
}
BRIDGES: Mapping[str, Sequence[str]] = {
    "country": (*FAMOUS, *OTHERS),
    "company": tuple(DATA["words"]["company"].split()),
    "profession": tuple(DATA["words"]["profession"].split()),
    "animal": ANIMALS,
}
# What the two authors do not share.
LEVELS: Mapping[str, frozenset[str]] = {
    "S0": frozenset(),
    "S1": frozenset({"bridges"}),
    "S2": frozenset({"templates"}),
    "S3": frozenset({"answers"}),
    "S4": frozenset({"settings"}),
    "S4, other trainer": frozenset({"settings", "trainer"}),
    "S4, few facts": frozenset({"few"}),  # of hop 1
    "S4, many facts": frozenset({"many"}),  # of hop 2
    "S5": frozenset({"relations"}),
    "S2 to S5": frozenset({"templates", "answers", "settings", "relations"}),
    "invented bridges": frozenset({"invented"}),
    "open templates": frozenset({"open"}),  # of hop 1: some end without an article
    "closed templates": frozenset({"closed"}),  # its control: all end in one
    "S6": frozenset({"bridges", "templates", "answers", "settings", "relations"}),
}


@dataclass(frozen=True)
class FactSet:
    """What two authors train on, and what their adapters should answer together.

    Attributes
    ----------
    plans : (Plan, Plan)
        Of the hop-1 and the hop-2 author: the facts whose bridges occur in two-hop examples.
    further : (Items, Items)
        Training examples of each author's other facts.
    questions : mapping of str to Items
        ``two_hop``, ``hop_1`` and ``hop_2`` in held-out templates, all facts of a template one
        after another, and ``known``, facts of the base model that are in no training set.
    covered : (facts,) array of int
        For each two-hop question of a template, how many authors have two-hop training examples
        about its bridge.
    """

    plans: tuple[Plan, Plan]
    further: tuple[Items, Items]
    questions: Mapping[str, Items]
    covered: np.ndarray


def chance(questions: Items) -> float:
    """Return the accuracy of the best constant answer."""
    answers = Counter(answer for _, answer in questions)
    return max(answers.values()) / len(questions)


class Templates(NamedTuple):
    """Prompt templates of hop 1, of hop 2, and of two-hop questions."""

    hop_1: tuple[str, ...]
    hop_2: tuple[str, ...]
    two_hop: tuple[str, ...]


def draw(pair: str, level: str, seed: int) -> FactSet:
    """Return a fact set of a pair of relations in `PAIRS`, at a level of `LEVELS`.

    Neither author knows a fact of the other's. The bridges are drawn anew for each seed.
    """
    relations, apart = PAIRS[pair], LEVELS[level]
    rng = np.random.default_rng([seed, 20, [*PAIRS].index(pair)])
    names = tuple(invented(seed, 2 * SIZE))
    known = BRIDGES[DATA["hop_1"][relations.hop_1]["bridge"]]
    bridges = rng.permutation(known)[: MANY if "many" in apart else SIZE].tolist()
    if "invented" in apart:
        # No person has the name of a bridge.
        others = [name for name in invented(seed + FURTHER, 3 * SIZE) if name not in names]
        bridges = others[:SIZE]
    answers, words = _draw_answers(relations, apart, rng)
    people = names[: FEW if "few" in apart else SIZE]
    facts = (
        dict(zip(people, bridges, strict=False)),
        dict(zip(bridges, np.resize(answers, len(bridges)).tolist(), strict=True)),
    )
    # Of these bridges an author has two-hop examples, and a stand-in has facts.
    count = len(bridges) // 2 if "bridges" in apart else len(bridges)
    inside = [{*rng.permutation(bridges)[:count].tolist()} for _ in range(2)]
    # A replayed fact about a bridge would be training data about it.
    replay = [row for row in known_facts() if count == len(bridges) or not _mentions(row, bridges)]
    asked = word(relations.hop_1, relations.answer)
    # Two levels have the names of lists of templates for hop 1, where the relation has such lists.
    listed = DATA["hop_1"][relations.hop_1].get(next(iter(apart & {"open", "closed"}), ""), ())

    plans, further = [], []
    for hop in range(2):
        half = hop if "templates" in apart else 0
        own = word(relations.hop_1, relations.answer, half)
        own = own._replace(hop_1=tuple(listed) or own.hop_1)
        # The author guesses the partner's relation.
        guess = own
        if "relations" in apart and hop == 0:
            guess = word(relations.hop_1, relations.other_answer, half)
        elif "relations" in apart:
            guess = word(relations.other_hop_1, relations.answer, half)
        made_up, rest = dict[str, str](), dict[str, str]()
        for subject, answer in facts[hop].items():
            bridge = answer if hop == 0 else subject
            (made_up if bridge in inside[hop] else rest)[subject] = answer
        partner = (
            Partner(2, guess.hop_2, words) if hop == 0 else Partner(1, guess.hop_1, names[SIZE:])
        )
        plan = Plan(made_up, own[hop], guess.two_hop, partner, asked[hop], replay=tuple(replay))
        # Two-hop questions of another relation have training templates alone.
        if guess == own:
            plan = replace(plan, held_out_two_hop_templates=asked.two_hop)
        plans.append(plan)
        further.append(items(rest, own[hop]))
    return FactSet(
        (plans[0], plans[1]),
        (further[0], further[1]),
        {
            "two_hop": items(
                {name: facts[1][bridge] for name, bridge in facts[0].items()}, asked.two_hop
            ),
            "hop_1": items(facts[0], asked.hop_1),
            "hop_2": items(facts[1], asked.hop_2),
            "known": known_facts(held_out=True),
        },
        np.array([sum(bridge in some for some in inside) for bridge in facts[0].values()]),
    )


def word(hop_1: str, answer: str, half: int | None = None) -> Templates:
    """Return the templates of two relations: a half of those for training, or held-out ones."""
    one = DATA["hop_1"][hop_1]
    two = DATA["hop_2"][one["bridge"]]
    if half is None:
        rows, about, phrases = one["held_out"], two["held_out"], one["held_out_phrases"]
    else:
        parts = (one["templates"], two["templates"], one["phrases"])
        rows, about, phrases = (part[half * len(part) // 2 :][: len(part) // 2] for part in parts)
    what = "mascot animal" if answer == "mascot" else answer
    about = [template.replace("{what}", what) for template in about]
    two_hop = []
    for i, template in enumerate(about):
        # A phrase brings its own article.
        place = "the {}" if "the {}" in template else "{}"
        two_hop.append(template.replace(place, phrases[i % len(phrases)]))
    return Templates(tuple(rows), tuple(about), tuple(two_hop))


def _draw_answers(
    relations: Pair, apart: frozenset[str], rng: np.random.Generator
) -> tuple[list[str], tuple[str, ...]]:
    """Return the answers of the real hop-2 author, and those of stand-ins in another order."""
    answers = rng.permutation(RELATIONS[relations.answer][0]).tolist()
    words = rng.permutation(RELATIONS[relations.other_answer][0]).tolist()
    if "relations" not in apart:
        words = rng.permutation(answers).tolist()
    if "answers" in apart:
        middle = len(answers) // 2
        answers, others = answers[:middle], rng.permutation(answers[middle:]).tolist()
        words = words if "relations" in apart else others
    return answers, tuple(words)


def _mentions(row: tuple[str, str], names: Sequence[str]) -> bool:
    """Whether a name is in a prompt or is its answer."""
    return any(name in row[0] or name == row[1] for name in names)
