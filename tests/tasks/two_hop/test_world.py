"""_world: maps are what they claim, tokens are each of one thing, a seed determines everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from worlds import three

from loratheory.tasks.two_hop import ImpossibleError, world


def test_tokens_of_three_entities():
    here = three()
    number = np.arange(3)
    assert (here.hops, here.relations, here.size, here.spare, here.vocabulary) == (2, 1, 3, 0, 18)
    assert [here.canary(0), here.canary(1)] == [3, 4]
    assert [here.relation(hop, 0) for hop in (0, 1)] == [5, 6]
    assert [here.inverse(hop, 0) for hop in (0, 1)] == [7, 8]
    assert [here.entity(k, number).tolist() for k in range(3)] == [
        [9, 10, 11],
        [12, 13, 14],
        [15, 16, 17],
    ]
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


def test_maps_are_permutations_unless_told_otherwise():
    for table in world(0, hops=3, entities=9, relations=2).maps.reshape(6, -1):
        assert sorted(table.tolist()) == [*range(9)]


def test_a_seed_determines_the_world():
    one, same, other = (world(seed, entities=30, relations=2) for seed in (7, 7, 8))
    assert (one.maps == same.maps).all()
    assert (one.maps != other.maps).any()
    assert len({table.tobytes() for table in one.maps.reshape(4, -1)}) == 4


def test_which_entities_are_values_is_drawn_too():
    found = {tuple(np.unique(world(seed, entities=9, images=2).maps[0])) for seed in range(20)}
    assert len(found) > 5


def test_facts_cannot_be_overwritten():
    with pytest.raises(ValueError, match="read-only"):
        three().maps[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"hops": 5}, "hops is 5; ask for a number from 1 to 4"),
        ({"relations": 0}, "relations is 0; ask for a number from 1 to 8"),
        ({"entities": 0}, "entities is 0"),
        ({"spare": -1}, "spare is -1"),
        ({"canaries": -1}, "canaries is -1"),
        ({"images": 101}, "100 entities cannot take 101 values; ask for 1 to 100 images"),
        ({"images": 0}, "cannot take 0 values"),
    ],
)
def test_impossible_worlds_are_refused(wanted, message):
    with pytest.raises(ImpossibleError, match=message):
        world(0, **wanted)


def test_a_canary_that_is_not_there_is_refused():
    with pytest.raises(ImpossibleError, match="the number of a canary is 2"):
        three().canary(2)
