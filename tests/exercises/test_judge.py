"""Every exercise takes right answers and says in the right words what is wrong with others."""

from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

from loratheory.adapters import response_norms, subspace_scores
from loratheory.exercises import EXERCISES, judge
from loratheory.lowrank import LowRank, total
from loratheory.theorems.composition import (
    clean_up_bridge,
    routing_reach,
    template_vote,
    two_read_region,
)
from loratheory.theorems.editing import hebbian_memory
from loratheory.theorems.libraries import interference
from loratheory.theorems.routing import arrow


def noise(facts, adapters, width, rank):
    """How much noisier the sum of adapters is than the one that is needed."""
    assert hebbian_memory.routed_crosstalk(8, 2, 4, 2) == pytest.approx(1 / 2 + 1 / 4 + 1 / 8)
    merged = hebbian_memory.merged_crosstalk(facts, adapters, width, rank)
    return merged / hebbian_memory.routed_crosstalk(facts, adapters, width, rank)


NUMBERS = {
    "01.1": (3, [2]),
    "01.2": (1 - 1 / 8, [0.125]),
    "01.3": (False, [True]),
    "02.1": (two_read_region.strength_needed(3, adapters=3), [0.682, 1.854, 2.2, 1]),
    "02.2": (two_read_region.strength_needed(2, adapters=2, rule="factor_mean"), [1.236]),
    "02.3": (-(((5**0.5 - 1) / 2) ** 4), [0.146, -0.25]),
    "03.1": (11, [64 / 6, 10, 12]),
    "03.2": (64, [512]),
    "03.3": (3, [4, 6]),
    "04.1": (Fraction(1, 3), [1 / 9]),
    "04.2": (noise(80, 8, 128, 4), [1]),
    "04.3": (False, [True]),
    "05.1": (3 * sp.sqrt(sp.Rational(2, 3)), [0.816]),
    "05.2": (
        next(k for k in range(2, 2000) if interference.energy(k, 8, 1024) >= 1),
        [128],
    ),
    "05.3": (False, [True]),
    "06.1": (arrow.accuracy(5, 10), [0.2]),
    "06.2": (np.degrees(arrow.safe_angle(np.radians(50.0))), [0.436]),
    "06.3": (routing_reach.ceiling("shared a read", "overwrite"), [-0.146]),
    "07.1": (0.4, [0.8, 0.2]),
    "07.2": (3, [2]),
    "07.3": (clean_up_bridge.threshold(np.inf), [0.618]),
    "08.1": (two_read_region.strength_needed(2, adapters=2), [0.618]),
    "08.2": (0.88, [0.94, 0.872]),
    "08.3": (5, [7.5]),
    "09.1": (template_vote.overlap_needed(4, 0.25), [0.125]),
    "09.2": (template_vote.overlap_needed(4, 1.0), [0.5]),
    "09.3": (0.25, [0.5]),
    "10.1": (0.72, [0.54]),
    "10.2": (two_read_region.threshold(1) / 2, [1]),
    "10.3": (two_read_region.threshold(2) / 2, [0.618]),
    "11.1": (0.64, [4 / 7]),
    "11.2": (0.625, [0.25]),
    "11.3": (9, [0.9]),
}
"""Right answers, by hand or by the theorem that the notebook is about, and common mistakes."""
RIGHT = {name: right for name, (right, _) in NUMBERS.items()}
WRONG = {name: mistakes for name, (_, mistakes) in NUMBERS.items()}


def ball(updates):
    centre = updates[0]
    for step in range(1, 2000):
        farthest = max(updates, key=lambda low: np.linalg.norm(low - centre))
        centre = centre + (farthest - centre) / (step + 1)
    return centre


def cheapest(first, second):
    strong = max((second / first) ** 0.5 - 1, 0.5)
    return 1.001 / (1 + strong) / first, 1.001 * strong / second


