"""Gradient training of a slice: slopes by finite differences, and the gap itself."""

import json
from pathlib import Path

import numpy as np
import pytest

from loratheory.experiments import expressive_power
from loratheory.experiments.training_gap import Config, cell, gradients, relative_error, start
from loratheory.figures import table
from loratheory.theorems.expressiveness import depth_budget

RESULTS = Path(__file__).parents[2] / "paper" / "results" / "training_gap"


def drawn(rank=2, depth=3):
    rng = np.random.default_rng(0)
    case = depth_budget.Case(tuple(rng.standard_normal((depth, 4, 4))), np.eye(4), rank)
    found = [p + 0.3 * rng.standard_normal(p.shape) for p in start(case, rng)]
    return case, found, rng.standard_normal((4, 9))


def test_slopes_are_those_of_half_the_mean_squared_error():
    case, found, inputs = drawn()
    wanted = np.maximum(inputs, 0)

    def loss():
        hidden = inputs
        for index, weight in enumerate(case.weights):
            up, down, bias = found[3 * index : 3 * index + 3]
            hidden = np.maximum((weight + up @ down) @ hidden + bias, 0)
        return 0.5 * np.sum((hidden - wanted) ** 2) / 9

    for part, slope in zip(found, gradients(case, found, inputs), strict=True):
        for place in np.ndindex(part.shape):
            kept, step = part[place], 1e-6
            part[place] = kept + step
            up = loss()
            part[place] = kept - step
            down = loss()
            part[place] = kept
            assert slope[place] == pytest.approx((up - down) / (2 * step), abs=1e-6, rel=1e-5)


def test_training_starts_at_the_frozen_network():
    case, _, inputs = drawn()
    frozen = inputs
    for weight in case.weights:
        frozen = np.maximum(weight @ frozen, 0)
    wanted = np.maximum(inputs, 0)
    expected = np.linalg.norm(frozen - wanted) / np.linalg.norm(wanted)
    assert relative_error(case, start(case, np.random.default_rng(1)), inputs) == pytest.approx(
        expected
    )


def test_a_slice_shows_the_gap_where_the_construction_is_exact():
    low, enough = cell(
        Config(width=6, depths=(2,), ranks=(1, 3), steps=1500, inputs=200, rates=(1e-2,), seed=3)
    )
    assert (low["rank"], enough["rank"]) == (1, 3)
    assert low["threshold"] == enough["threshold"] == 3
    assert low["constructed"] <= low["bound"] + 1e-9
    assert enough["bound"] == 0
    assert enough["constructed"] < 1e-9 < 1e-3 < enough["trained"] < 0.5
    shape, draws = expressive_power.Config(width=6), np.random.default_rng(3)
    frozen = expressive_power.target_layers(shape, draws, 0, 1, 2)[0]
    before = relative_error(frozen, start(frozen, draws), draws.standard_normal((6, 200)))
    assert enough["trained"] < before / 2


def test_the_stored_table_has_its_twenty_cells_and_a_gap_in_each_exact_one():
    rows = table(RESULTS / "table.csv")
    [ran] = json.loads((RESULTS / "provenance.json").read_text())["cells"]
    config = ran["config"]
    cells = [(row["depth"], row["rank"]) for row in rows]
    assert cells == [(d, r) for d in config["depths"] for r in config["ranks"]]
    assert len(cells) == 20
    exact = [row for row in rows if row["rank"] >= row["threshold"]]
    assert exact
    assert all(row["constructed"] < 1e-9 < row["trained"] for row in exact)
