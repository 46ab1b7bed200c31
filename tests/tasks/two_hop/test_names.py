"""_names: every entity has one name, and no name stands inside another."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from worlds import some

from loratheory.tasks.two_hop import ImpossibleError, language, world
from loratheory.tasks.two_hop._text import MOST_NAMES


@settings(max_examples=5)
@given(seeds)
def test_no_name_stands_inside_another(seed):
    here, rng = some(seed, hops=4)
    names = language(here, rng=rng).names
    assert sorted(names) == [
        *map(here.canary, range(here.canaries)),
        *range(here.level(0).start, here.level(4).stop),
    ]
    said = [*names.values()]
    assert len(set(said)) == len(said)
    assert not [(a, b) for a in said for b in said if a != b and a in b]


def test_names_tell_the_level():
    here, rng = some(0, hops=4)
    names = language(here, rng=rng).names
    for level, ending in enumerate(("", "ria", "x", "nd", "sk")):
        for token in here.level(level):
            words = names[token].split()
            assert len(words) == (2 if level == 0 else 1)
            assert all(word == word.capitalize() for word in words)
            assert names[token].endswith(ending)
            assert len(words[-1]) == 6 + len(ending)


def test_a_seed_determines_the_names():
    here, _ = some(0)
    one, same, other = (language(here, rng=np.random.default_rng(seed)).names for seed in (1, 1, 2))
    assert one == same != other
    assert not set(one.values()) & {name for name in other.values() if "canary" in name}


def test_more_entities_than_names_are_refused():
    here = world(0, hops=1, entities=MOST_NAMES + 1)
    with pytest.raises(ImpossibleError, match=f"there are {MOST_NAMES} names"):
        language(here, rng=np.random.default_rng(0))
