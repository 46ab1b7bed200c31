"""argmax_rank: by hand, every map of small sizes, in integers, by training, symmetries, limits."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.lowrank import LowRank
from loratheory.theorems.expressiveness.argmax_rank import (
    THEOREM,
    Case,
    adversary,
    answers_of,
    attain,
    bound,
    circle,
    line,
    measure,
)


def test_hand_example():
    scores = LowRank(np.array([[2.0], [1.0], [-3.0]]), np.array([[1.0, -1.0, 5.0, 0.0]]))
    assert answers_of(scores) == [0, 2, 0]  # the last input ties all tokens
    assert measure(Case(3, 4, 1), scores) == bound(Case(3, 4, 1)) == 2


def test_rank_one_realises_21_of_the_27_maps_of_three_and_rank_two_all():
    """Every sign pattern and order of integers: 27 maps less the 6 permutations."""
    grid = range(-2, 3)
    found = set()
    for b in product(grid, repeat=3):
        for a in product(grid, repeat=3):
            table = [[b_t * a_j for b_t in b] for a_j in a]
            winners = [row.index(max(row)) for row in table if row.count(max(row)) == 1]
            if len(winners) == 3:
                found.add(tuple(winners))
    every = set(product(range(3), repeat=3))
    assert found == {f for f in every if len(set(f)) <= 2}
    assert len(found) == 21
    assert {tuple(answers_of(circle(f, 3))) for f in every} == every


@given(st.integers(3, 20))
def test_rational_points_of_a_circle_give_every_answer_exactly(tokens):
    """Unit vectors with rational entries: each is strictly its own best match (Cauchy-Schwarz)."""
    slopes = [Fraction(t, 1 + tokens // 3) for t in range(tokens)]
    points = [((1 - s * s) / (1 + s * s), 2 * s / (1 + s * s)) for s in slopes]
    for t, (x, y) in enumerate(points):
        scores = [x * u + y * v for u, v in points]
        assert scores[t] == 1
        assert max(scores[:t] + scores[t + 1 :]) < 1


@given(seeds)
def test_circle_answers_whatever_is_asked_with_the_margin_it_says(seed):
    rng = np.random.default_rng(seed)
    tokens = int(rng.integers(2, 200))
    wanted = rng.integers(0, tokens, 20).tolist()
    scores = circle(wanted, tokens)
    assert answers_of(scores) == wanted
    table = np.sort(scores.dense(), axis=0)
    margin = (table[-1] - table[-2]).min()
    assert margin == pytest.approx(1 - np.cos(2 * np.pi / tokens), abs=1e-14)


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(2, 9))
def test_line_answers_whatever_is_asked_of_its_two_ends(wanted, tokens):
    assert answers_of(line(wanted, tokens)) == [int(w) for w in wanted]


@given(seeds)
def test_training_finds_no_third_answer_at_rank_one(seed):
    rng = np.random.default_rng(seed)
    case = Case(int(rng.integers(2, 9)), int(rng.integers(1, 9)), int(rng.integers(0, 2)))
    assert THEOREM.check(case, adversary(case, rng)).holds


def test_training_finds_all_answers_at_rank_two():
    """It is a strong enough attacker: the failure at rank 1 is not its own."""
    case = Case(4, 4, 2)
    found = [measure(case, adversary(case, np.random.default_rng(s))) for s in range(5)]
    assert max(found) == bound(case) == 4


@given(st.floats(0.01, 100.0), seeds)
def test_scaling_basis_and_order_do_not_matter(factor, seed):
    case, rng = THEOREM.draw(np.random.default_rng(seed), 6), np.random.default_rng(seed)
    scores = attain(case)
    signs = rng.choice([-1.0, 1.0], scores.width) * factor
    tokens, inputs = rng.permutation(case.tokens), rng.permutation(case.inputs)
    moved = LowRank((scores.up * signs)[tokens], (scores.down / signs[:, None])[:, inputs])
    assert measure(case, moved) == measure(case, scores) == bound(case)


def test_limits():
    assert bound(Case(5, 1, 1)) == bound(Case(5, 1, 7)) == 1
    assert bound(Case(5, 9, 0)) == 0
    assert bound(Case(2, 9, 1)) == bound(Case(2, 9, 2)) == 2
    assert bound(Case(9, 5, 3)) == bound(Case(5, 9, 3)) == 5
