"""Who disturbs whom and who is like whom: dense arithmetic, hand examples, whole libraries."""

import array_api_strict
import array_api_strict as strict
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.linalg import subspace_angles
from strategies import seeds

from loratheory.adapters import (
    crosstalk,
    crosstalk_bound,
    frobenius_cosine,
    interference,
    read_likeness,
    response_likeness,
    row_angles,
    write_likeness,
)
from loratheory.lowrank import (
    LowRank,
    gaussian,
    largest_cosine,
    orthonormal,
    subspaces_at,
)


def column_angles(first, second):
    return row_angles(first.T, second.T)


def crosstalk_on(low, keys):
    """Answers to keys, one a row, in units of their lengths."""
    return np.linalg.norm(keys @ low.dense().T, axis=1) / np.linalg.norm(keys, axis=1)


# _interfere: cross-talk by dense routes, its ceiling, and why the Frobenius cosine is no guide.


DEVICE = array_api_strict.Device("device1")


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


def test_hand_example():
    # reads e1; the other answers 5 to (e1 + e2)/sqrt 2 and 1 to e3
    low = LowRank(np.eye(3)[:, :1], np.eye(3)[:1])
    other = LowRank(
        np.diag([5.0, 1.0, 0.0])[:, :2], np.array([[1, 1, 0], [0, 0, np.sqrt(2)]]) / np.sqrt(2)
    )
    assert crosstalk(low, other) == pytest.approx(5 / np.sqrt(2))
    assert crosstalk_bound(low, other) == pytest.approx(5 / np.sqrt(2))
    assert row_angles(low, other)[0] == pytest.approx(np.pi / 4)
    assert crosstalk(other, low) == pytest.approx(1 / np.sqrt(2))


@given(seeds)
def test_crosstalk_is_the_spectral_norm_on_the_row_space(seed):
    (first, second), _ = pair(seed)
    dense = second.dense() @ basis(first)
    expected = np.linalg.norm(dense, 2) if dense.size else 0.0
    size = np.abs(second.dense()).max(initial=0)
    assert crosstalk(first, second) == pytest.approx(expected, rel=1e-9, abs=1e-9 * size)


@given(seeds)
def test_no_key_of_the_row_space_exceeds_it_and_one_attains_it(seed):
    (first, second), rng = pair(seed)
    worst, ceiling = crosstalk(first, second), crosstalk_bound(first, second)
    room = 1e-12 * (1 + 1e-3) * max(ceiling, worst)
    assert worst <= ceiling + room
    q = basis(first)
    if not q.shape[1]:
        assert worst == ceiling == 0
        return
    keys = rng.standard_normal((200, q.shape[1])) @ q.T
    assert crosstalk_on(second, keys).max() <= worst * (1 + 1e-9)
    direction = np.linalg.svd(second.dense() @ q)[2][:1] @ q.T
    assert crosstalk_on(second, direction)[0] == pytest.approx(worst, rel=1e-9)


@given(seeds)
def test_the_ceiling_is_met_where_the_strongest_direction_makes_the_smallest_angle(seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, np.pi / 2, 3))
    p, q = subspaces_at(rng, 9, angles.tolist())
    strength = np.array([3.0, 2.0, 1.0])
    first, second = (
        LowRank(rng.standard_normal((7, 3)), p.T),
        LowRank(orthonormal(rng, 7, 3) * strength, q.T),
    )
    assert np.allclose(row_angles(first, second), angles, atol=1e-12)
    assert crosstalk(first, second) == pytest.approx(3 * np.cos(angles[0]), rel=1e-12)
    assert crosstalk_bound(first, second) == pytest.approx(3 * np.cos(angles[0]), rel=1e-12)
    weak = LowRank(second.up[:, ::-1], second.down)
    assert crosstalk_bound(first, weak) == pytest.approx(3 * np.cos(angles[0]), rel=1e-12)
    if np.cos(angles[0]) > 1.1 * max(2 / 3 * np.cos(angles[1]), np.cos(angles[2])):
        assert crosstalk(first, weak) < crosstalk_bound(first, weak)


