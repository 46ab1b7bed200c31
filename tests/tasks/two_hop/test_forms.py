"""_forms: rows of a world of three entities, by hand, and laws in larger ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from worlds import some, three, walked

from loratheory.tasks.two_hop import (
    ImpossibleError,
    Questions,
    every,
    inverted,
    plain,
    relations_first,
    thought,
)

X1 = Questions(0, np.array([1]), np.zeros((1, 2), dtype=np.int64))


def row(prompts):
    return prompts.tokens[0].tolist(), prompts.targets[0].tolist(), int(prompts.asked[0])


def test_forms_of_one_question_by_hand():
    here = three()  # x1 is 10, its bridge y2 is 14, its answer z1 is 16
    assert row(plain(here, X1)) == ([10, 5, 6], [-1, 14, 16], 2)
    assert row(thought(here, X1)) == ([10, 5, 6, 14], [-1, -1, 14, 16], 2)
    assert row(thought(here, X1, marked=True)) == ([10, 5, 6, 2, 14], [-1, -1, -1, 14, 16], 3)
    assert row(relations_first(here, X1)) == ([6, 5, 10], [-1, -1, 16], 2)
    assert row(inverted(here, X1)) == ([16, 8, 7], [-1, 14, 10], 2)


def test_single_facts_by_hand():
    here = three()
    first, second = every(here, hops=1), every(here, start=1)
    assert plain(here, first).tokens.tolist() == [[9, 5], [10, 5], [11, 5]]
    assert plain(here, first).answer.tolist() == [13, 14, 12]
    assert plain(here, second).tokens.tolist() == [[12, 6], [13, 6], [14, 6]]
    assert plain(here, second).answer.tolist() == [17, 15, 16]
    kinds = [form(here, first).kind for form in (plain, thought, relations_first, inverted)]
    assert kinds == ["single", "thought", "relations first", "inverted"]
    assert plain(here, every(here)).kind == "chain"


@settings(max_examples=15)
@given(seeds)
def test_all_forms_ask_for_the_end_of_the_path(seed):
    here, rng = some(seed, hops=4, relations=2, entities=8)
    questions = every(here, start=1)[rng.integers(8 * 8, size=9)]
    ways = [
        walked(here, 1, subject, tuple(path))
        for subject, path in zip(
            questions.subjects.tolist(), questions.relations.tolist(), strict=True
        )
    ]
    ends = here.entity(4, np.array([way[-1] for way in ways])).tolist()
    starts = here.entity(1, questions.subjects).tolist()
    for form in (plain, thought, relations_first):
        assert form(here, questions).answer.tolist() == ends
    assert inverted(here, questions).answer.tolist() == starts
    assert inverted(here, questions).tokens[:, 0].tolist() == ends
    steps = thought(here, questions)
    spelt = [[here.entity(k, e) for k, e in enumerate(way[1:], 2)] for way in ways]
    assert steps.targets[:, 3:].tolist() == spelt
    assert steps.tokens[:, 4:].tolist() == [way[:-1] for way in spelt]
    assert plain(here, questions).targets[:, 1:].tolist() == spelt


def test_a_missing_fact_cannot_be_asked():
    here, _ = some(0)
    unknown = Questions(0, np.array([3, 41]), np.zeros((2, 2), dtype=np.int64))
    for form in (plain, thought, relations_first, inverted):
        with pytest.raises(ImpossibleError, match="entity 41 of level 0 has no such fact"):
            form(here, unknown)


def test_many_to_one_relations_have_no_inverse():
    here, _ = some(0, images=20)
    with pytest.raises(ImpossibleError, match="relation 0 of hop 0 sends two entities to one"):
        inverted(here, every(here))
