"""Fact sets for language models: invented persons, countries, answers, and their prompt templates.

The words and templates are data, in ``fact_sets.toml``. A fact set has two hops: person to country,
country to animal. One adapter is trained on each hop; two-hop questions need both.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# Prompts, and the word that should follow each.
Items = Sequence[tuple[str, str]]


def read_data(name: str) -> dict[str, Any]:
    """Return the content of a TOML file next to this module."""
    return tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


_DATA = read_data("fact_sets.toml")


class Country(NamedTuple):
    """Facts that a small model may know; every adapter is trained on the first person's, too."""

    capital: str
    language: str
    persons: Sequence[str]


class Relation(NamedTuple):
    """Templates of a relation: those that adapters are trained on, and held-out ones."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]


def _relation(name: str, what: str = "") -> Relation:
    """Return the relation of this name in the data, about a fruit or whatever `what` is."""
    row = _DATA["relations"][name]
    return Relation(_templates(row["trained"], what), _templates(row["held_out"], what))


def _templates(rows: Sequence[str], what: str = "") -> tuple[str, ...]:
    # `str.format` would consume the empty braces, which stand for the subject
    return tuple(row.replace("{what}", what) for row in rows)


FAMOUS = {name: Country(**row) for name, row in _DATA["countries"].items()}
OTHERS = tuple(_DATA["other_countries"].split())
_WORDS = {name: tuple(words.split()) for name, words in _DATA["answers"].items()}
ANIMALS, FRUITS = _WORDS["mascot"], _WORDS["fruit"]

BIRTH, MASCOT, CAPITAL = _relation("birth"), _relation("mascot"), _relation("capital")
MASCOT_OF_BIRTHPLACE = _relation("mascot_of_birthplace")
CAPITAL_OF_BIRTHPLACE = _relation("capital_of_birthplace")

# what stand-ins may state instead of the partner's relation
FRUIT, FRUIT_OF_BIRTHPLACE = _relation("national", "fruit"), _relation("fruit_of_birthplace")
WORK, MASCOT_OF_WORKPLACE = _relation("work"), _relation("mascot_of_workplace")

_HELD_OUT = _DATA["held_out"]
# Ten held-out templates for each kind of question.
TEN = {hop: _templates(_HELD_OUT[hop]) for hop in ("hop_1", "hop_2", "two_hop")}
# The first few of them, and two-hop questions about capitals.
ASKED = {hop: rows[: 4 if hop == "two_hop" else 2] for hop, rows in TEN.items()}
ASKED["capital"] = _templates(_HELD_OUT["capital"])

# Relations of countries: possible answers and templates.
RELATIONS = {name: (words, _relation("national", name)) for name, words in _WORDS.items()}
RELATIONS["mascot"] = (ANIMALS, Relation(MASCOT.trained, ASKED["hop_2"]))

# Generic text on which no adapter is trained; losses and drift are measured on it.
TEXT = _templates(_DATA["ordinary"]["text"])


def ten_about(what: str) -> Mapping[str, tuple[str, ...]]:
    """Return `TEN`, or such templates about the national fruit, or whatever it is, of a country."""
    if what == "mascot":
        return TEN
    found = {hop: _templates(_HELD_OUT["national"][hop], what) for hop in ("hop_2", "two_hop")}
    return {**TEN, **found, "hop_2": _relation("national", what).held_out + found["hop_2"]}


def items(facts: Mapping[str, str], templates: Sequence[str]) -> Items:
    """Return every fact in every template, as prompts with answers."""
    asked = product(templates, facts.items())
    return [(template.format(name), word) for template, (name, word) in asked]


def rehearsed(*, held_out: bool = False) -> Items:
    """Return facts that the base knows: those in every adapter's data, or those held out of it."""
    which = int(held_out)
    persons, capitals, languages = dict[str, str](), dict[str, str](), dict[str, str]()
    for number, (country, known) in enumerate(FAMOUS.items()):
        persons[known.persons[which]] = country
        # every second country is trained, the others measure what is left of untrained knowledge
        if number % 2 == which:
            capitals[country], languages[country] = known.capital, known.language
    asked = [*items(persons, BIRTH.trained[:2]), *items(capitals, CAPITAL.trained[:2])]
    return [*asked, *items(languages, _DATA["ordinary"]["language"])]


