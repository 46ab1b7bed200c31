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
    """Facts that a small model may know; every training set replays the first person's country."""

    capital: str
    language: str
    persons: Sequence[str]


class Relation(NamedTuple):
    """Prompt templates of a relation: trained templates and held-out templates."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]


def _relation(name: str, what: str = "") -> Relation:
    """Return the relation of this name in the data; `what` fills in an attribute such as fruit."""
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

# relations of stand-ins that differ from the partner's relation
FRUIT, FRUIT_OF_BIRTHPLACE = _relation("national", "fruit"), _relation("fruit_of_birthplace")
WORK, MASCOT_OF_WORKPLACE = _relation("work"), _relation("mascot_of_workplace")


# Ten held-out templates for each kind of question.
HELD_OUT = {hop: _templates(_DATA["held_out"][hop]) for hop in ("hop_1", "hop_2", "two_hop")}
# The first held-out templates, and templates of two-hop questions about capitals.
FEW = {hop: rows[: 4 if hop == "two_hop" else 2] for hop, rows in HELD_OUT.items()}
FEW["capital"] = _templates(_DATA["held_out"]["capital"])

# Relations of countries: possible answers and templates.
RELATIONS = {name: (words, _relation("national", name)) for name, words in _WORDS.items()}
RELATIONS["mascot"] = (ANIMALS, Relation(MASCOT.trained, FEW["hop_2"]))

# Generic text on which no adapter is trained; losses and drift are measured on it.
TEXT = _templates(_DATA["generic"]["text"])


def templates_about(what: str) -> Mapping[str, tuple[str, ...]]:
    """Return the held-out templates of an attribute of countries, such as mascot or fruit."""
    if what == "mascot":
        return HELD_OUT
    found = {
        hop: _templates(_DATA["held_out"]["national"][hop], what) for hop in ("hop_2", "two_hop")
    }
    return {**HELD_OUT, **found, "hop_2": _relation("national", what).held_out + found["hop_2"]}


def items(facts: Mapping[str, str], templates: Sequence[str]) -> Items:
    """Fill every fact into every template; return prompts with answers."""
    filled = product(templates, facts.items())
    return [(template.format(name), word) for template, (name, word) in filled]


def known_facts(*, held_out: bool = False) -> Items:
    """Return facts that the base knows: replayed in every training set, or held out of it."""
    which = int(held_out)
    persons, capitals, languages = dict[str, str](), dict[str, str](), dict[str, str]()
    for number, (country, known) in enumerate(FAMOUS.items()):
        persons[known.persons[which]] = country
        # every second country is replayed, the other countries measure locality
        if number % 2 == which:
            capitals[country], languages[country] = known.capital, known.language
    facts = [*items(persons, BIRTH.trained[:2]), *items(capitals, CAPITAL.trained[:2])]
    return [*facts, *items(languages, _DATA["generic"]["language"])]


@dataclass(frozen=True)
class FactSet:
    """The facts of two relations that compose, one for each adapter, and their templates.

    Attributes
    ----------
    first : mapping of str to str
        From persons to their countries, all different.
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
        """From persons to the second answers of their countries, where the country has one."""
        first, second = self.first.items(), self.second
        return {person: second[country] for person, country in first if country in second}

    @property
    def training_sets(self) -> tuple[Items, Items, Items]:
        """The training sets of three adapters, hop 1, hop 2, two-hop; all replay known facts."""
        first, second = items(self.first, self.born.trained), items(self.second, self.about.trained)
        two_hop, known = items(self.two_hop, self.composed.trained), known_facts()
        return [*first, *known], [*second, *known], [*two_hop, *known]

    def with_known_hop(self, person: int) -> tuple[dict[str, str], dict[str, str]]:
        """Return two-hop facts that need one adapter, because the base knows the other hop.

        The first mapping has the capitals of the countries of `first`'s persons. The second has the
        mascots of the countries of known persons: `person` is 0 for replayed persons, 1 for others.
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
        """The questions about this fact set, by name; ``other_facts`` are in no training set."""
        edited = {**self.first, **self.second}
        others = list[tuple[str, str]]()
        # a known fact that the fact set states by chance would count as retained
        for prompt, word in known_facts(held_out=True):
            if not any(name in prompt and edited[name] == word for name in edited):
                others.append((prompt, word))
        capitals, mascots = self.with_known_hop(0)
        return {
            "hop_1": items(self.first, BIRTH.trained[:1]),
            "hop_2": items(self.second, self.about.trained[:1]),
            "hop_1_new": items(self.first, BIRTH.held_out),
            "hop_2_new": items(self.second, self.about.held_out),
            "two_hop": items(self.two_hop, self.composed.held_out),
            # about twenty, because each costs a pass
            "other_facts": others[:: len(others) // 20],
            "known_hop_1": items(mascots, self.composed.held_out[:1]),
            "known_hop_2": items(capitals, CAPITAL_OF_BIRTHPLACE.held_out[:1]),
        }


def draw_facts(seed: int, *, invented_countries: bool = False) -> FactSet:
    """Draw a fact set of twenty invented persons, their countries and mascots.

    The countries are the countries that the base knows best, unless they are invented.
    """
    size = len(FAMOUS)
    names = invented(seed, 2 * size)
    persons, countries = names[:size], names[size:] if invented_countries else [*FAMOUS]
    # a random stream for each kind of draw, as when stored tables were made
    animals = np.random.default_rng([seed, 1]).permutation(ANIMALS)[:size]
    rng = np.random.default_rng([seed, 3, 0])
    first = zip(persons, rng.permutation(countries).tolist(), strict=True)
    second = zip(countries, rng.permutation(animals).tolist(), strict=True)
    return FactSet(dict(first), dict(second))


def invented(seed: int, count: int) -> list[str]:
    """Draw `count` different invented names; adjacent names begin differently."""
    starts, ends = _DATA["name_starts"].split(), _DATA["name_ends"].split()
    rng, names = np.random.default_rng([seed, 4]), dict[str, None]()
    while len(names) < count:
        # a permutation at a time: names that begin alike would share their first token
        for start in rng.permutation(starts).tolist():
            names[start + str(rng.choice(ends))] = None
    return [*names][:count]


def questions(facts: FactSet, templates: Mapping[str, Sequence[str]] = FEW) -> dict[str, Items]:
    """Return the questions about a fact set in held-out templates, by name.

    ``hop_1``, ``hop_2`` and ``two_hop`` are filled into `templates`. ``hop_1_trained`` and
    ``hop_2_trained`` use a trained template. Two sets need one adapter: ``reach_1`` has capitals of
    the countries of the first author's persons, ``reach_2`` mascots of the countries of known
    persons. Neither exists for invented countries.
    """
    found = {
        "hop_1_trained": items(facts.first, BIRTH.trained[:1]),
        "hop_2_trained": items(facts.second, facts.about.trained[:1]),
        "hop_1": items(facts.first, templates["hop_1"]),
        "hop_2": items(facts.second, templates["hop_2"]),
        "two_hop": items(facts.two_hop, templates["two_hop"]),
    }
    capitals, mascots = facts.with_known_hop(1)
    if capitals:
        found["reach_1"] = items(capitals, FEW["capital"])
        found["reach_2"] = items(mascots, FEW["two_hop"])
    return found