def halves(first, last, target):
    u, s, v = np.linalg.svd(np.linalg.solve(last, target) - first)
    half = len(s) // 2
    one = (u[:, :half] * s[:half]) @ v[:half]
    return one, target @ np.linalg.inv(first + one) - last


def in_place(first, last, target):
    one, two = halves(first, last, target)
    first -= 1
    target += 1
    return one, two


def circle(tokens):
    angles = 2 * np.pi * np.arange(tokens) / tokens
    points = np.stack([np.cos(angles), np.sin(angles)])
    return points, points


def lines(count):
    angles = np.pi * np.arange(count) / count
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def answered_most(first, second):
    basis = first.row_space()
    return basis @ np.linalg.svd(second @ basis)[2][0]


def responses(updates, tokens):
    return np.stack([np.linalg.norm(low @ tokens.T, axis=0) for low in updates], axis=1)


def by(score):
    """A router by one score for each adapter, or one for each adapter and token."""
    return lambda updates, tokens: np.stack(
        [score(low, tokens.T) * np.ones(len(tokens)) for low in updates], axis=1
    )


def by_arrow(updates, tokens):
    return np.stack([abs(tokens @ low.Vh[0]) for low in updates], axis=1)


def deviations(z):
    return lambda ordinary, here: here > ordinary.mean(axis=0) + z * ordinary.std(axis=0)


def kept(keeps, takes):
    low, high = 1 / (2 * takes), 1 / (2 * (1 - keeps))
    return (low + high) / 4 if low < high else 0.0


def halfway(keeps, takes):
    return (1 / (2 * takes) + 1 / (2 * (1 - keeps))) / 4


def shifted(count, entities):
    return [[(e + j) % count for e in range(entities)] for j in range(count)]


