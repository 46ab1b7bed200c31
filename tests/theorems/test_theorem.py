"""The judge: what holds, what is tight, what is refused, and with which room."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import toy

from loratheory.theorems import SAFETY, AssumptionError, Verdict


@pytest.mark.parametrize(
    ("sense", "value", "holds", "tight"),
    [
        ("lower", 2.0, True, False),
        ("lower", 0.5, False, False),
        ("lower", 1.0, True, True),
        ("upper", 0.5, True, False),
        ("upper", 2.0, False, False),
        ("equal", 1.0, True, True),
        ("equal", 1.1, False, False),
        ("equal", 0.9, False, False),
        ("lower", math.nan, False, False),
    ],
)
def test_each_sense_forbids_its_own_side(sense, value, holds, tight):
    verdict = toy(sense).judge(1.0, value)
    assert (verdict.holds, verdict.tight) == (holds, tight)


@given(st.floats(1e-12, 1e12))
def test_room_grows_with_the_data_and_its_condition(scale):
    plain = toy().judge(scale, 1.0)
    assert plain.room == pytest.approx(SAFETY * scale)
    assert pytest.approx(9.1e-13, rel=0.01) == SAFETY
    hard = toy(condition=lambda _: 100.0, noise=lambda _: 0.25).judge(scale, 1.0)
    assert hard.room == pytest.approx(100 * SAFETY * scale + 0.25)
    assert hard.condition == 100


def test_just_outside_the_room_is_outside():
    assert Verdict("thm:toy", 1.0, 0.0, slack=-1.0, room=1.0).holds
    assert not Verdict("thm:toy", 1.0, 0.0, slack=-1.01, room=1.0).holds
    assert Verdict("thm:toy", 1.0, 0.0, slack=1.0, room=1.0).tight
    assert not Verdict("thm:toy", 1.0, 0.0, slack=1.01, room=1.0).tight


def test_a_failed_hypothesis_is_refused_by_name_but_a_broken_bound_is_a_finding():
    with pytest.raises(AssumptionError, match="thm:toy says nothing here: it needs a positive"):
        toy().check(1.0, -3.0)
    assert not toy().check(1.0, 0.1).holds
    assert not toy().judge(1.0, -3.0).holds


def test_a_theorem_shows_its_name_and_standing():
    assert repr(toy()) == "<thm:toy, proved>"
    assert repr(replace(toy(), status="conjectured")) == "<thm:toy, conjectured>"
