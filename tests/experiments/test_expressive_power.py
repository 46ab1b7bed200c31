"""The expressive-power grids: a slice replayed; errors by singular values and by hand."""

from pathlib import Path

import numpy as np
import pytest

from loratheory.experiments.expressive_power import (
    ATTENTION,
    LINEAR,
    RELU,
    Config,
    cell,
    largest_gap,
    output_gap,
    target_layers,
)
from loratheory.figures import table
from loratheory.theorems.expressiveness import depth_budget

SMALL = Config(width=5, depths=(2, 3), target_depths=(1, 2), inputs=30, gap=0.7, seed=4)


@pytest.fixture(scope="module")
def rows():
    return cell(SMALL)


def test_every_cell_of_the_grids_is_there_once(rows):
    names = ("family", "flat", "target_depth", "depth", "rank")
    cells = [tuple(row[name] for name in names) for row in rows]
    linear = [(LINEAR, f, 1, d, r) for f in (0, 1) for d in (2, 3) for r in range(1, 6)]
    deep = [
        (RELU, f, t, t * d, r) for f in (0, 1) for t in (1, 2) for d in (2, 3) for r in range(1, 6)
    ]
    attention = [(ATTENTION, 0, b, b, r) for b in (1, 2) for r in range(1, 6)]
    assert sorted(cells) == sorted(linear + deep + attention)
    stored = Path(__file__).parents[2] / "paper" / "results" / "expressive_power" / "table.csv"
    assert len(table(stored)) == 2 * 48 + 2 * 144 + 48


def test_linear_and_attention_cells_meet_their_bound_and_relu_cells_respect_it(rows):
    for row in rows:
        assert 0 <= row["value"] <= row["bound"] + 1e-6
        assert row["family"] == RELU or row["value"] == pytest.approx(row["bound"], abs=1e-6)


def test_from_the_threshold_on_everything_is_exact_and_just_below_it_is_not(rows):
    for row in rows:
        exact = row["rank"] >= row["threshold"]
        assert (row["bound"] == 0) == exact
        assert not exact or row["value"] == 0
    thresholds = {(row["family"], row["depth"]): row["threshold"] for row in rows}
    assert thresholds[LINEAR, 2] == thresholds[ATTENTION, 2] == 3
    assert thresholds[LINEAR, 3] == thresholds[RELU, 6] == 2


def test_flat_cells_lose_the_gap_whatever_the_rank_until_nothing(rows):
    flat = [row for row in rows if row["family"] == LINEAR and row["flat"]]
    for depth in (2, 3):
        below = {row["bound"] for row in flat if row["depth"] == depth and row["bound"]}
        assert len(below) == 1
    case = target_layers(SMALL, np.random.default_rng(0), 1, 1, 2)[0]
    assert np.linalg.svd(case.target - case.product)[1] == pytest.approx(0.7)


def test_frozen_layers_have_unit_gain():
    cases = target_layers(Config(width=30), np.random.default_rng(0), 0, 3, 4)
    layers = np.asarray([[*case.weights, case.target] for case in cases])
    assert layers.shape == (3, 5, 30, 30)
    assert np.std(layers) * 30**0.5 == pytest.approx(1, abs=0.02)


def test_the_product_that_misses_most_speaks_for_all():
    one = np.eye(2)
    near = depth_budget.Case((one, one), np.diag([2.0, 4.0]), rank=1)
    far = depth_budget.Case((one, one), np.diag([3.0, 2.0]), rank=0)
    assert largest_gap([near, far, near]) == pytest.approx((2 / 3, 2 / 3))


def test_one_relu_layer_by_hand():
    """Missing 3 and 1 on the two axes; one layer of rank 1 pays for the 3."""
    case = depth_budget.Case((np.eye(2),), np.diag([4.0, 2.0]), rank=1)
    inputs = np.array([[3.0, 1.0, -1.0], [4.0, -1.0, 2.0]])
    wanted = np.array([[12.0, 4.0, 0.0], [8.0, 0.0, 4.0]])
    found = np.array([[12.0, 4.0, 0.0], [4.0, 0.0, 2.0]])
    bound, value = output_gap([case], inputs)
    assert value == pytest.approx(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
    assert bound == pytest.approx(np.linalg.norm(inputs) / np.linalg.norm(wanted))


def test_two_relu_layers_by_hand_stretch_the_first_error():
    """Nothing is paid: errors 1 and 1 on top of identities, targets of norm 2."""
    case = depth_budget.Case((np.eye(1),), np.array([[2.0]]), rank=0)
    bound, value = output_gap([case, case], np.array([[1.0, -1.0]]))
    assert value == pytest.approx(3 / 4)
    assert bound == pytest.approx(np.hypot((2 + 1) * 1 + 2, (2 + 1) * 1 + 0) / 4)