@given(seeds)
def test_angles_match_scipy_and_swap_with_the_transpose(seed):
    (first, second), _ = pair(seed)
    p, q = basis(first), basis(second)
    expected = np.sort(subspace_angles(p, q)) if min(p.shape[1], q.shape[1]) else np.zeros(0)
    assert np.allclose(row_angles(first, second), expected, atol=1e-8)
    assert np.allclose(column_angles(first.T, second.T), expected, atol=1e-8)


def test_orthogonal_columns_hide_full_crosstalk_from_the_frobenius_cosine():
    """Same row space, orthogonal column spaces: cosine 0, each answers in full to the other."""
    rng = np.random.default_rng(0)
    columns, rows = orthonormal(rng, 12, 6), orthonormal(rng, 10, 3).T
    first, second = LowRank(columns[:, :3], 4 * rows), LowRank(columns[:, 3:], 4 * rows)
    assert abs(frobenius_cosine(first, second)) < 1e-15
    assert crosstalk(first, second) == pytest.approx(4)
    assert crosstalk_on(second, rows).tolist() == pytest.approx([4, 4, 4])
    assert column_angles(first, second).tolist() == pytest.approx([np.pi / 2] * 3)


def test_orthogonal_rows_are_silent():
    rng = np.random.default_rng(1)
    frame = orthonormal(rng, 10, 6).T
    first = LowRank(rng.standard_normal((7, 3)), frame[:3])
    second = LowRank(1e6 * rng.standard_normal((7, 3)), frame[3:])
    assert crosstalk(first, second) < 1e-8
    assert crosstalk_bound(first, second) < 1e-8


@given(seeds)
def test_the_frobenius_cosine_matches_the_dense_entries(seed):
    (first, second), _ = pair(seed)
    a, b = first.dense().ravel(), second.dense().ravel()
    size = np.linalg.norm(a) * np.linalg.norm(b)
    assert frobenius_cosine(first, second) == pytest.approx(
        a @ b / size if size else 0.0, abs=1e-12
    )
    assert frobenius_cosine(first, -first) == pytest.approx(-1.0 if a.any() else 0.0)


@given(seeds)
def test_measures_do_not_depend_on_the_factorisation(seed):
    (first, second), rng = pair(seed)
    moved = [
        low.regauged(rng.standard_normal((low.width,) * 2) + 4 * np.eye(low.width))
        for low in (first, second)
    ]
    for measure in (crosstalk, crosstalk_bound, frobenius_cosine):
        expected = measure(first, second)
        assert measure(*moved) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_zero_keys_and_zero_updates_measure_zero():
    low = gaussian(np.random.default_rng(2), 4, 3, 2)
    nothing = LowRank(np.zeros((4, 1)), np.ones((1, 3)))
    assert crosstalk(low, nothing) == crosstalk(nothing, low) == crosstalk_bound(nothing, low) == 0
    assert frobenius_cosine(low, nothing) == 0


def test_measures_are_the_same_everywhere():
    (first, second), _ = pair(5)

    def strict(array):
        return array_api_strict.asarray(array, device=DEVICE)

    for move in (torch.asarray, strict):
        a, b = first.map(move), second.map(move)
        for measure in (crosstalk, crosstalk_bound, frobenius_cosine):
            assert measure(a, b) == pytest.approx(measure(first, second), rel=1e-9, abs=1e-12)
        for theirs, ours in ((row_angles(a, b), row_angles(first, second)),):
            back = (
                theirs
                if move is torch.asarray
                else theirs.to_device(array_api_strict.Device("CPU_DEVICE"))
            )
            assert np.allclose(np.asarray(back), ours, rtol=1e-9)


# _likeness: cosines against dense matrices, in every gauge, with each kind of array.


