"""_reading: the judge's verdicts in words, and silence with both numbers."""

from dataclasses import replace

import numpy as np
import pytest

from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained.check._reading import Place, judged
from loratheory.theorems import theorem
from loratheory.theorems.expressiveness.rank_floor import Tasks

FLOOR = theorem("merge-floor")
PLACE = Place("layers.3.q", "one + two")


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    return Tasks(tuple(gaussian(rng, 5, 4, 2) for _ in range(2)), 2)


def test_the_optimum_is_tight_and_another_merge_holds(case):
    best, other = FLOOR.attain(case), case.updates[0]
    found = [judged(FLOOR, case, low, PLACE) for low in (best, other)]
    assert [reading.outcome for reading in found] == ["tight", "holds"]
    assert found[0].layer == 3
    assert found[1].value > found[1].bound


def test_where_a_hypothesis_fails_it_says_which_and_shows_both_numbers(case):
    full = LowRank(np.eye(5), case.mean.dense())
    found = judged(FLOOR, case, full, PLACE, "rank is 4")
    assert found.outcome == "not applicable"
    assert found.note == "needs rank(adapter) <= r; rank is 4"
    assert found.value < found.bound  # four ranks do what two cannot


def test_a_bound_that_is_beaten_is_broken(case):
    liar = replace(FLOOR, bound=lambda _: 1e9)
    found = judged(liar, case, case.updates[0], PLACE)
    assert found.outcome == "broken"
