"""_distracted: more is told, nothing else is asked, and the order still tells causes first."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from sums import read, run

from loratheory.tasks.word_problems import (
    ImpossibleError,
    distracted,
    keys,
    pool,
    programs,
    stories,
)

FEW = ("add", "compare", "rate")


def some(seed, count=2, rows=30, **options):
    rng = np.random.default_rng(seed)
    here = pool(FEW, steps=(1, 2)).drawn(rows, rng=rng)
    return here, distracted(here, count, rng=rng, **options)


@settings(max_examples=10)
@given(seeds)
def test_nothing_that_is_asked_changes(seed):
    here, made = some(seed)
    assert made.distractors.tolist() == [2] * len(here)
    assert keys(made) == keys(here)
    assert (made.answers == here.answers).all()
    assert programs(made) == programs(here)
    assert [run(each) for each in programs(made)] == here.answers.tolist()
    assert [read(s.problem) for s in stories(made)] == here.answers.tolist()
    assert [s.solution for s in stories(made)] == [s.solution for s in stories(here)]


def test_causes_are_told_first_and_distractors_anywhere_after_them():
    here, made = some(0, rows=300)
    place = made.order.argsort(axis=1)
    first, last = False, False
    for row in range(len(made)):
        told = [k for k in made.order[row].tolist() if made.told[row, k]]
        assert made.order[row, : len(told)].tolist() == told
        kept = [k for k in told if made.needed[row, k]]
        assert kept == [k for k in here.order[row].tolist() if here.told[row, k]]
        for k in told:
            assert all(place[row, j] < place[row, k] for j in made.inputs[row, k] if j >= 0)
        first |= told[0] not in kept
        last |= told[-1] not in kept
    assert first
    assert last


def test_distractors_are_given_or_steps_of_the_skills_named():
    _, made = some(1, rows=300, skills=FEW)
    idle = made.skills[made.told & ~made.needed]
    assert {*idle.tolist()} == {0, 1, 6}
    assert 0.3 < (idle == 0).mean() < 0.7
    assert (made.inputs[made.skills == 0] == -1).all()
    _, bare = some(1, rows=20, skills=["compare"])
    assert {*bare.skills[bare.told & ~bare.needed].tolist()} == {0}
    _, plain = some(1, rows=60, wordings=[3])
    assert {*plain.wordings[plain.told & ~plain.needed].tolist()} == {3}


def test_names_stay_different():
    _, made = some(2, count=5, rows=60)
    for row in range(len(made)):
        names = made.names[row][made.told[row]].tolist()
        assert len({*names}) == len(names)
        assert {*names} <= {*range(12)}


def test_draws_are_counted():
    here, made = some(3, rows=100)
    assert sum(made.excluded.values()) > sum(here.excluded.values())


def test_modulo_a_prime_too():
    rng = np.random.default_rng(4)
    here = pool(FEW, steps=2, prime=7).drawn(50, rng=rng)
    made = distracted(here, 2, rng=rng, skills=["divide", "rate"])
    assert [run(each) for each in programs(made)] == here.answers.tolist()
    assert {*made.skills[made.told & ~made.needed].tolist()} == {0, 4, 6}


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(5)
    here = pool(["rate"], steps=2).drawn(3, rng=rng)
    assert distracted(here, 9, rng=rng).told.sum() == 36
    with pytest.raises(
        ImpossibleError, match="13 quantities would need names, and there are 12; ad"
    ):
        distracted(here, 10, rng=rng)
    with pytest.raises(ImpossibleError, match="distractors is -1"):
        distracted(here, -1, rng=rng)
    with pytest.raises(ImpossibleError, match="unknown skills: 'hum'"):
        distracted(here, 1, rng=rng, skills=["hum"])
