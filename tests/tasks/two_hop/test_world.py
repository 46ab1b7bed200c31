"""Worlds are what they claim, tokens are each of one thing; questions are followed fact by fact."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from worlds import some, three, walked

from loratheory.tasks.two_hop import ImpossibleError, Questions, along, every, world
from loratheory.tasks.two_hop._world import together, values

LONG = Questions(1, np.array([0]), np.zeros((1, 2), dtype=np.int64))


def test_tokens_of_three_entities():
    here = three()
    number = np.arange(3)
    assert (here.hops, here.relations, here.size, here.spare, here.vocabulary) == (2, 1, 3, 0, 18)
    assert [here.canary(0), here.canary(1)] == [3, 4]
    assert [here.relation(hop, 0) for hop in (0, 1)] == [5, 6]
    assert [here.inverse(hop, 0) for hop in (0, 1)] == [7, 8]
    tokens = [here.entity(k, number).tolist() for k in range(3)]
    assert tokens == [[9, 10, 11], [12, 13, 14], [15, 16, 17]]
    assert [*here.relation_tokens] == [5, 6, 7, 8]


@settings(max_examples=25)
@given(seeds, st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(0, 2))
def test_every_token_means_one_thing(seed, hops, relations, spare, canaries):
    here = world(seed, hops=hops, entities=5, relations=relations, spare=spare, canaries=canaries)
    numbers = np.arange(relations)
    tokens = [0, 1, 2, *map(here.canary, range(canaries))]
    for hop in range(hops):
        tokens += here.relation(hop, numbers).tolist() + here.inverse(hop, numbers).tolist()
    for level in range(hops + 1):
        tokens += here.entity(level, np.arange(here.size)).tolist()
        assert [*here.level(level)] == tokens[-here.size :]
        assert [*here.level(level, spare=False)] == tokens[-here.size :][:5]
    assert sorted(tokens) == [*range(here.vocabulary)]


@settings(max_examples=25)
@given(seeds, st.integers(1, 12))
def test_maps_take_as_many_values_as_asked_evenly(seed, images):
    here = world(seed, entities=12, relations=2, spare=2, images=images)
    for table in here.maps.reshape(4, -1):
        counts = np.unique(table[:12], return_counts=True)[1]
        assert len(counts) == images
        assert counts.max() - counts.min() <= 1
        assert (table[12:] == -1).all()


def test_maps_are_permutations_of_a_seed_that_nobody_overwrites():
    for table in world(0, hops=3, entities=9, relations=2).maps.reshape(6, -1):
        assert sorted(table.tolist()) == [*range(9)]
    one, same, other = (world(seed, entities=30, relations=2) for seed in (7, 7, 8))
    assert (one.maps == same.maps).all()
    assert (one.maps != other.maps).any()
    assert len({table.tobytes() for table in one.maps.reshape(4, -1)}) == 4
    drawn = {tuple(np.unique(world(seed, entities=9, images=2).maps[0])) for seed in range(20)}
    assert len(drawn) > 5  # which entities are values is drawn too
    with pytest.raises(ValueError, match="read-only"):
        one.maps[0, 0, 0] = 1


@settings(max_examples=15)
@given(seeds)
def test_every_question_is_asked_once_and_followed_fact_by_fact(seed):
    here, rng = some(seed, hops=3, entities=6, relations=2, images=3)
    for start, hops in ((0, None), (0, 1), (1, 2), (2, None)):
        questions = every(here, start=start, hops=hops)
        asked = [
            *zip(questions.subjects.tolist(), map(tuple, questions.relations.tolist()), strict=True)
        ]
        assert questions.hops == (hops or 3 - start)
        assert sorted(asked) == sorted(product(range(6), product(range(2), repeat=questions.hops)))
        ways = [walked(here, start, subject, path) for subject, path in asked]
        assert along(here, questions).tolist() == ways
        rows = rng.permutation(len(questions))[:7]
        assert along(here, questions[rows]).tolist() == [ways[row] for row in rows]
        twice = together(questions, questions)
        assert along(here, twice).tolist() == 2 * ways


def test_from_a_missing_fact_on_there_is_nothing():
    here, _ = some(1)
    passed = along(here, Questions(0, np.array([40, 0]), np.zeros((2, 2), dtype=np.int64)))
    assert passed[0].tolist() == [40, -1, -1]
    assert (passed[1] >= 0).all()
    nowhere = values(here, 0, np.array([0, 0]), np.array([-1, 3]))
    assert nowhere.tolist() == [-1, int(here.maps[0, 0, 3])]


def test_a_question_falls_apart_into_its_facts():
    here = three()
    first, second = (every(here).fact(hop, along(here, every(here))) for hop in (0, 1))
    assert (first.start, first.subjects.tolist()) == (0, [0, 1, 2])
    assert (second.start, second.subjects.tolist()) == (1, [1, 2, 0])
    assert along(here, second)[:, 1].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: world(0, hops=5), "hops is 5; ask for a number from 1 to 4"),
        (lambda: world(0, relations=0), "relations is 0; ask for a number from 1 to 8"),
        (lambda: world(0, entities=0), "entities is 0"),
        (lambda: world(0, spare=-1), "spare is -1"),
        (lambda: world(0, canaries=-1), "canaries is -1"),
        (lambda: world(0, images=101), "100 entities cannot take 101 values; ask for 1 to 100"),
        (lambda: world(0, images=0), "cannot take 0 values"),
        (lambda: three().canary(2), "the number of a canary is 2"),
        (lambda: every(three(), start=2), "the level that questions start from is 2"),
        (lambda: every(three(), start=-1), "the level that questions start from is -1"),
        (lambda: every(three(), start=1, hops=2), "the hops from level 1 on is 2"),
        (lambda: every(three(), hops=3), "the hops from level 0 on is 3"),
        (lambda: every(three(), hops=0), "the hops from level 0 on is 0"),
        (lambda: along(three(), LONG), "2 hops from level 1 pass the last level"),
        (lambda: together(every(three()), every(three(), hops=1)), "do not mix"),
        (lambda: together(every(three(), hops=1), every(three(), start=1)), "do not mix"),
    ],
)
def test_what_no_world_has_is_refused(make, message):
    with pytest.raises(ImpossibleError, match=message):
        make()
