"""Means over bases: every base weighs the same, and the interval is that of their mean."""

from itertools import product

import numpy as np
import pytest
from matplotlib.figure import Figure

from loratheory.figures import TableError
from loratheory.figures._means import bars, curve, interval, lead, line, mean


def test_a_base_measured_thrice_weighs_no_more():
    rows = [{"seed": 0, "x": 0.0}] * 3 + [{"seed": 1, "x": 1.0}]
    assert interval(rows, "x") == (0.5, 0.0, 1.0)
    assert mean(rows, "x") == 0.5


def test_edit_sets_of_a_base_are_averaged_before_bases_are_drawn():
    rows = [{"seed": seed, "x": x} for seed, x in ((0, 0.0), (0, 1.0), (1, 0.5), (1, 0.5))]
    assert interval(rows, "x") == (0.5, 0.5, 0.5)


def test_the_interval_is_where_means_of_all_redrawn_bases_lie():
    """Three bases by hand: all 27 draws."""
    values = [0.1, 0.4, 1.0]
    middle, low, high = interval([{"seed": s, "x": x} for s, x in enumerate(values)], "x")
    means = sorted(np.mean(draw) for draw in product(values, repeat=3))
    assert middle == pytest.approx(0.5)
    assert (low, high) == pytest.approx((means[0], means[-1]))  # each 1 in 27, more than 2.5 %


def test_a_curve_takes_each_place_apart_and_in_order():
    rows = [
        {"seed": seed, "c": c, "x": c * c + seed} for c in (9.0, 8.0, 0.5, 64.0) for seed in (0, 2)
    ]
    places, found = curve(rows, "c", "x")
    assert places == [0.5, 8.0, 9.0, 64.0]
    assert [middle for middle, *_ in found] == [1.25, 65.0, 82.0, 4097.0]
    assert found[0][1:] == (0.25, 2.25)
    assert line(rows, "c", "x") == [1.25, 65.0, 82.0, 4097.0]


@pytest.mark.parametrize("sideways", [False, True])
def test_bars_reach_from_low_to_high(sideways):
    axes = Figure().subplots()
    bars(axes, [1.0, 2.0], [(0.5, 0.4, 0.8), (0.25, 0.25, 0.3)], sideways=sideways)
    (line, _, (ends,)) = axes.containers[0]
    along, across = (line.get_xdata(), line.get_ydata())[:: -1 if sideways else 1]
    assert (list(along), list(across)) == ([1, 2], [0.5, 0.25])
    reached = [segment[:, 0 if sideways else 1].tolist() for segment in ends.get_segments()]
    assert reached == [pytest.approx([0.4, 0.8]), pytest.approx([0.25, 0.3])]


def test_a_mean_off_its_percentiles_by_rounding_is_drawn():
    axes = Figure().subplots()
    bars(axes, [1.0], [(0.7, float(np.nextafter(0.7, 1)), float(np.nextafter(0.7, 0)))])
    assert len(axes.containers) == 1


def test_rows_without_a_seed_are_refused():
    with pytest.raises(TableError, match="no column seed"):
        interval([{"x": 1.0}], "x")


def test_a_lead_is_taken_from_the_row_with_the_same_keys():
    others = [{"seed": seed, "set": n, "x": seed + n / 2} for seed in (1, 0) for n in (0, 1)]
    rows = [{**row, "x": 3 * row["x"], "y": 0} for row in reversed(others)]
    found = lead(rows, others, "x", "seed", "set")
    assert [one["lead"] for one in found] == [1.0, 0.0, 3.0, 2.0]
    assert [{key: one[key] for key in rows[0]} for one in found] == rows