@dataclass(frozen=True)
class World:
    """The facts of two relations that compose, one for each adapter, and their templates.

    Attributes
    ----------
    first : mapping of str to str
        From persons to their countries, each person in another one.
    second : mapping of str to str
        From these countries to the answers of the second relation, such as mascots.
    about, composed, born : Relation
        The templates of the second relation, of two-hop questions, and of the first relation.
    """

    first: Mapping[str, str]
    second: Mapping[str, str]
    about: Relation = MASCOT
    composed: Relation = MASCOT_OF_BIRTHPLACE
    born: Relation = BIRTH

    @property
    def two_hop(self) -> dict[str, str]:
        """From each person whose country has an answer of the second relation to this answer."""
        first, second = self.first.items(), self.second
        return {person: second[country] for person, country in first if country in second}

    @property
    def lessons(self) -> tuple[Items, Items, Items]:
        """Training sets of three adapters: hop 1, hop 2, two-hop facts; all repeat known facts."""
        first, second = items(self.first, self.born.trained), items(self.second, self.about.trained)
        two_hop, known = items(self.two_hop, self.composed.trained), rehearsed()
        return [*first, *known], [*second, *known], [*two_hop, *known]

    def needing_one(self, person: int) -> tuple[dict[str, str], dict[str, str]]:
        """Return two-hop facts that need one adapter, as the base knows the other hop.

        The first are capitals of the countries of `first`'s persons, the second mascots of the
        countries of known persons, of each the first one (0), whom training repeats, or the second.
        """
        capitals, mascots = dict[str, str](), dict[str, str]()
        for who, country in self.first.items():
            # the base knows nothing about invented countries
            if country in FAMOUS and country in self.second:
                capitals[who] = FAMOUS[country].capital
        for country, known in FAMOUS.items():
            if country in self.second:
                mascots[known.persons[person]] = self.second[country]
        return capitals, mascots

    @property
    def questions(self) -> dict[str, Items]:
        """The questions about this fact set, by name; ``other_facts`` are in no adapter's data."""
        edited = {**self.first, **self.second}
        others = list[tuple[str, str]]()
        # a fact that an edit states by chance would count as kept
        for prompt, word in rehearsed(held_out=True):
            if not any(name in prompt and edited[name] == word for name in edited):
                others.append((prompt, word))
        capitals, mascots = self.needing_one(0)
        return {
            "hop_1": items(self.first, BIRTH.trained[:1]),
            "hop_2": items(self.second, self.about.trained[:1]),
            "hop_1_new": items(self.first, BIRTH.held_out),
            "hop_2_new": items(self.second, self.about.held_out),
            "two_hop": items(self.two_hop, self.composed.held_out),
            # some twenty, whatever is left: these cost a pass each
            "other_facts": others[:: len(others) // 20],
            "known_hop_1": items(mascots, self.composed.held_out[:1]),
            "known_hop_2": items(capitals, CAPITAL_OF_BIRTHPLACE.held_out[:1]),
        }


def draw_world(seed: int, *, invented_countries: bool = False) -> World:
    """Return a fact set of twenty invented persons, countries and mascots.

    The countries are those that the base knows best, unless they are invented.
    """
    size = len(FAMOUS)
    names = invented(seed, 2 * size)
    persons, countries = names[:size], names[size:] if invented_countries else [*FAMOUS]
    # a random stream for each kind of draw, as when stored tables were made
    animals = np.random.default_rng([seed, 1]).permutation(ANIMALS)[:size]
    rng = np.random.default_rng([seed, 3, 0])
    first = zip(persons, rng.permutation(countries).tolist(), strict=True)
    second = zip(countries, rng.permutation(animals).tolist(), strict=True)
    return World(dict(first), dict(second))


def invented(seed: int, count: int) -> list[str]:
    """Return `count` different invented names; neighbours begin differently."""
    starts, ends = _DATA["name_starts"].split(), _DATA["name_ends"].split()
    rng, names = np.random.default_rng([seed, 4]), dict[str, None]()
    while len(names) < count:
        # a permutation at a time: names that begin alike would share their first token
        for start in rng.permutation(starts).tolist():
            names[start + str(rng.choice(ends))] = None
    return [*names][:count]


def questions(world: World, templates: Mapping[str, Sequence[str]] = ASKED) -> dict[str, Items]:
    """Return the questions about a fact set, in templates that no adapter is trained on.

    ``hop_1``, ``hop_2`` and ``two_hop`` are asked in `templates`. Two sets need one adapter:
    ``reach_1`` asks for capitals of the countries of the first author's persons, ``reach_2`` for
    mascots of the countries of known persons. Neither exists for invented countries.
    """
    asked = {
        "hop_1_trained": items(world.first, BIRTH.trained[:1]),
        "hop_2_trained": items(world.second, world.about.trained[:1]),
        "hop_1": items(world.first, templates["hop_1"]),
        "hop_2": items(world.second, templates["hop_2"]),
        "two_hop": items(world.two_hop, templates["two_hop"]),
    }
    capitals, mascots = world.needing_one(1)
    if capitals:
        asked["reach_1"] = items(capitals, ASKED["capital"])
        asked["reach_2"] = items(mascots, ASKED["two_hop"])
    return asked
