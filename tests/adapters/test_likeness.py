"""_likeness: cosines against dense matrices, in every gauge, with each kind of array."""

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.adapters import read_likeness, response_likeness, write_likeness
from loratheory.lowrank import LowRank


def pair(seed, shape=(7, 5)):
    rng = np.random.default_rng(seed)
    return [
        LowRank(rng.standard_normal((shape[0], r)), rng.standard_normal((r, shape[1])))
        for r in (2, 3)
    ]


def cosine(a, b):
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


@given(seeds)
def test_likeness_is_the_cosine_of_dense_products(seed):
    one, two = pair(seed)
    a, b = one.dense(), two.dense()
    assert read_likeness(one, two) == pytest.approx(cosine(a.T @ a, b.T @ b))
    assert write_likeness(one, two) == pytest.approx(cosine(a @ a.T, b @ b.T))
    x = np.random.default_rng([seed, 1]).standard_normal((6, 5))
    assert response_likeness(one, two, x) == pytest.approx(cosine(x @ a.T, x @ b.T))


@given(seeds)
def test_signs_sizes_and_gauges_do_not_matter(seed):
    one, two = pair(seed)
    turn = np.random.default_rng([seed, 2]).standard_normal((2, 2)) + 3 * np.eye(2)
    again = LowRank(-3 * one.up @ turn, np.linalg.inv(turn) @ one.down)
    for likeness in (read_likeness, write_likeness):
        assert likeness(one, two) == pytest.approx(likeness(two, again))
    x = np.random.default_rng([seed, 3]).standard_normal((4, 5))
    assert response_likeness(again, two, x) == pytest.approx(-response_likeness(one, two, x))


def test_limits():
    eye = np.eye(4)
    first, second = LowRank(eye[:, :2], eye[:2]), LowRank(eye[:, :2], eye[2:])
    nothing = LowRank(np.zeros((4, 2)), eye[:2])
    assert read_likeness(first, second) == 0
    assert write_likeness(first, second) == pytest.approx(1)
    assert response_likeness(first, first, eye) == pytest.approx(1)
    assert response_likeness(first, -first, eye) == pytest.approx(-1)
    assert response_likeness(first, nothing, eye) == 0
    assert read_likeness(nothing, first) == write_likeness(first, nothing) == 0


def test_any_array_will_do():
    one, two = pair(4)
    x = np.random.default_rng(5).standard_normal((6, 5))
    moved = [low.map(strict.asarray) for low in (one, two)]
    assert read_likeness(*moved) == pytest.approx(read_likeness(one, two))
    assert response_likeness(*moved, strict.asarray(x)) == pytest.approx(
        response_likeness(one, two, x)
    )
