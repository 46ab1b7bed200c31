"""_beside: rows that tell no fact, distractors that are never the row's own, canaries unseen."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from worlds import some, three

from loratheory.tasks.two_hop import (
    ImpossibleError,
    distracted,
    every,
    identities,
    marked,
    plain,
    thought,
)


def test_an_entity_is_itself():
    found = identities(three(), 1, np.array([2, 0]))
    assert found.tokens.tolist() == [[14, 1], [12, 1]]
    assert found.targets.tolist() == [[-1, 14], [-1, 12]]
    assert found.asked.tolist() == [1, 1]


@settings(max_examples=20)
@given(seeds)
def test_a_distractor_is_another_subject_and_changes_no_answer(seed):
    here, rng = some(seed, relations=3)
    for form in (plain, thought):
        prompts = form(here, every(here))[rng.integers(360, size=12)]
        found = distracted(here, prompts, rng=rng)
        assert found.tokens[:, 2:].tolist() == prompts.tokens.tolist()
        assert found.targets[:, 2:].tolist() == prompts.targets.tolist()
        assert (found.targets[:, :2] == -1).all()
        assert found.asked.tolist() == (prompts.asked + 2).tolist()
        assert (found.tokens[:, 0] != prompts.tokens[:, 0]).all()
        assert set(found.tokens[:, 0].tolist()) <= set(prompts.tokens[:, 0].tolist())
        assert set(found.tokens[:, 1].tolist()) <= set(here.relation(0, np.arange(3)).tolist())


def test_one_subject_cannot_be_distracted():
    here = three()
    one = plain(here, every(here))[np.array([0, 0])]
    with pytest.raises(ImpossibleError, match="2 prompts about one subject"):
        distracted(here, one, rng=np.random.default_rng(0))


def test_a_canary_is_read_and_never_wanted():
    here = three()
    prompts = plain(here, every(here))
    found = marked(here, prompts, 1)
    assert found.tokens.tolist() == [*prompts.tokens.tolist(), [4, 0, 0]]
    assert found.targets.tolist() == [*prompts.targets.tolist(), [-1, -1, -1]]
    assert (found.asked[-1], found.position[-1], found.answer[-1]) == (0, -1, -1)
    assert len(prompts) == 3
