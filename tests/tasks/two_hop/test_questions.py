"""_questions: every path is asked once and followed fact by fact."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from worlds import some, three, walked

from loratheory.tasks.two_hop import ImpossibleError, Questions, along, every
from loratheory.tasks.two_hop._world import together, values


@settings(max_examples=15)
@given(seeds)
def test_every_question_is_asked_once_and_followed_fact_by_fact(seed):
    here, _ = some(seed, hops=3, entities=6, relations=2, images=3)
    for start, hops in ((0, None), (0, 1), (1, 2), (2, None)):
        found = every(here, start=start, hops=hops)
        length = found.hops
        assert length == (hops or 3 - start)
        asked = [*zip(found.subjects.tolist(), map(tuple, found.relations.tolist()), strict=True)]
        wanted = product(range(6), product(range(2), repeat=length))
        assert sorted(asked) == sorted(wanted)
        ways = [walked(here, start, subject, path) for subject, path in asked]
        assert along(here, found).tolist() == ways


def test_from_a_missing_fact_on_there_is_nothing():
    here, _ = some(1)
    found = along(here, Questions(0, np.array([40, 0]), np.zeros((2, 2), dtype=np.int64)))
    assert found[0].tolist() == [40, -1, -1]
    assert (found[1] >= 0).all()
    nowhere = values(here, 0, np.array([0, 0]), np.array([-1, 3]))
    assert nowhere.tolist() == [-1, int(here.maps[0, 0, 3])]


def test_a_question_falls_apart_into_its_facts():
    here = three()
    found = every(here)
    first, second = (found.fact(hop, along(here, found)) for hop in (0, 1))
    assert (first.start, first.subjects.tolist()) == (0, [0, 1, 2])
    assert (second.start, second.subjects.tolist()) == (1, [1, 2, 0])
    assert along(here, second)[:, 1].tolist() == [0, 1, 2]


def test_rows_keep_their_subject_and_path():
    here, rng = some(2, relations=3)
    found = every(here)
    rows = rng.permutation(len(found))[:7]
    assert along(here, found[rows]).tolist() == along(here, found)[rows].tolist()
    assert len(found[rows]) == 7


def test_questions_of_one_kind_go_together():
    here = three()
    found = every(here)
    assert len(together(found, found)) == 6
    assert along(here, together(found, found)).tolist() == 2 * along(here, found).tolist()


@pytest.mark.parametrize(
    "parts",
    [
        (every(three()), every(three(), hops=1)),
        (every(three(), hops=1), every(three(), start=1)),
    ],
)
def test_questions_of_different_kinds_do_not(parts):
    with pytest.raises(ImpossibleError, match="do not mix"):
        together(*parts)


@pytest.mark.parametrize(("start", "hops"), [(2, None), (-1, None), (1, 2), (0, 3), (0, 0)])
def test_no_path_leads_beyond_the_last_level(start, hops):
    with pytest.raises(ImpossibleError):
        every(three(), start=start, hops=hops)


def test_a_path_that_is_too_long_is_not_followed():
    long = Questions(1, np.array([0]), np.zeros((1, 2), dtype=np.int64))
    with pytest.raises(ImpossibleError, match="2 hops from level 1 pass the last level"):
        along(three(), long)
