"""_reading: rows are read back into the questions that they were made from."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from worlds import some, three

from loratheory.tasks.two_hop import (
    ImpossibleError,
    Prompts,
    along,
    distracted,
    every,
    identities,
    inverted,
    marked,
    plain,
    relations_first,
    thought,
)
from loratheory.tasks.two_hop._text import Clause, readings


@settings(max_examples=15)
@given(seeds)
def test_every_form_is_read_as_its_question(seed):
    here, rng = some(seed, hops=3, relations=3, entities=9)
    questions = every(here, start=1)[rng.integers(81, size=5)]
    ways = along(here, questions)
    x, y, z = (here.entity(level + 1, ways[:, level]).tolist() for level in range(3))
    paths = [((1, r), (2, s)) for r, s in questions.relations.tolist()]
    asked = [Clause(e, path) for e, path in zip(x, paths, strict=True)]
    for form in (plain, relations_first):
        found = readings(here, form(here, questions))
        assert [one.question for one in found] == asked
        assert [one.answer for one in found] == z
        assert all(one.bridges == () == one.aside for one in found)
    for mark in (False, True):
        found = readings(here, thought(here, questions, marked=mark))
        assert [one.question for one in found] == asked
        assert [one.bridges for one in found] == [(bridge,) for bridge in y]
        assert [one.answer for one in found] == z
    back = readings(here, inverted(here, questions))
    backwards = [Clause(e, path[::-1], backwards=True) for e, path in zip(z, paths, strict=True)]
    assert [one.question for one in back] == backwards
    assert [one.answer for one in back] == x


def test_what_stands_aside_is_not_asked():
    here, rng = some(0)
    prompts = distracted(here, plain(here, every(here))[np.arange(4)], rng=rng)
    for row, found in zip(prompts.tokens.tolist(), readings(here, prompts), strict=True):
        assert found.aside == (Clause(row[0], ((0, 0),)),)
        assert found.question == Clause(row[2], ((0, 0), (1, 0)))


def test_entities_alone_and_canaries():
    here = three()
    same = readings(here, identities(here, 1, np.array([2])))[0]
    assert (same.question, same.answer) == (Clause(14, (), identity=True), 14)
    canary = readings(here, marked(here, plain(here, every(here)), 1))[-1]
    assert (canary.question, canary.answer, canary.bridges) == (Clause(4, ()), -1, ())


@pytest.mark.parametrize(
    ("tokens", "message"), [([0, 0], "asks nothing"), ([5, 6], "has no subject")]
)
def test_rows_of_another_make_are_refused(tokens, message):
    row = Prompts(np.array([tokens]), np.array([[-1, -1]]), np.array([1]), "strange")
    with pytest.raises(ImpossibleError, match=message):
        readings(three(), row)