SOLVED = {
    "01.4": lambda updates, rank: (total(updates) / len(updates)).truncated(rank),
    "01.5": ball,
    "02.4": cheapest,
    "03.4": halves,
    "04.4": circle,
    "05.4": answered_most,
    "05.5": lines,
    "06.4": responses,
    "08.4": deviations(4),
    "09.4": kept,
    "11.4": shifted,
}
OTHERWISE = [
    ("03.4", in_place),
    ("04.4", lambda tokens: (lines(tokens).T,) * 2),
    ("05.4", lambda first, second: -7 * answered_most(first, second)),
    ("06.4", lambda updates, tokens: response_norms(updates)(tokens)),
    ("06.4", lambda updates, tokens: subspace_scores(updates)(tokens)),
    ("08.4", deviations(2)),
    ("08.4", lambda ordinary, here: here > np.quantile(ordinary, 0.97, axis=0)),
]
FAILED = [
    ("01.4", lambda updates, rank: total(updates) / len(updates)),
    ("01.4", lambda updates, rank: updates[0].truncated(rank)),
    ("01.4", lambda updates, rank: updates[0].dense()[1:]),
    ("01.5", lambda updates: sum(updates) / len(updates)),
    ("02.4", lambda first, second: (1, 1)),
    ("02.4", lambda first, second: (0.619 / first, 0.619 / second)),
    ("02.4", lambda first, second: (0.5, 0.5)),
    ("02.4", lambda first, second: 0.6),
    ("02.4", lambda first, second: (-5, -5)),
    ("03.4", lambda first, last, target: (0 * first, target @ np.linalg.inv(first) - last)),
    ("03.4", lambda first, last, target: (0 * first, 0 * last)),
    ("03.4", lambda first, last, target: first),
    ("04.4", lambda tokens: (np.eye(tokens)[:2],) * 2),
    ("04.4", lambda tokens: (np.eye(tokens),) * 2),
    ("05.4", lambda first, second: second.Vh[0]),
    ("05.4", lambda first, second: first.Vh[0]),
    ("05.5", lambda count: np.eye(2)[np.zeros(count, int)]),
    ("05.5", lambda count: 2 * lines(count)),
    ("06.4", by_arrow),
    ("06.4", by(lambda low, x: low.norm)),
    ("06.4", by(lambda low, _: np.linalg.norm(low.up))),
    ("06.4", by(lambda low, x: np.linalg.norm(low.down @ x, axis=0))),
    ("06.4", by(lambda low, x: np.linalg.norm(low.Vh @ x, axis=0))),
    ("06.4", by(lambda low, x: abs(low @ x)[0])),
    ("06.4", by(lambda low, x: (low @ x).sum(axis=0))),
    ("06.4", lambda updates, tokens: np.eye(2).repeat(2, axis=0)),
    ("06.4", lambda updates, tokens: responses(updates, tokens).T),
    ("08.4", deviations(30)),
    ("08.4", deviations(0)),
    ("08.4", lambda ordinary, here: here > 3 * here.mean(axis=0)),
    ("08.4", lambda ordinary, here: here > here.max(axis=0) / 2),
    ("08.4", lambda ordinary, here: np.arange(len(here))[:, None] // 5 == range(4)),
    ("08.4", lambda ordinary, here: here > 0.5),
    ("08.4", lambda ordinary, here: here == here.max(axis=1, keepdims=True)),
    ("09.4", halfway),
    ("09.4", lambda keeps, takes: 1 / (4 * takes)),
    ("09.4", lambda keeps, takes: 2.0),
    ("11.4", lambda count, entities: np.zeros((count, entities))),
    ("11.4", lambda count, entities: [[e % 3 for e in range(entities)]] * count),
]


def test_each_exercise_is_tried_right_and_wrong():
    assert set(RIGHT) | set(SOLVED) == set(EXERCISES)
    assert set(WRONG) | {number for number, _ in FAILED} == set(EXERCISES)


@pytest.mark.parametrize("number", EXERCISES)
def test_no_answer_is_neither_right_nor_wrong(number):
    assert judge(number, None) == "not answered yet"
    if number in SOLVED:
        assert judge(number, lambda *_: None) == "not answered yet"


@pytest.mark.parametrize(("number", "answer"), [*RIGHT.items(), *SOLVED.items(), *OTHERWISE])
def test_right_answers_are_correct(number, answer):
    verdict = judge(number, answer)
    assert verdict.startswith("correct"), verdict
    assert repr(verdict) == str(verdict)


@pytest.mark.parametrize(
    ("number", "answer"), [*((n, x) for n, many in WRONG.items() for x in many), *FAILED]
)
def test_wrong_answers_are_not_and_do_not_crash(number, answer):
    verdict = judge(number, answer)
    assert verdict.startswith("not yet, because ")
    assert "your code stopped" not in verdict


def test_each_common_mistake_gets_words_of_its_own():
    for number, many in WRONG.items():
        assert len({judge(number, answer) for answer in many}) == len(many)


@pytest.mark.parametrize("answer", ["3", [3], 2j, float("nan"), lambda: 3, sp.Symbol("c")])
@pytest.mark.parametrize("number", sorted(RIGHT))
def test_answers_of_the_wrong_kind_are_refused(number, answer):
    verdict = judge(number, answer)
    assert verdict.startswith("not yet, because")
    assert "your code stopped" not in verdict


@pytest.mark.parametrize("number", sorted(SOLVED))
def test_functions_that_fail_or_return_nonsense_are_told_so(number):
    wrong = [3, lambda *_: 1 / 0, lambda *_: "nonsense", lambda *_: LowRank(np.eye(1), np.eye(1))]
    for answer in wrong:
        assert judge(number, answer).startswith("not yet, because")


def test_one_part_in_a_hundred_is_near_enough_and_two_are_not():
    for number in ("02.1", "02.3", "11.2"):
        right = float(RIGHT[number])
        assert [judge(number, x * right) == "correct" for x in (1.009, 0.991, 1.02)] == [1, 1, 0]


def test_an_unknown_exercise_is_named():
    with pytest.raises(KeyError, match=r"no exercise '02\.9'"):
        judge("02.9", 1)
