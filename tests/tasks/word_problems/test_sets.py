"""_sets: a fifth is held out, all are distinct, distracted as asked, and proved apart."""

import numpy as np
import pytest

from loratheory.tasks.word_problems import (
    ImpossibleError,
    LeakError,
    by_wording,
    keys,
    pool,
    sets,
    split,
)
from loratheory.tasks.word_problems import _splits as module

HERE = pool(["add", "rate"], steps=(1, 2), prime=13)


@pytest.mark.parametrize("by", ["pair", "template", "wording"])
def test_a_fifth_is_held_out_and_all_are_distinct(by):
    rng = np.random.default_rng(0)
    made = sets(split(HERE, by, rng=rng), 100, rng=rng, distractors=2, skills=("add", "rate"))
    train, test = made["train"], made["test"]
    assert [*made] == ["train", "test"]
    assert (len(train), len(test)) == (80, 20)
    assert len({*keys(train), *keys(test)}) == 100
    for part in made.values():
        assert part.distractors.tolist() == [2] * len(part)
        idle = part.skills[part.told & ~part.needed]
        assert {*idle.tolist()} <= {0, 1, 6}


def test_few_problems_are_distinct_in_both_parts():
    small = pool(["add"], steps=1, prime=5)  # 15 and 25 problems
    made = sets(by_wording(small, [0]), 28, rng=np.random.default_rng(1))
    assert len({*keys(made["train"]), *keys(made["test"])}) == 28
    assert made["train"].distractors.max() == 0
    assert len(sets(by_wording(small, [0]), 2, rng=np.random.default_rng(1))["test"]) == 1


def test_distractors_keep_to_the_wordings_of_their_part():
    made = sets(by_wording(HERE, [2]), 60, rng=np.random.default_rng(2), distractors=3)
    assert {*made["test"].wordings[made["test"].told].tolist()} == {2}
    assert 2 not in made["train"].wordings[made["train"].told]


def test_a_leak_would_be_found(monkeypatch):
    monkeypatch.setattr(module, "distracted", lambda part, *_, **__: leaked.setdefault("is", part))
    leaked = {}
    with pytest.raises(LeakError, match="share 32 problems"):
        sets(by_wording(HERE, [2]), 40, rng=np.random.default_rng(3))


def test_one_problem_cannot_be_split():
    with pytest.raises(
        ImpossibleError, match="problems in all is 1; ask for a number of at least 2"
    ):
        sets(by_wording(HERE, [2]), 1, rng=np.random.default_rng(3))
