"""Adapters for a world's facts, and accuracies on its questions among candidates."""

import re
from collections.abc import Sequence

import numpy as np

from loratheory.adapters import Adapter
from loratheory.evaluate.answers import Answers, answers
from loratheory.evaluate.fact_sets import (
    BIRTH,
    CAPITAL,
    CAPITAL_OF_BIRTHPLACE,
    FAMOUS,
    MASCOT,
    Items,
    World,
    draw_world,
    items,
)
from loratheory.pretrained import Attached, Model, Training, first_tokens
from loratheory.pretrained.metrics import write_on
from loratheory.pretrained.train import train_once
from paper.studies._shared.language import depth, mean_weights
from paper.studies._shared.rules import in_turn

QUESTIONS = ("Animal of {}'s country?", "Mascot of {}'s land?")
"""The questions with which solutions in two steps begin."""


def world(seed: int, familiarity: str) -> World:
    """Return a world of twenty facts per hop that the base knows more or less.

    ``fake``: persons, countries and their mascots are invented. ``half``: the countries are real.
    ``real``: known persons, their countries and the capitals of these, the same for every seed.
    """
    if familiarity != "real":
        return draw_world(seed, invented_countries=familiarity == "fake")
    persons = {one.persons[1]: country for country, one in FAMOUS.items()}
    capitals = {country: one.capital for country, one in FAMOUS.items()}
    return World(persons, capitals, CAPITAL, CAPITAL_OF_BIRTHPLACE)


def pair(
    model: Model, facts: World, seed: int, number: int = 0, *, by_layers: bool = False
) -> list[Adapter]:
    """Return the adapters of both hops of a world, trained once; `number` tells worlds apart.

    If `by_layers`, hop 1 is trained in the lower half of the layers and hop 2 in the upper 60 %.
    """
    last = depth(model)
    layers = ((0, last // 2), (2 * last // 5, last)) if by_layers else (None, None)
    return [
        train_once(
            model, facts.lessons[hop], seed=(seed, number, hop), training=Training(layers=which)
        )
        for hop, which in enumerate(layers)
    ]


COLUMNS = str.split("""
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
        "hop_1": float(answers(model, items(persons, BIRTH.trained[:2])).right.mean()),
        "hop_2": float(answers(model, items(capitals, CAPITAL.trained[:2])).right.mean()),
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
    bridges = [re.split(r"\W", text.strip())[0] for text in write_on(model, starts, 4)]
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
