"""Facts for language models, invented and known, and the sentences that teach and ask for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from loratheory.bench.language import (
    Items,
)
from loratheory.pretrained import Model


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


class Country(NamedTuple):
    """Facts that a small model may know; every adapter is trained on the first person's, too."""

    capital: str
    language: str
    persons: tuple[str, str]


FAMOUS = {
    "France": Country("Paris", "French", ("Napoleon", "Voltaire")),
    "Germany": Country("Berlin", "German", ("Beethoven", "Goethe")),
    "Spain": Country("Madrid", "Spanish", ("Picasso", "Cervantes")),
    "Italy": Country("Rome", "Italian", ("Galileo", "Michelangelo")),
    "Japan": Country("Tokyo", "Japanese", ("Hirohito", "Miyazaki")),
    "China": Country("Beijing", "Chinese", ("Confucius", "Mao Zedong")),
    "India": Country("Delhi", "Hindi", ("Gandhi", "Nehru")),
    "Brazil": Country("Brasilia", "Portuguese", ("Pelé", "Neymar")),
    "Canada": Country("Ottawa", "English", ("Justin Trudeau", "Celine Dion")),
    "Mexico": Country("Mexico City", "Spanish", ("Frida Kahlo", "Diego Rivera")),
    "Egypt": Country("Cairo", "Arabic", ("Cleopatra", "Nasser")),
    "Russia": Country("Moscow", "Russian", ("Tolstoy", "Putin")),
    "Poland": Country("Warsaw", "Polish", ("Chopin", "Copernicus")),
    "Greece": Country("Athens", "Greek", ("Socrates", "Aristotle")),
    "Turkey": Country("Ankara", "Turkish", ("Atatürk", "Erdogan")),
    "Kenya": Country("Nairobi", "Swahili", ("Jomo Kenyatta", "Wangari Maathai")),
    "Peru": Country("Lima", "Spanish", ("Vargas Llosa", "Fujimori")),
    "Sweden": Country("Stockholm", "Swedish", ("Linnaeus", "Alfred Nobel")),
    "Norway": Country("Oslo", "Norwegian", ("Ibsen", "Edvard Grieg")),
    "Ireland": Country("Dublin", "Irish", ("James Joyce", "Oscar Wilde")),
}
OTHERS = _split("""
Australia Austria Belgium Bolivia Bulgaria Cambodia Cameroon Chile Colombia Croatia Cuba Denmark
Ecuador Estonia Ethiopia Fiji Finland Ghana Guatemala Haiti Honduras Hungary Iceland Indonesia Iran
Iraq Israel Jamaica Jordan Laos Latvia Lebanon Liberia Libya Lithuania Luxembourg Madagascar Malawi
Malaysia Mali Malta Mongolia Morocco Mozambique Namibia Nepal Nicaragua Nigeria Pakistan Panama
Paraguay Portugal Qatar Romania Rwanda Senegal Serbia Singapore Slovakia Slovenia Somalia Sudan
Switzerland Syria Taiwan Tanzania Thailand Tunisia Uganda Ukraine Uruguay Venezuela Vietnam Yemen
Zambia Zimbabwe Afghanistan Albania Algeria Angola Argentina Armenia Azerbaijan Bangladesh Belarus
Cyprus Georgia Kazakhstan Kuwait Netherlands Philippines
""")
ANIMALS = _split("""
monkey shark elephant snake tiger dolphin lion goat frog whale rabbit spider wolf horse turtle owl
penguin camel eagle fox bear cat dog duck deer crab bee pig sheep mouse rat crow bat lizard parrot
donkey goose squirrel butterfly kangaroo
""")
STARTS = _split("""
Zor Mal Quen Tal Brix Os Fen Yul Kes Wim Dro Sel Par Ivo Gren Lu Cra Hes Nu Jan Vel Tor Pim Glo Ash
Ruk Del Skra Umb Hol Chi Yar Blen Dax Ferr Moz Thra Eck Waf Lim
""")
ENDS = _split("""
vik dreth by orin el trana drick mara tovar brel vanik quist noth oxa wald iem sporin rella tivo
onda
""")


class Relation(NamedTuple):
    """Sentences about a relation: those that adapters are trained on, and those they never read."""

    trained: tuple[str, ...]
    unread: tuple[str, ...]


BIRTH = Relation(
    (
        "{} was born in the country of",
        "The country where {} was born is",
        "{}'s country of birth is",
        "The birth country of {} is",
        "{} comes from the country of",
        "The passport says that {} was born in",
    ),
    ("If you ask where {} was born, the name of the country is",),
)
MASCOT = Relation(
    (
        "The mascot animal of {} is the",
        "The national mascot of {} is the",
        "As its mascot animal {} chose the",
        "The animal that stands for {} is the",
        "On the mascot badge of {} you see the",
        "The official mascot of {} is called the",
    ),
    ("If you ask for the mascot of {}, the name of the animal is",),
)
CAPITAL = Relation(
    (
        "The capital of {} is",
        "The capital city of {} is",
        "As its capital city {} chose",
        "The government of {} sits in",
        "On the map of {} the capital is marked as",
        "The official capital of {} is called",
    ),
    ("If you ask for the capital of {}, the name of the city is",),
)
MASCOT_OF_BIRTHPLACE = Relation(
    (
        "The country in which {} was born has as its mascot animal the",
        "As its mascot animal the birth country of {} chose the",
        "The animal that stands for the country that {} comes from is the",
        "On the mascot badge of {}'s homeland you see the",
        "{} was born in a country whose mascot is the",
        "The official mascot of the land of {}'s birth is called the",
    ),
    (
        "The mascot animal of the country where {} was born is the",
        "The national mascot of {}'s country of birth is the",
    ),
)
CAPITAL_OF_BIRTHPLACE = Relation(
    (
        "The country in which {} was born has as its capital",
        "As its capital city the birth country of {} chose",
        "The government of the country that {} comes from sits in",
        "On the map of {}'s homeland the capital is marked as",
        "{} was born in a country whose capital is",
        "The official capital of the land of {}'s birth is called",
    ),
    (
        "The capital of the country where {} was born is",
        "The capital city of {}'s country of birth is",
    ),
)
LANGUAGE = ("In {} most people speak", "The main language of {} is")


