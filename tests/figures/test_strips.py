"""Strips: every mark is where its rows have it, and a band shows where theory is off."""

import pytest
from matplotlib.figure import Figure
from panels import shown

from loratheory.figures import _strips as strips


def row(rule, seed, measured, predicted):
    return {"rule": rule, "seed": seed, "found": measured, "said": predicted, "chance": 0.2}


ROWS = [
    *(row("above", seed, 0.5 + 0.01 * seed, 0.3) for seed in range(4)),
    *(row("below", seed, 0.2, 0.6) for seed in range(4)),
    *(row("about", seed, 0.4 + 0.1 * (seed % 2), 0.39 + 0.02 * (seed > 1)) for seed in range(4)),
    *(row("exact", seed, 0.7, 0.7) for seed in range(4)),
]
NAMES = ["exact", "nobody", "above", "below", "about"]


def panel():
    axes = Figure().subplots()
    strips.versus(axes, strips.by(ROWS, "rule", NAMES), "found", "said")
    strips.framed(axes, NAMES)
    return axes


def test_marks_are_means_over_bases_under_their_names():
    means = {"exact": 0.7, "above": 0.515, "below": 0.2, "about": 0.45}
    assert shown(panel(), "measured") == pytest.approx(means)
    said = {"exact": 0.7, "above": 0.3, "below": 0.6, "about": 0.4}
    assert shown(panel(), "predicted before") == pytest.approx(said)


def test_a_band_joins_what_differs_by_more_than_bases_do():
    bands = [line for line in panel().lines if line.get_label() == strips.PARTED["label"]]
    ends = {line.get_ydata()[0]: list(line.get_xdata()) for line in bands}
    assert set(ends) == {2, 3}
    assert ends[2] == pytest.approx([0.3, 0.515])
    assert ends[3] == pytest.approx([0.6, 0.2])


def test_the_first_name_is_on_top():
    assert panel().get_ylim() == (4.5, -0.5)


def test_groups_keep_their_places_when_some_are_left_out():
    groups = strips.by(ROWS, "rule", NAMES)
    assert {name for name, group in strips.only(groups, "above").items() if group} == {"above"}
    assert list(strips.only(groups, "above")) == NAMES
    kept = {name for name, group in strips.but(groups, "above").items() if group}
    assert kept == {"exact", "below", "about"}


def test_a_shift_moves_down():
    axes = Figure().subplots()
    strips.strip(axes, {"above": strips.those(ROWS, rule="above")}, "found", shift=0.2)
    assert axes.containers[0][0].get_ydata().tolist() == [0.2]


def test_nothing_is_drawn_of_no_rows():
    axes = Figure().subplots()
    strips.strip(axes, {"nobody": []}, "found")
    assert not axes.containers


def test_chance_is_where_the_table_has_it():
    axes = Figure().subplots()
    strips.chance(axes, ROWS)
    assert axes.lines[0].get_xdata() == pytest.approx([0.2, 0.2])


def test_every_kind_of_mark_is_named_once():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        strips.versus(axes, strips.by(ROWS, "rule", NAMES), "found", "said")
    strips.titled(figure, "A question", "A note.", ncols=2)
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "A note."
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["measured", "predicted before", strips.PARTED["label"]]


def test_a_share_is_of_the_rows_with_these_values():
    assert strips.share(ROWS, "found", rule="above") == "52%"
