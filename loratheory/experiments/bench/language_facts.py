"""Facts for language models, invented and known, and the sentences that teach and ask for them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from loratheory.adapters import Adapter
from loratheory.experiments.bench.language import (
    Answers,
    Items,
    accuracy,
    answers,
    mean_weights,
)
from loratheory.experiments.bench.rules import in_turn
from loratheory.pretrained import Attached, Model, Training, first_tokens, trained_once, written


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
QUESTIONS = ("Animal of {}'s country?", "Mascot of {}'s land?")
"""The questions with which solutions in two steps begin."""


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


def world(seed: int, familiarity: str) -> World:
    """Return a world of twenty facts per hop that the base knows more or less.

    ``fake``: persons, countries and their mascots are invented. ``half``: the countries are real.
    ``real``: known persons, their countries and the capitals of these, the same for every seed.
    """
    if familiarity != "real":
        [one] = worlds(seed, invented_countries=familiarity == "fake")
        return one
    persons = {one.persons[1]: country for country, one in FAMOUS.items()}
    capitals = {country: one.capital for country, one in FAMOUS.items()}
    return World(persons, capitals, CAPITAL, CAPITAL_OF_BIRTHPLACE)


def depth(model: Model) -> int:
    """Return the number of layers of a model."""
    return int(model.network.config.num_hidden_layers)


def pair(
    model: Model, facts: World, seed: int, number: int = 0, *, by_layers: bool = False
) -> list[Adapter]:
    """Return the adapters of both hops of a world, trained once; `number` tells worlds apart.

    If `by_layers`, hop 1 is trained in the lower half of the layers and hop 2 in the upper 60 %.
    """
    last = depth(model)
    layers = ((0, last // 2), (2 * last // 5, last)) if by_layers else (None, None)
    return [
        trained_once(
            model, facts.lessons[hop], seed=(seed, number, hop), training=Training(layers=which)
        )
        for hop, which in enumerate(layers)
    ]


COLUMNS = _split("""
hop_1 hop_2 two_hop two_hop_vocabulary says_bridge other_facts confidence hop_1_new hop_2_new
hop_by_hop
""")


def accuracies(model: Model, facts: World, columns: Sequence[str] = COLUMNS) -> dict[str, float]:
    """Return shares of right answers to questions about a world, with the adapters that act now.

    Among candidates: ``hop_1``, ``hop_2`` and ``two_hop``; ``hop_1_new`` and ``hop_2_new`` in a
    sentence on which no adapter was trained; ``hop_by_hop``, two-hop questions asked one hop after
    the other; ``known_hop_1`` and ``known_hop_2``, two-hop questions of which the base knows one
    hop (known persons' countries, or capitals). In the whole vocabulary: ``two_hop_vocabulary``;
    ``says_bridge``, how often the country has the largest logit instead; and ``other_facts``, known
    facts in no adapter's data. ``confidence`` is the mean confidence on two-hop questions.
    """
    questions, found = facts.questions, dict[str, np.ndarray]()
    for name in columns:
        if name in found:
            continue
        if name == "hop_by_hop":
            found[name] = hop_by_hop(model, facts).right
        elif name == "other_facts":
            found[name] = answers(model, questions[name]).vocabulary_right
        elif name in questions and name != "two_hop":
            found[name] = answers(model, questions[name]).right
        else:
            two_hop = answers(model, questions["two_hop"])
            bridges = [*facts.first.values()] * len(facts.composed.unread)
            found["two_hop"] = two_hop.right
            found["two_hop_vocabulary"] = two_hop.vocabulary_right
            found["says_bridge"] = two_hop.tokens == first_tokens(model, bridges).numpy()
            found["confidence"] = two_hop.confidence
    return {name: float(found[name].mean()) for name in columns}


def hop_by_hop(model: Model, facts: World) -> Answers:
    """Return the answers to two-hop questions if the first hop's answer is put into the second.

    The likeliest of the world's countries is put in. Costs two passes a question.
    """
    one, two = BIRTH.trained[0], facts.about.trained[0]

    def _second(first: Answers) -> Items:
        return [
            (f"{one.format(person)} {country}. {two.format(country)}", word)
            for (person, word), country in zip(facts.two_hop.items(), first.words, strict=True)
        ]

    steps = [lambda _: facts.questions["hop_1"], _second]
    found: Answers = in_turn(lambda asked: answers(model, asked), steps)[-1]
    return found


def weights(model: Model, acts: Attached, facts: World, number: int) -> dict[str, float]:
    """Return the mean weights of a route, over tokens and modules, on a pair's two-hop questions.

    ``own_1`` is the weight of the pair's adapter of hop 1, ``others_1`` the mean of the other
    pairs', and likewise for hop 2. NaN if there are no other pairs, or no route.
    """
    found = dict.fromkeys(("own_1", "others_1", "own_2", "others_2"), float("nan"))
    if acts.route is None:
        return found
    each = mean_weights(model, acts, [prompt for prompt, _ in facts.questions["two_hop"]])
    for hop in (0, 1):
        others = np.delete(each[hop::2], number)
        found[f"own_{hop + 1}"] = float(each[hop::2][number])
        if others.size:
            found[f"others_{hop + 1}"] = float(others.mean())
    return found


def known_persons(model: Model) -> dict[str, float]:
    """Return a model's accuracies on known persons, their countries and the capitals of these."""
    persons = {person: country for country, one in FAMOUS.items() for person in one.persons}
    capitals = {country: one.capital for country, one in FAMOUS.items()}
    both = {person: capitals[country] for person, country in persons.items()}
    two_hop = answers(model, items(both, CAPITAL_OF_BIRTHPLACE.unread[:1]))
    return {
        "hop_1": accuracy(model, items(persons, BIRTH.trained[:2])),
        "hop_2": accuracy(model, items(capitals, CAPITAL.trained[:2])),
        "two_hop": float(two_hop.right.mean()),
        "two_hop_vocabulary": float(two_hop.vocabulary_right.mean()),
    }


def solutions(facts: World) -> tuple[Items, Items]:
    """Return training examples that show the adapters of hop 1 and hop 2 one form of solution.

    Those for hop 1 are a two-hop question and its first step, about the persons of the facts; those
    for hop 2 are a question and both steps, about known persons. No example has both the person and
    the animal of a two-hop question of the world.
    """
    one, two = BIRTH.trained[0], MASCOT.trained[0]
    known = {country.persons[0]: name for name, country in FAMOUS.items()}
    first = [
        (f"{question.format(person)} {one.format(person)}", country)
        for question in QUESTIONS
        for person, country in facts.first.items()
    ]
    second = [
        (
            f"{question.format(person)} {one.format(person)} {country}. {two.format(country)}",
            facts.second[country],
        )
        for question in QUESTIONS
        for person, country in known.items()
    ]
    return first, second


def written_out(model: Model, facts: World, question: str = "") -> tuple[float, float, float]:
    """Return accuracies on two-hop questions if the model writes the bridge before the second step.

    The three shares are: bridges that are the right country; right answers after the bridge that
    was written, among candidates; the same in the whole vocabulary. If `question` is not empty, it
    is formatted with the person and put first. Costs four passes more per question.
    """
    one, two = BIRTH.trained[0], facts.about.trained[0]
    starts = [f"{question.format(who)} {one.format(who)}".strip() for who in facts.first]
    bridges = [re.split(r"\W", text.strip())[0] for text in written(model, starts, 4)]
    right = [one == country for one, country in zip(bridges, facts.first.values(), strict=True)]
    second = answers(
        model,
        [
            (f"{start} {bridge}. {two.format(bridge)}", word)
            for start, bridge, word in zip(starts, bridges, facts.two_hop.values(), strict=True)
        ],
    )
    shares = (np.array(right), second.right, second.vocabulary_right)
    bridge, two_hop, vocabulary = (float(share.mean()) for share in shares)
    return bridge, two_hop, vocabulary
