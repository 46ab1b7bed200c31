"""Chains solved aloud: the model names the bridge itself, and a form of solution that is shared."""

import re
from collections.abc import Sequence

import numpy as np

from loratheory.experiments.real import _known as known
from loratheory.experiments.real import _phrases as phrases
from loratheory.experiments.real._exam import answers, share
from loratheory.experiments.real._facts import Facts, Items
from loratheory.experiments.real._solved import written
from loratheory.pretrained import Model

FIRST, SECOND = known.BIRTH[0], known.MASCOT[0]
OTHERS = {told[2][0]: country for country, told in known.FAMOUS.items()}
"""Known persons: who appears in solutions beside the countries that are asked."""


def form(facts: Facts) -> tuple[Items, Items]:
    """Return lines that show hop 1's and hop 2's adapter one form of solution.

    Parameters
    ----------
    facts : Facts
        The pair's.

    Returns
    -------
    pair of sequences
        The question for the chain and then its first step, about the persons of the facts; the
        question, its first step and the second, about known persons. No line has both the person
        and the animal of a chain.
    """
    first = [
        (f"{question.format(person)} {FIRST.format(person)}", country)
        for question in phrases.QUESTIONS
        for person, country in facts.birth.items()
    ]
    second = [
        (f"{question.format(person)} {_solved(person, country)}", facts.mascot[country])
        for question in phrases.QUESTIONS
        for person, country in OTHERS.items()
    ]
    return first, second


def _solved(person: str, country: str) -> str:
    return f"{FIRST.format(person)} {country}. {SECOND.format(country)}"


def aloud(model: Model, facts: Facts, question: str = "") -> tuple[float, float, float]:
    """Return how chains fare if the model writes the bridge down before the second step.

    Parameters
    ----------
    model : Model
        With a tokenizer that decodes.
    facts : Facts
        Whose chains.
    question : str
        Put before, formatted with the person; nothing where empty.

    Returns
    -------
    bridges, chains, free : float
        Shares of bridges that are the right country; of chains that are right then, among
        candidates and in the whole vocabulary. Costs four passes more a question.
    """
    starts = [f"{question.format(who)} {FIRST.format(who)}".strip() for who in facts.birth]
    bridges = said(model, starts)
    right = [one == country for one, country in zip(bridges, facts.birth.values(), strict=True)]
    asked = [
        (f"{start} {bridge}. {SECOND.format(bridge)}", animal)
        for start, bridge, animal in zip(starts, bridges, facts.chain.values(), strict=True)
    ]
    found = answers(model, asked)
    return share(np.array(right)), share(found.right), share(found.free)


def said(model: Model, prompts: Sequence[str], most: int = 4) -> list[str]:
    """Return the word that a model goes on with, always taking the likeliest token.

    Parameters
    ----------
    model : Model
        With a tokenizer that decodes.
    prompts : sequence of str
        At least one.
    most : int
        Tokens.

    Returns
    -------
    list of str
        The first word of what is said, all letters and digits up to anything else.
    """
    texts = written(model, prompts, most)
    return [re.split(r"\W", text.strip())[0] for text in texts]
