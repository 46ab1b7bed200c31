"""_stories: what is told, in its order, and steps whose arithmetic is right."""

import re

import numpy as np
import pytest
from sums import read

from loratheory.tasks.word_problems import (
    ImpossibleError,
    distracted,
    pool,
    problems,
    reordered,
    stories,
    templates,
)

FEW = ("add", "compare", "rate", "percent")
SINGULAR = set("marble sticker shell stamp coin pencil brush key cow hen goose".split())  # noqa: SIM905


def some(rows=60):
    rng = np.random.default_rng(0)
    made = pool(FEW, steps=(1, 2, 3)).drawn(rows, rng=rng)
    return reordered(distracted(made, 1, rng=rng), rng=rng)


def test_a_story_by_hand():
    (template,) = [
        t for t in templates(["add", "compare"], 2) if str(t) == "b = add(a); c = compare(a, b)"
    ]
    here = problems([template], 1, rng=np.random.default_rng(0))
    made = type(here)(
        **{
            **vars(here),
            "numbers": np.array([[[5, -1], [1, -1], [-1, -1]]]),
            "values": np.array([[5, 6, 1]]),
            "names": np.array([[2, 0, 1]]),
            "wordings": np.array([[2, 1, 3]]),
            "asking": np.array([3]),
            "order": np.array([[1, 0, 2]]),
            "scenes": np.array([10]),
        }
    )
    (story,) = stories(made)
    assert story.problem == (
        "Cliff Farm keeps 1 fewer goose than Ash Farm. The number of geese that Cliff Farm keeps is"
        " 5. Compare Cliff Farm with Ash Farm: the one with more geese is ahead by as many as Brook"
        " Farm keeps. Work out how many geese Brook Farm keeps."
    )
    assert story.solution == (
        "Ash Farm keeps 5 + 1 = 6 geese. Brook Farm keeps 6 − 5 = 1 goose. The answer is 1."
    )
    assert story.answer == "1"


def test_stories_are_read_back_to_their_answers():
    here = some()
    for story, answer in zip(stories(here), here.answers.tolist(), strict=True):
        assert read(story.problem) == answer == int(story.answer)
        assert story.solution.endswith(f" The answer is {answer}.")


def test_every_step_is_right_and_said_once():
    here = some()
    for row, story in enumerate(stories(here)):
        *steps, _ = re.findall(r"[^.]+\.", story.solution)
        assert len(steps) == (here.solution[row] >= 0).sum()
        for step in steps:
            x, y, z, value, thing = re.search(
                r" (\d+ [+−×÷]) (\d+)(?: [×÷] (\d+))? = (\d+) (\w+)\.$", step
            ).groups()
            first, sign = x.split()
            found = {
                "+": int(first) + int(y),
                "−": int(first) - int(y),
                "×": int(first) * int(y),
                "÷": int(first) // int(y),
            }[sign]
            if z:
                found = found // int(z) if sign == "×" else found * int(z)
            assert found == int(value)
            assert thing == "sheep" or (value == "1") == (thing in SINGULAR)


def test_each_quantity_has_a_sentence_in_the_order_told():
    here = some(20)
    for row, story in enumerate(stories(here)):
        sentences = re.split(r"(?<=[.?]) ", story.problem)
        assert len(sentences) == here.told[row].sum() + 1
        assert all(each[0].isupper() for each in sentences)


def test_one_of_a_kind_is_singular():
    made = pool(["rate", "add"], steps=1).drawn(2000, rng=np.random.default_rng(1))
    seen = set()
    for story in stories(made):
        seen |= {*re.findall(r"\b1 (?:more |fewer )?([a-z]+)", story.problem)}
    assert {"marble", "goose", "minute"} <= seen
    assert not {"marbles", "geese", "minutes"} & seen


def test_nobody_counts_modulo_seven():
    here = pool(["add"], steps=1, prime=7).drawn(2, rng=np.random.default_rng(0))
    with pytest.raises(
        ImpossibleError, match="modulo 7 in English; draw problems in whole numbers"
    ):
        stories(here)
