"""_cases: what is shared never is what is asked, and both lessons are of one make."""

import pytest

from loratheory.experiments.words._cases import BRIDGES, LEVELS, MEASURED, Case, apart, overlapping
from loratheory.experiments.words._problems import CONTEXT, PAIRS, linked

MUTANTS = [
    ("linked(self.pair[::-1]),)", "linked(self.pair),)"),
    ('if self.bridge == "neutral" else ()', 'if self.bridge == "none" else ()'),
    ("Lesson((skill,), self.shared, self.overlap)", "Lesson((skill,), self.shared, 0)"),
    ("tuple(sorted(self.pair))", "self.pair[:1]"),
    ("(linked(one), linked(two))", "(linked(one), linked(one))"),
    ("Case(pair) for pair in PAIRS", "Case(pair[::-1]) for pair in MEASURED"),
    ("case in (Case(pair), *", "case in (*"),
]


@pytest.mark.parametrize("case", overlapping())
def test_nothing_shared_is_asked(case):
    target = linked(case.pair)
    one, two = case.lessons
    assert target not in case.shared
    assert {t.skills for t in case.shared} <= {
        "none": set(),
        "serial": {frozenset(case.pair)},
        "neutral": {frozenset(CONTEXT), *map(frozenset, ([s] for s in CONTEXT))},
    }[case.bridge]
    assert bool(case.shared) == (case.overlap > 0)
    assert (one.shared, one.share) == (two.shared, two.share) == (case.shared, case.overlap)
    assert (*one.own, *two.own) == case.pair
    assert {*case.joint.own} == {*case.pair}
    assert {*case.composed.shared} == {target, linked(case.pair[::-1])}
    assert case.composed.share == 1


def test_every_level_of_every_bridge_is_a_case_once():
    told = [(c.pair, c.bridge, c.overlap) for c in overlapping()]
    assert len(set(told)) == len(told) == len(MEASURED) * (1 + len(BRIDGES) * len(LEVELS))


def test_apart_are_all_ordered_pairs():
    assert [case.pair for case in apart()] == [*PAIRS]
    assert {case.overlap for case in apart()} == {0}


def test_both_orders_are_one_composed_lesson():
    assert Case(("multiply", "divide")).composed == Case(("divide", "multiply")).composed
    assert Case(("multiply", "divide")).joint == Case(("divide", "multiply")).joint
