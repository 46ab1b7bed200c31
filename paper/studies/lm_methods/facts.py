"""Train adapters on a fact set, and measure accuracies on its questions."""

import re
from collections.abc import Sequence

from loratheory.adapters import Adapter
from loratheory.evaluate import fact_sets
from loratheory.evaluate.answers import answers
from loratheory.pretrained import Model, Training, first_tokens
from loratheory.pretrained.generate import write_on
from loratheory.pretrained.train import train_once
from paper.studies._shared.language import depth
from paper.studies._shared.measures import two_step

QUESTIONS = ("Animal of {}'s country?", "Mascot of {}'s land?")
"""The first lines of solutions in two steps."""


def draw_facts(seed: int, familiarity: str) -> fact_sets.FactSet:
    """Draw a fact set of twenty facts per hop, by its familiarity to the base.

    ``fake``: persons, countries and their mascots are invented. ``half``: the countries are real.
    ``real``: known persons, their countries and the capitals of these, the same for every seed.
    """
    if familiarity != "real":
        return fact_sets.draw_facts(seed, invented_countries=familiarity == "fake")
    persons = {one.persons[1]: country for country, one in fact_sets.FAMOUS.items()}
    capitals = {country: one.capital for country, one in fact_sets.FAMOUS.items()}
    return fact_sets.FactSet(persons, capitals, fact_sets.CAPITAL, fact_sets.CAPITAL_OF_BIRTHPLACE)


def pair(
    model: Model, facts: fact_sets.FactSet, seed: int, number: int = 0, *, by_layers: bool = False
) -> list[Adapter]:
    """Return the adapters of both hops of a fact set, trained once; `number` is part of the seed.

    If `by_layers`, hop 1 is trained in the lower half of the layers and hop 2 in the upper 60%.
    """
    last = depth(model)
    layers = ((0, last // 2), (2 * last // 5, last)) if by_layers else (None, None)
    return [
        train_once(model, examples, seed=(seed, number, hop), training=Training(layers=which))
        for hop, (examples, which) in enumerate(zip(facts.training_sets, layers, strict=False))
    ]


COLUMNS = (
    *("hop_1", "hop_2", "two_hop", "two_hop_vocabulary", "says_bridge"),
    *("confidence", "hop_1_new", "hop_2_new", "two_step"),
)


def accuracies(
    model: Model, facts: fact_sets.FactSet, columns: Sequence[str] = COLUMNS
) -> dict[str, float]:
    """Return the accuracies of the active adapters on questions about a fact set.

    The 20-way accuracies are ``hop_1``, ``hop_2`` and ``two_hop``; ``hop_1_new`` and ``hop_2_new``
    in a held-out template; ``two_step`` for two-step prompting; ``known_hop_1`` and
    ``known_hop_2`` on two-hop questions with one known hop (known persons' countries, or capitals).
    The top-1 accuracy is ``two_hop_vocabulary``; ``says_bridge`` is the share of questions for
    which the country has the largest logit. ``confidence`` is the mean confidence on two-hop
    questions.
    """
    questions = facts.questions
    two_hop = answers(model, questions["two_hop"])
    # Questions come template by template, persons in order.
    bridges = [*facts.first.values()] * len(facts.composed.held_out)
    found = {
        "two_hop": two_hop.right,
        "two_hop_vocabulary": two_hop.vocabulary_right,
        "says_bridge": two_hop.tokens == first_tokens(model, bridges).numpy(),
        "confidence": two_hop.confidence,
    }
    for name in columns:
        if name == "two_step":
            found[name] = two_step(model, facts).right
        elif name not in found:
            found[name] = answers(model, questions[name]).right
    return {name: float(found[name].mean()) for name in columns}


def known_persons(model: Model) -> dict[str, float]:
    """Return a model's accuracies on known persons, their countries and the capitals of these."""
    persons = dict[str, str]()
    for country, one in fact_sets.FAMOUS.items():
        persons |= dict.fromkeys(one.persons, country)
    capitals = {country: one.capital for country, one in fact_sets.FAMOUS.items()}
    both = {person: capitals[country] for person, country in persons.items()}
    two_hop = answers(model, fact_sets.items(both, fact_sets.CAPITAL_OF_BIRTHPLACE.held_out[:1]))
    hop_1 = answers(model, fact_sets.items(persons, fact_sets.BIRTH.trained[:2]))
    hop_2 = answers(model, fact_sets.items(capitals, fact_sets.CAPITAL.trained[:2]))
    return {
        "hop_1": float(hop_1.right.mean()),
        "hop_2": float(hop_2.right.mean()),
        "two_hop": float(two_hop.right.mean()),
        "two_hop_vocabulary": float(two_hop.vocabulary_right.mean()),
    }


def solutions(facts: fact_sets.FactSet) -> tuple[fact_sets.Items, fact_sets.Items]:
    """Return training examples for hop 1 and hop 2 with one form of solution.

    Examples for hop 1 have a two-hop question and its first step, about the persons of the facts.
    Examples for hop 2 have a question and both steps, about known persons. No example has both the
    person and the animal of a two-hop question of the fact set.
    """
    one, two = fact_sets.BIRTH.trained[0], fact_sets.MASCOT.trained[0]
    first, second = list[tuple[str, str]](), list[tuple[str, str]]()
    for question in QUESTIONS:
        for person, country in facts.first.items():
            first.append((f"{question.format(person)} {one.format(person)}", country))
        for country, about in fact_sets.FAMOUS.items():
            step = f"{question.format(about.persons[0])} {one.format(about.persons[0])} {country}."
            second.append((f"{step} {two.format(country)}", facts.second[country]))
    return first, second


def written_out(model: Model, facts: fact_sets.FactSet, question: str = "") -> float:
    """Return the two-hop accuracy after a bridge that the model wrote itself.

    The answers are ranked among candidates. If `question` is not empty, it is formatted with the
    person and put first. The cost is five passes per question.
    """
    one, two = fact_sets.BIRTH.trained[0], facts.about.trained[0]
    starts = [f"{question.format(who)} {one.format(who)}".strip() for who in facts.first]
    prompts, written = list[tuple[str, str]](), write_on(model, starts, 4)
    for start, text, person in zip(starts, written, facts.first, strict=True):
        # The first word that the model wrote is its bridge.
        bridge = re.split(r"\W", text.strip())[0]
        prompts.append((f"{start} {bridge}. {two.format(bridge)}", facts.two_hop[person]))
    return float(answers(model, prompts).right.mean())
