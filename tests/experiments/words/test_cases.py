"""_cases: what is shared never is what is asked, and both lessons are of one make."""

import pytest

from loratheory.experiments.words._cases import MEASURED, SHARES, Case, apart, overlapping
from loratheory.experiments.words._problems import CONTEXT, PAIRS, linked


@pytest.mark.parametrize("case", overlapping())
def test_nothing_shared_is_asked(case):
    target = linked(case.pair)
    one, two = case.lessons
    assert one.share == two.share == case.joint.share == case.share
    assert (*one.own, *two.own) == case.pair
    for skill, lesson in zip(case.pair, (one, two), strict=True):
        assert target not in lesson.shared
        assert {t.steps for t in lesson.shared} <= {2}
        assert bool(lesson.shared) == (case.share > 0)
        each = {t.skills for t in lesson.shared}
        neutral = {frozenset(CONTEXT), *(frozenset([s]) for s in CONTEXT)}
        own = {frozenset([skill]), *(frozenset([skill, s]) for s in CONTEXT)}
        serial = {frozenset(case.pair)}
        assert (
            each == {"none": set(), "serial": serial, "own": own, "neutral": neutral}[case.bridge]
        )
    common = {*one.shared} & {*two.shared}
    assert bool(common) == (case.bridge in ("serial", "neutral"))
    assert {*case.joint.shared} == {*one.shared, *two.shared}
    assert {*case.joint.own} == {*case.pair}
    assert {*case.composed.shared} == {target, linked(case.pair[::-1])}
    assert case.composed.share == 1


def test_every_level_of_every_bridge_is_a_case_once():
    told = [(c.pair, c.bridge, c.share) for c in overlapping()]
    assert (
        len(set(told))
        == len(told)
        == (1 + sum(map(len, SHARES.values()))) + (1 + len(SHARES["own"]))
    )
    assert {c.bridge for c in overlapping(MEASURED[1:])} == {"none", "own"}


def test_apart_are_all_ordered_pairs():
    assert [case.pair for case in apart()] == [*PAIRS]
    assert {(case.bridge, case.share) for case in apart()} == {("own", 0.5)}


def test_both_orders_are_one_composed_lesson():
    assert Case(("multiply", "divide")).composed == Case(("divide", "multiply")).composed
    assert Case(("multiply", "divide")).joint == Case(("divide", "multiply")).joint