def pair_likeness(seed, shape=(7, 5)):
    rng = np.random.default_rng(seed)
    return [
        LowRank(rng.standard_normal((shape[0], r)), rng.standard_normal((r, shape[1])))
        for r in (2, 3)
    ]


def cosine(a, b):
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


@given(seeds)
def test_likeness_is_the_cosine_of_dense_products(seed):
    one, two = pair_likeness(seed)
    a, b = one.dense(), two.dense()
    assert read_likeness(one, two) == pytest.approx(cosine(a.T @ a, b.T @ b))
    assert write_likeness(one, two) == pytest.approx(cosine(a @ a.T, b @ b.T))
    x = np.random.default_rng([seed, 1]).standard_normal((6, 5))
    assert response_likeness(one, two, x) == pytest.approx(cosine(x @ a.T, x @ b.T))


@given(seeds)
def test_signs_sizes_and_gauges_do_not_matter(seed):
    one, two = pair_likeness(seed)
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
    one, two = pair_likeness(4)
    x = np.random.default_rng(5).standard_normal((6, 5))
    moved = [low.map(strict.asarray) for low in (one, two)]
    assert read_likeness(*moved) == pytest.approx(read_likeness(one, two))
    assert response_likeness(*moved, strict.asarray(x)) == pytest.approx(
        response_likeness(one, two, x)
    )


# _pairwise: every entry equals the measure of that pair; one module in memory at a time.


FIELDS = ["crosstalk", "bound", "row_cosine", "column_cosine", "frobenius_cosine"]


@settings(max_examples=20)
@given(seeds)
def test_every_entry_is_the_measure_of_its_pair(seed):
    rng = np.random.default_rng(seed)
    updates = [gaussian(rng, 6, 7, int(r), 10.0 ** int(e)) for r, e in rng.integers(0, 4, (3, 2))]
    updates[0] = LowRank(np.hstack([updates[0].up] * 2), np.vstack([updates[0].down] * 2))
    table = interference(updates)
    for i, reader in enumerate(updates):
        for j, other in enumerate(updates):
            room = 1e-11 * (1 + other.spectral_norm)
            for found, expected in [
                (table.crosstalk, crosstalk(reader, other)),
                (table.bound, crosstalk_bound(reader, other)),
                (table.row_cosine, largest_cosine(reader.row_space(), other.row_space())),
                (table.column_cosine, largest_cosine(reader.column_space(), other.column_space())),
                (table.frobenius_cosine, frobenius_cosine(reader, other)),
            ]:
                assert found[i, j] == pytest.approx(expected, rel=1e-9, abs=room)


def test_the_diagonal_is_the_adapter_with_itself_and_absence_is_zero():
    low = gaussian(np.random.default_rng(0), 5, 4, 2)
    table = interference([low, gaussian(np.random.default_rng(0), 5, 4, 0), 0 * low])
    top = low.spectral_norm
    for field, expected in zip(FIELDS, [top, top, 1, 1, 1], strict=True):
        matrix = getattr(table, field)
        assert matrix[0, 0] == pytest.approx(expected)
        matrix[0, 0] = 0
        assert not matrix.any()


def test_torch_adapters_give_the_same_tables():
    rng = np.random.default_rng(2)
    updates = [gaussian(rng, 6, 7, 2) for _ in range(3)]
    there = interference([low.map(torch.asarray) for low in updates])
    for field in FIELDS:
        assert np.allclose(getattr(there, field), getattr(interference(updates), field))


def test_wrong_input_is_refused_in_words():
    rng = np.random.default_rng(3)
    first, second = gaussian(rng, 5, 4, 2), gaussian(rng, 4, 5, 2)
    with pytest.raises(ValueError, match="empty library"):
        interference([])
    with pytest.raises(ValueError, match=r"shapes \[\(4, 5\), \(5, 4\)\] do not compare"):
        interference([first, second])