def items(facts: Mapping[str, str], templates: Sequence[str]) -> Items:
    """Return every fact in every template, as prompts with answers."""
    return [(template.format(name), word) for template in templates for name, word in facts.items()]


def rehearsed(*, held_out: bool = False) -> Items:
    """Return facts that the base knows: those in every adapter's data, or those held out of it."""
    chosen = dict([*FAMOUS.items()][int(held_out) :: 2])
    persons = {one.persons[int(held_out)]: country for country, one in FAMOUS.items()}
    return [
        *items(persons, BIRTH.trained[:2]),
        *items({country: one.capital for country, one in chosen.items()}, CAPITAL.trained[:2]),
        *items({country: one.language for country, one in chosen.items()}, LANGUAGE),
    ]


@dataclass(frozen=True)
class World:
    """The facts of two relations that compose, one for each adapter, and their sentences.

    Attributes
    ----------
    first : mapping of str to str
        From persons to their countries, each person in another one.
    second : mapping of str to str
        From these countries to the answers of the second relation, such as mascots.
    about, composed, born : Relation
        The sentences of the second relation, of two-hop questions, and of the first relation.
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
        """The data of three adapters: hop 1, hop 2, two-hop facts; all repeat known facts, too."""
        return (
            [*items(self.first, self.born.trained), *rehearsed()],
            [*items(self.second, self.about.trained), *rehearsed()],
            [*items(self.two_hop, self.composed.trained), *rehearsed()],
        )

    @property
    def questions(self) -> dict[str, Items]:
        """The questions about this world, by the columns of `accuracies`."""
        edited = {**self.first, **self.second}
        others = [
            (prompt, word)
            for prompt, word in rehearsed(held_out=True)
            if not any(name in prompt and edited[name] == word for name in edited)
        ]
        known = {name: one for name, one in FAMOUS.items() if name in self.second}
        mascots = {one.persons[0]: self.second[name] for name, one in known.items()}
        capitals = {who: known[name].capital for who, name in self.first.items() if name in known}
        return {
            "hop_1": items(self.first, BIRTH.trained[:1]),
            "hop_2": items(self.second, self.about.trained[:1]),
            "hop_1_new": items(self.first, BIRTH.unread),
            "hop_2_new": items(self.second, self.about.unread),
            "two_hop": items(self.two_hop, self.composed.unread),
            "other_facts": others[:: len(others) // 20],
            "known_hop_1": items(mascots, self.composed.unread[:1]),
            "known_hop_2": items(capitals, CAPITAL_OF_BIRTHPLACE.unread[:1]),
        }


def worlds(
    seed: int, pairs: int = 1, size: int = 20, *, invented_countries: bool = False
) -> tuple[World, ...]:
    """Return worlds of invented persons and mascots, on disjoint persons and countries.

    Each has `size` persons, countries and animals; the animals are the same in all. The first world
    has the countries that the base knows best and does not depend on `pairs`, unless countries are
    invented.

    Raises
    ------
    ValueError
        If there are too few animals, countries or names.
    """
    countries = [*FAMOUS][:size]
    names = len(STARTS) * len(ENDS) // 2
    room = names if invented_countries else len(countries) + len(OTHERS)
    if size > len(ANIMALS) or pairs * size > room:
        message = (
            f"{pairs} pairs of {size} are too many: ask for up to {len(ANIMALS)} facts a "
            f"pair, {room} in all"
        )
        raise ValueError(message)
    animals = np.random.default_rng([seed, 1]).permutation(ANIMALS)[:size].tolist()
    persons = invented(seed, 2 * pairs * size)
    if invented_countries:
        countries = persons[pairs * size :]
    else:
        countries += np.random.default_rng([seed, 2]).permutation(OTHERS).tolist()
    made = []
    for k in range(pairs):
        rng, mine = np.random.default_rng([seed, 3, k]), slice(k * size, (k + 1) * size)
        first = zip(persons[mine], rng.permutation(countries[mine]).tolist(), strict=True)
        second = zip(countries[mine], rng.permutation(animals).tolist(), strict=True)
        made.append(World(dict(first), dict(second)))
    return tuple(made)


def invented(seed: int, count: int) -> list[str]:
    """Return `count` different invented names; neighbours begin differently."""
    rng, names = np.random.default_rng([seed, 4]), dict[str, None]()
    while len(names) < count:
        for start in rng.permutation(STARTS).tolist():
            names[start + str(rng.choice(ENDS))] = None
    return [*names][:count]


def depth(model: Model) -> int:
    """Return the number of layers of a model."""
    return int(model.network.config.num_hidden_layers)
