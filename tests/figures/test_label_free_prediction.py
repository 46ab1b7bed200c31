"""Prediction without labels: a panel a measure, its threshold, hits and rank correlation."""

import numpy as np
import pytest

from loratheory.experiments.bench.reliability import (
    BINS,
    MEASURES,
    REUSED,
    calibration,
    reliability,
)
from loratheory.figures.label_free_prediction import NEEDS, draw


def table():
    told = []
    for k in range(12):
        row = {name: (k + 3 * n) % 12 / 12 for n, name in enumerate(MEASURES)}
        row |= {**dict.fromkeys(REUSED, 0.0), "sum": k / 11}
        told.append({**row, "kind": ("single steps", "problems")[k % 2], "held_out": float(k > 4)})
    return told


def test_each_panel_shows_its_measure():
    rows = table()
    record = reliability(rows)
    for name, axes in zip(MEASURES, draw(rows).axes[:-1], strict=True):
        assert axes.get_title(loc="left") == NEEDS[name]
        dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
        assert dotted[0].get_xdata() == pytest.approx([record[name]["threshold"]] * 2)
        blue = [line for line in axes.lines if line.get_color() == "#0072B2"]
        points = sorted((x, y) for line in blue for x, y in zip(*line.get_data(), strict=True))
        wanted = sorted((row[name], row["sum"]) for row in rows[5:])
        assert np.allclose(points, wanted)
        assert f"right {record[name]['right']}/7" in axes.get_xlabel()
    assert "rank correlation 1.00" in draw(rows).axes[0].get_xlabel()


def test_bins_show_what_is_expected_and_what_came_of_it():
    rows = table()
    below = draw(rows).axes[-1]
    dashes, points = {}, {}
    for line in below.lines:
        if line.get_color() == "#777777":
            dashes[float(np.mean(line.get_xdata()))] = line.get_ydata()[0]
    for bar in below.containers:
        points[bar[0].get_xdata()[0]] = bar[0].get_ydata()[0]
    wanted = {}, {}
    for group, bins in enumerate(calibration(rows).values()):
        for k, one in enumerate(bins):
            for kept, name in zip(wanted, ("predicted", "observed"), strict=True):
                if one[name][1]:
                    kept[group * (BINS + 1) + k] = one[name][0] / one[name][1]
    assert dashes == pytest.approx(wanted[0])
    assert points == pytest.approx(wanted[1])
    assert {*wanted[0]} != {*wanted[1]}
