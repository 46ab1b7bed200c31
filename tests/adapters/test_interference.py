"""Who disturbs whom and who is like whom: dense arithmetic, hand examples, whole libraries."""

import array_api_strict
import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles

from loratheory.adapters import (
    crosstalk,
    crosstalk_bound,
    frobenius_cosine,
    interference,
)
from loratheory.lowrank import LowRank, gaussian, orthonormal, principal_angles

MEASURES = (crosstalk, crosstalk_bound, frobenius_cosine)


def pair(seed, m=8, n=9):
    rng = np.random.default_rng(seed)
    ranks = rng.integers(0, 4, 2).tolist()
    return [gaussian(rng, m, n, r, 10.0 ** int(rng.integers(-6, 7))) for r in ranks], rng


def basis(low):
    """Row space by the pseudo-inverse's eigenvectors: no QR, no factored code."""
    if not low.width:
        return np.zeros((low.shape[1], 0))
    values, vectors = np.linalg.eigh(np.linalg.pinv(low.dense()) @ low.dense())
    return vectors[:, values > 0.5]


def cosine(a, b):
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float((a * b).sum() / size) if size else 0.0


def top(matrix):
    return float(np.linalg.norm(matrix, 2)) if matrix.size else 0.0


@pytest.mark.parametrize("seed", range(12))
def test_every_measure_is_its_dense_definition_in_every_gauge(seed):
    (first, second), rng = pair(seed)
    a, b = first.dense(), second.dense()
    p, q = basis(first), basis(second)
    expected = (
        top(b @ p),
        top(b) * top(p.T @ q),
        cosine(a, b),
    )
    turns = [rng.standard_normal((x.width,) * 2) + 4 * np.eye(x.width) for x in (first, second)]
    moved = [x.regauged(turn) for x, turn in zip((first, second), turns, strict=True)]
    for measure, value in zip(MEASURES, expected, strict=True):
        room = 1e-9 * (1 + top(b))
        assert measure(first, second) == pytest.approx(value, rel=1e-9, abs=room)
        assert measure(*moved) == pytest.approx(value, rel=1e-6, abs=room)
    angles = np.sort(subspace_angles(p, q)) if min(p.shape[1], q.shape[1]) else np.zeros(0)
    found = principal_angles(first.row_space(), second.row_space())
    np.testing.assert_allclose(found, angles, atol=1e-8)
    keys = rng.standard_normal((200, p.shape[1])) @ p.T  # no key exceeds the cross-talk
    answered = np.linalg.norm(keys @ b.T, axis=1) / np.maximum(np.linalg.norm(keys, axis=1), 1e-300)
    assert answered.max(initial=0) <= crosstalk(first, second) * (1 + 1e-9)


def test_crosstalk_by_hand():
    # reads e1; the other answers 5 to (e1 + e2)/sqrt 2 and 1 to e3
    low = LowRank(np.eye(3)[:, :1], np.eye(3)[:1])
    down = np.array([[1, 1, 0], [0, 0, np.sqrt(2)]]) / np.sqrt(2)
    other = LowRank(np.diag([5.0, 1.0, 0.0])[:, :2], down)
    assert crosstalk(low, other) == pytest.approx(5 / np.sqrt(2))
    assert crosstalk_bound(low, other) == pytest.approx(5 / np.sqrt(2))
    assert crosstalk(other, low) == pytest.approx(1 / np.sqrt(2))


def test_orthogonal_columns_hide_full_crosstalk_from_the_frobenius_cosine():
    """Same row space, orthogonal column spaces: cosine 0, each answers in full to the other."""
    rng = np.random.default_rng(0)
    columns, rows = orthonormal(rng, 12, 6), orthonormal(rng, 10, 6).T
    first, second = LowRank(columns[:, :3], 4 * rows[:3]), LowRank(columns[:, 3:], 4 * rows[:3])
    assert abs(frobenius_cosine(first, second)) < 1e-15
    assert crosstalk(first, second) == pytest.approx(4)
    silent = LowRank(1e6 * columns[:, 3:], rows[3:])  # orthogonal rows are silent
    assert crosstalk(first, silent) == pytest.approx(0, abs=1e-8)
    assert crosstalk_bound(first, silent) == pytest.approx(0, abs=1e-8)
    nothing = 0 * first
    for measure in MEASURES:
        assert measure(first, nothing) == measure(nothing, first) == 0


FIELDS = ["crosstalk", "bound", "row_cosine", "column_cosine", "frobenius_cosine"]


def test_tables_hold_the_measures_of_every_pair_and_zeros_where_there_is_nothing():
    rng = np.random.default_rng(0)
    low, other = gaussian(rng, 6, 7, 2), gaussian(rng, 6, 7, 3, 1e3)
    updates = [low, other, gaussian(rng, 6, 7, 0), 0 * low]
    table = interference(updates)
    for i, j in np.ndindex(4, 4):
        one, two = updates[i], updates[j]
        cosines = [top(basis(x).T @ basis(y)) for x, y in ((one, two), (one.T, two.T))]
        bound = crosstalk_bound(one, two)
        expected = [crosstalk(one, two), bound, *cosines, frobenius_cosine(one, two)]
        found = [getattr(table, field)[i, j] for field in FIELDS]
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    diagonal = [getattr(table, field)[1, 1] for field in FIELDS]
    assert diagonal == pytest.approx([other.spectral_norm] * 2 + [1] * 3)


@pytest.mark.parametrize("move", [torch.asarray, array_api_strict.asarray])
def test_other_libraries_agree(move):
    (first, second), _ = pair(5)
    a, b = first.map(move), second.map(move)
    for measure in MEASURES:
        assert measure(a, b) == pytest.approx(measure(first, second), rel=1e-9, abs=1e-12)
    there, here = interference([a, b]), interference([first, second])
    for field in FIELDS:
        np.testing.assert_allclose(getattr(there, field), getattr(here, field), atol=1e-12)


def test_wrong_input_is_refused_in_words():
    rng = np.random.default_rng(3)
    with pytest.raises(ValueError, match="empty library"):
        interference([])
    with pytest.raises(ValueError, match=r"shapes \[\(4, 5\), \(5, 4\)\] do not compare"):
        interference([gaussian(rng, 5, 4, 2), gaussian(rng, 4, 5, 2)])
