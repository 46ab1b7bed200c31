"""_text: sentences by hand, and every answer among its candidates."""

import numpy as np
import pytest
from worlds import some, three

from loratheory.tasks.two_hop import (
    ImpossibleError,
    Language,
    distracted,
    every,
    identities,
    inverted,
    marked,
    plain,
    relations_first,
    texts,
    thought,
)

NAMES = ("Ann", "Bob", "Cyd", "Ria", "Sia", "Tia", "Elk", "Fox", "Gnu")


def told():
    """Three entities a level, with names that are easy to check."""
    here = three()
    names = dict(zip(range(9, 18), NAMES, strict=True))
    return Language(here, names | {3: "canary-0", 4: "canary-1"})


def said(prompts, **wanted):
    found = texts(told(), prompts, **wanted)[0]
    return f"{found.prompt} | {found.answer}"


HERE = three()
BOB = every(HERE)[np.array([1])]  # Bob's country is Tia, whose animal is Fox
TIA = every(HERE, start=1)[np.array([2])]


@pytest.mark.parametrize(
    ("style", "wording", "text"),
    [
        ("cloze", 0, "The national animal of the country of birth of Bob is | Fox"),
        ("cloze", 1, "Bob's country of birth's national animal is | Fox"),
        ("cloze", 2, "The state animal of the birth country of Bob is | Fox"),
        ("cloze", 3, "Bob's birth country's state animal is | Fox"),
        ("question", 0, "What is the national animal of the country of birth of Bob? | Fox"),
        ("question", 3, "What is Bob's birth country's state animal? | Fox"),
    ],
)
def test_two_hops_in_all_wordings(style, wording, text):
    assert said(plain(HERE, BOB), style=style, wording=wording) == text
    assert said(relations_first(HERE, BOB), style=style, wording=wording) == text


def test_one_hop():
    assert said(plain(HERE, TIA)) == "The national animal of Tia is | Fox"
    assert said(plain(HERE, TIA), style="question") == "What is the national animal of Tia? | Fox"


def test_step_by_step():
    steps = "The country of birth of Bob is Tia. The national animal of Tia is Fox."
    asked = "he national animal of the country of birth of Bob"
    for mark in (False, True):
        prompts = thought(HERE, BOB, marked=mark)
        assert said(prompts) == f"T{asked}, step by step: | {steps}"
        assert said(prompts, style="question") == f"What is t{asked}? Step by step: | {steps}"


def test_backwards():
    whose = "he person whose birth country is the country whose state animal is Fox"
    assert said(inverted(HERE, BOB), wording=2) == f"T{whose} is | Bob"
    assert said(inverted(HERE, BOB), wording=2, style="question") == f"Who is t{whose}? | Bob"
    country = "What is the country whose national animal is Fox? | Tia"
    assert said(inverted(HERE, TIA), style="question") == country


def test_beside():
    both = plain(HERE, every(HERE))[np.array([1, 2])]
    found = texts(told(), distracted(HERE, both, rng=np.random.default_rng(0)))
    assert found[0].prompt == (
        "Leave the country of birth of Cyd aside. "
        "The national animal of the country of birth of Bob is"
    )
    assert said(identities(HERE, 1, np.array([2]))) == "The name of Tia is | Tia"
    canary = texts(told(), marked(HERE, both, 1))[-1]
    assert canary == ("canary-1", "", ())


def test_candidates_are_the_names_of_the_answers_level():
    assert texts(told(), plain(HERE, BOB))[0].candidates == ("Elk", "Fox", "Gnu")
    assert texts(told(), inverted(HERE, BOB))[0].candidates == ("Ann", "Bob", "Cyd")
    assert texts(told(), thought(HERE, BOB))[0].candidates == ("Elk", "Fox", "Gnu")
    assert texts(told(), plain(HERE, every(HERE, hops=1)))[0].candidates == ("Ria", "Sia", "Tia")


def test_the_longest_chains_of_the_largest_world_have_words():
    here, rng = some(0, hops=4, relations=8, entities=3)
    words = Language(here, {token: f"N{token}" for token in range(here.vocabulary)})
    prompts = plain(here, every(here)[rng.integers(3 * 8**4, size=50)])
    for wording in range(4):
        found = texts(words, prompts, wording=wording)
        assert all(text.answer in text.candidates for text in found)
        assert len({text.prompt for text in found}) == len({*map(tuple, prompts.tokens.tolist())})


@pytest.mark.parametrize(
    ("wanted", "message"),
    [({"style": "verse"}, "style is 'verse'"), ({"wording": 4}, "wording is 4; .* from 0 to 3")],
)
def test_unknown_styles_are_refused(wanted, message):
    with pytest.raises(ImpossibleError, match=message):
        texts(told(), plain(HERE, BOB), **wanted)
