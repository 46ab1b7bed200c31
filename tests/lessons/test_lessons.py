"""Every exercise takes right answers and says in the right words what is wrong with others."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp

from loratheory.adapters import response_norms, subspace_scores
from loratheory.lessons import EXERCISES, judged
from loratheory.lowrank import LowRank, total

RIGHT = {
    "01.1": 3,
    "01.2": 1 - 1 / 8,
    "01.3": False,
    "02.1": 2.05,
    "02.2": 2.47,
    "02.3": -0.146,
    "03.1": 11,
    "03.2": 64,
    "03.3": 3,
    "04.1": Fraction(1, 3),
    "04.2": 8,
    "04.3": False,
    "05.1": 3 * sp.sqrt(sp.Rational(2, 3)),
    "05.2": 129,
    "05.3": False,
    "06.1": 0.28,
    "06.2": np.float64(25),
    "06.3": 1,
    "07.1": 0.4,
    "07.2": 3,
    "07.3": 0.5,
    "08.1": 1.24,
    "08.2": 0.88,
    "08.3": 5,
    "09.1": 0.5,
    "09.2": 0.125,
    "09.3": 0.25,
    "10.1": 0.72,
    "10.2": 0.25,
    "10.3": 0.309,
    "11.1": 0.64,
    "11.2": 0.625,
    "11.3": 9,
}
MISTAKES = [
    ("01.1", 2, "the disagreement alone"),
    ("01.2", 0.125, "squared norm of the mean"),
    ("01.3", True, "step 1"),
    ("02.1", 0.682, "what must be left of each edit"),
    ("02.1", 1.854, "three hops need more than two"),
    ("02.1", 2.2, "2.2 is too large"),
    ("02.1", 1, "1 is too small"),
    ("02.2", 1.236, "not a half"),
    ("02.3", 0.146, "negative"),
    ("02.3", -0.25, "½ and ½"),
    ("03.1", 64 / 6, "whole number"),
    ("03.1", 10, "60 of 64"),
    ("03.1", 12, "too large"),
    ("03.2", 512, "through the head"),
    ("03.3", 4, "there are two"),
    ("04.1", 1 / 9, "root"),
    ("04.2", 1, "each one has ten"),
    ("04.3", True, "one fixed list"),
    ("05.1", 0.816, "norm 3"),
    ("05.2", 128, "stands beside them"),
    ("05.3", True, "step 2"),
    ("06.1", 0.2, "one time in ten"),
    ("06.2", 0.436, "radians"),
    ("06.3", -0.146, "throughout the pass"),
    ("07.1", 0.8, "adapter 1"),
    ("07.1", 0.2, "adapter 2"),
    ("07.2", 2, "two hops"),
    ("07.3", 0.618, "mixtures"),
    ("08.1", 0.618, "c is s/2"),
    ("08.2", 0.94, "two reads"),
    ("08.2", 0.872, "sixteen"),
    ("08.3", 7.5, "from the mean"),
    ("09.1", 0.125, "a quarter"),
    ("09.2", 0.5, "in a sum each has one"),
    ("09.3", 0.5, "twice the coefficient"),
    ("10.1", 0.54, "twice"),
    ("10.2", 1, "must exceed"),
    ("10.3", 0.618, "strength 1"),
    ("11.1", 4 / 7, "squared"),
    ("11.2", 0.25, "everywhere"),
    ("11.3", 0.9, "which rate"),
]


def ball(updates):
    centre = updates[0]
    for step in range(1, 2000):
        farthest = max(updates, key=lambda low: np.linalg.norm(low - centre))
        centre = centre + (farthest - centre) / (step + 1)
    return centre


def cheapest(first, second):
    strong = max((second / first) ** 0.5 - 1, 0.5)
    return 1.001 / (1 + strong) / first, 1.001 * strong / second


def unknown(model):
    first, *others = model.bridges
    return replace(model, bridges=(0 * first, *others))


def loud(model):
    first, *others = model.memories
    return replace(model, memories=(2 * first, *others))


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


def loudest(facts, rank):
    return facts * np.eye(facts)[:, :1] @ np.eye(facts)[:1]


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


def arrow(updates, tokens):
    return np.stack([abs(tokens @ low.Vh[0]) for low in updates], axis=1)


def skewed():
    pair = np.array([[1.0, 0.8], [0.0, 0.6]])
    return [np.kron(np.eye(2)[:, [i]], pair) for i in (0, 1)], [[1.0, 0.5]] * 2


def same_keys():
    return [np.eye(2)] * 2, [[1.0, 0.5]] * 2


def orthonormal_keys():
    return [np.eye(4)[:, :2], np.eye(4)[:, 2:]], [[1.0, 0.5]] * 2


def two_reads(q):
    state = (q.base + q.first.dense()) @ q.prompts
    return ((q.base + q.second.dense()) @ (q.bridge @ state))[3:]


def one_read(q):
    return q.logits(q.base) + q.logits(q.first) + q.logits(q.second)


def copied(q):
    return np.eye(3)[:, list(q.answers)]


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
    "02.5": unknown,
    "03.4": halves,
    "04.4": circle,
    "04.5": loudest,
    "05.4": answered_most,
    "05.5": lines,
    "06.4": responses,
    "06.5": skewed,
    "07.4": two_reads,
    "08.4": deviations(4),
    "09.4": kept,
    "10.4": lambda first, second: min(first, second) / 2,
    "11.4": shifted,
}
OTHERWISE = [
    ("03.4", in_place),
    ("04.4", lambda tokens: (lines(tokens).T,) * 2),
    ("04.5", lambda facts, rank: np.diag([facts / rank] * rank + [0] * (facts - rank))),
    ("05.4", lambda first, second: -7 * answered_most(first, second)),
    ("06.4", lambda updates, tokens: response_norms(updates)(tokens)),
    ("06.4", lambda updates, tokens: subspace_scores(updates)(tokens)),
    ("08.4", deviations(2)),
    ("08.4", lambda ordinary, here: here > np.quantile(ordinary, 0.97, axis=0)),
]
FAILED = [
    ("01.4", lambda updates, rank: total(updates) / len(updates), "it needs rank"),
    ("01.4", lambda updates, rank: updates[0].truncated(rank), "you reach"),
    ("01.4", lambda updates, rank: updates[0].dense()[1:], "shape (19, 15)"),
    ("01.5", lambda updates: sum(updates) / len(updates), "you reach"),
    ("02.4", lambda first, second: (1, 1), "is enough"),
    ("02.4", lambda first, second: (0.619 / first, 0.619 / second), "1.167 is enough"),
    ("02.4", lambda first, second: (0.5, 0.5), "trails by"),
    ("02.4", lambda first, second: 0.6, "pair of coefficients"),
    ("02.4", lambda first, second: (-5, -5), "coefficients above 0"),
    ("02.5", lambda model: replace(model, bridges=()), "not all parts"),
    ("02.5", lambda model: replace(model, bridges=(np.nan * model.bridges[0],)), "finite number"),
    ("02.5", lambda model: model, "every hypothesis of thm:two-read-region still holds"),
    ("02.5", loud, "that alone"),
    ("02.5", lambda model: model.bridges, "a LinearChain is asked for, not a tuple"),
    ("03.4", lambda first, last, target: (0 * first, target @ np.linalg.inv(first) - last), "rank"),
    ("03.4", lambda first, last, target: (0 * first, 0 * last), "you reach"),
    ("03.4", lambda first, last, target: first, "two are asked for"),
    ("04.4", lambda tokens: (np.eye(tokens)[:2],) * 2, "you reach"),
    ("04.4", lambda tokens: (np.eye(tokens),) * 2, "shape (3, 3)"),
    ("04.5", lambda facts, rank: np.zeros((facts, facts)), "mean 0"),
    ("04.5", lambda facts, rank: np.eye(facts), "that alone"),
    ("04.5", lambda facts, rank: np.ones((facts, facts)), "still holds"),
    ("05.4", lambda first, second: second.Vh[0], "first adapter's row space"),
    ("05.4", lambda first, second: first.Vh[0], "your key is answered by"),
    ("05.5", lambda count: np.eye(2)[np.zeros(count, int)], "you reach"),
    ("05.5", lambda count: 2 * lines(count), "orthonormal frames"),
    ("06.4", arrow, "Arrow 0.750"),
    ("06.4", by(lambda low, x: low.norm), "every token the same scores"),
    ("06.4", by(lambda low, _: np.linalg.norm(low.up)), "every token the same scores"),
    ("06.4", by(lambda low, x: np.linalg.norm(low.down @ x, axis=0)), "only `up @ down`"),
    ("06.4", by(lambda low, x: np.linalg.norm(low.Vh @ x, axis=0)), "only `up @ down`"),
    ("06.4", by(lambda low, x: abs(low @ x)[0]), "right in 0.750"),
    ("06.4", by(lambda low, x: (low @ x).sum(axis=0)), "of all cases"),
    ("06.4", lambda updates, tokens: np.eye(2).repeat(2, axis=0), "right in 0.500"),
    ("06.4", lambda updates, tokens: responses(updates, tokens).T, "tokens by adapters"),
    ("06.5", orthonormal_keys, "every hypothesis"),
    ("06.5", lambda: (orthonormal_keys()[0], [[1, 0]] * 2), "an edit of strength 0 is none"),
    ("06.5", same_keys, "does worse here"),
    ("07.4", one_read, "still holds"),
    ("07.4", copied, "still holds"),
    ("07.4", lambda q: -two_reads(q), "but the conclusion still holds"),
    ("08.4", deviations(30), "are off"),
    ("08.4", deviations(0), "wrong ones are on"),
    ("08.4", lambda ordinary, here: here > 3 * here.mean(axis=0), "switches change if other"),
    ("08.4", lambda ordinary, here: here > here.max(axis=0) / 2, "switches change if other"),
    ("08.4", lambda ordinary, here: np.arange(len(here))[:, None] // 5 == range(4), "are off"),
    ("08.4", lambda ordinary, here: here > 0.5, "are off"),
    ("08.4", lambda ordinary, here: here == here.max(axis=1, keepdims=True), "are off"),
    ("09.4", halfway, "no coefficient keeps both"),
    ("09.4", lambda keeps, takes: 1 / (4 * takes), "trails by 0 at"),
    ("09.4", lambda keeps, takes: 2.0, "trails by"),
    ("10.4", min, "you are off by"),
    ("10.4", lambda first, second: 0.225, "you are off by"),
    ("11.4", lambda count, entities: np.zeros((count, entities)), "says the same"),
    ("11.4", lambda count, entities: [[e % 3 for e in range(entities)]] * count, "disagree"),
]


def test_each_exercise_is_tried_right_and_wrong():
    assert set(RIGHT) | set(SOLVED) == set(EXERCISES)
    assert {number for number, *_ in MISTAKES + FAILED} == set(EXERCISES)


@pytest.mark.parametrize("number", EXERCISES)
def test_no_answer_is_neither_right_nor_wrong(number):
    assert judged(number, None) == "not answered yet"
    if number in SOLVED:
        assert judged(number, lambda *_: None) == "not answered yet"


@pytest.mark.parametrize(("number", "answer"), {**RIGHT, **SOLVED}.items())
def test_right_answers_are_correct(number, answer):
    verdict = judged(number, answer)
    assert verdict.startswith("correct"), verdict
    assert repr(verdict) == str(verdict)


@pytest.mark.parametrize(("number", "answer"), OTHERWISE)
def test_other_right_answers_are_correct_too(number, answer):
    assert judged(number, answer).startswith("correct")


@pytest.mark.parametrize(("number", "answer", "words"), MISTAKES + FAILED)
def test_mistakes_get_the_words_that_help(number, answer, words):
    verdict = judged(number, answer)
    assert verdict.startswith("not yet, because ")
    assert words in verdict
    assert "your code stopped" not in verdict


@pytest.mark.parametrize("answer", ["3", "True", [3], 2j, float("nan"), lambda: 3, sp.Symbol("c")])
@pytest.mark.parametrize("number", sorted(RIGHT))
def test_answers_of_the_wrong_kind_are_refused_in_words(number, answer):
    wanted = "True or False" if isinstance(RIGHT[number], bool) else "number is asked for"
    assert wanted in judged(number, answer)
    assert judged(number, answer).startswith("not yet, because")


@pytest.mark.parametrize("number", sorted(SOLVED))
def test_functions_that_fail_or_return_nonsense_are_told_so(number):
    assert "a function is asked for" in judged(number, 3)
    assert "ZeroDivisionError" in judged(number, lambda *_: 1 / 0)
    assert judged(number, lambda *_: "nonsense").startswith("not yet, because")
    assert judged(number, lambda *_: LowRank(np.eye(1), np.eye(1))).startswith("not yet, because")


def test_one_part_in_a_hundred_is_near_enough_and_two_are_not():
    for number in ("02.1", "02.3", "11.2"):
        assert judged(number, 1.009 * EXERCISES[number].wanted()) == "correct"
        assert judged(number, 0.991 * EXERCISES[number].wanted()) == "correct"
        assert judged(number, 1.02 * EXERCISES[number].wanted()).startswith("not yet")


def test_an_unknown_exercise_is_named():
    with pytest.raises(KeyError, match=r"no exercise '02\.9'"):
        judged("02.9", 1)
