"""Chain length's figure: a panel each length and way, its own border, means over bases."""

import pytest

from loratheory.figures import TableError
from loratheory.figures.number_of_hops import NEEDED, WAYS, draw

GRID = (0.0, 0.6, 1.2)
ROOTS = {2: 0.618034, 3: 0.682328, 4: 0.724492}
COLUMNS = [x for way in WAYS.values() for x in way] + ["facts", "alone", "exchanged", "random"]


def value(column, hops, c):
    return hops / 40 + c / 8 + COLUMNS.index(column) / 20


def table(lengths=(4, 2, 3)):
    rows = []
    for hops in lengths:
        for seed in (0, 1):
            for c in GRID:
                row = {"hops": float(hops), "seed": seed, "coefficient": c, "chance": 1 / 3}
                row |= {name: value(name, hops, c) + 0.02 * seed for name in COLUMNS}
                row |= {f"{told}_right": 0.9 - value(told, hops, 0) for _, told in WAYS.values()}
                rows.append({**row, "held_out": 1 - hops / 20})
    return rows


@pytest.fixture(scope="module")
def panels():
    axes = draw(table()).axes
    each = [(way, hops) for way in WAYS for hops in ROOTS]
    return dict(zip(each, axes, strict=True))


def named(axes, label):
    (line,) = [line for line in axes.lines if line.get_label().startswith(label)]
    return line.get_ydata()


def test_points_and_lines_are_means_of_their_length_and_way(panels):
    for (way, hops), axes in panels.items():
        measured, told = WAYS[way]
        ((points, *_),) = axes.containers
        assert points.get_xdata() == pytest.approx(GRID)
        for found, name in (
            (points.get_ydata(), measured),
            (named(axes, "chains, predicted"), told),
            (named(axes, "single facts"), "facts"),
            (named(axes, "best control"), "random"),
        ):
            assert found == pytest.approx([value(name, hops, c) + 0.01 for c in GRID])
        assert named(axes, "unedited chains") == pytest.approx([1 - hops / 20] * 2)
        assert named(axes, "one answer") == pytest.approx([1 / 3] * 2)


def test_borders_are_the_roots_of_their_length_and_one_half_hop_by_hop(panels):
    for (way, hops), axes in panels.items():
        place = 0.5 if "one relation" in way else ROOTS[hops]
        (border,) = [line for line in axes.lines if line.get_label().startswith("exact")]
        assert border.get_xdata() == pytest.approx([place] * 2, abs=1e-6)


def test_titles_tell_length_border_and_how_often_theory_is_right(panels):
    for (way, hops), axes in panels.items():
        measured, told = WAYS[way]
        if way == next(iter(WAYS)):
            assert f"theory: .{round(1000 * ROOTS[hops])}" in axes.get_title(loc="left")
        score = value(measured, hops, 0.6) + 0.01
        right = 0.9 - value(told, hops, 0)
        wanted = f"right: theory {right:.0%}, majority {max(score, 1 - score):.0%}"
        assert axes.get_title(loc="right") == wanted


@pytest.mark.parametrize("column", NEEDED)
def test_each_needed_column_is_missed(column):
    rows = [{name: x for name, x in row.items() if name != column} for row in table([2])]
    with pytest.raises(TableError, match=f"no column {column}"):
        draw(rows)


def test_chains_of_one_hop_are_refused():
    with pytest.raises(TableError, match="a chain of 1 hop is a fact"):
        draw(table([1, 2]))


def test_single_relations_are_missed():
    rows = [{name: x for name, x in row.items() if name != "hop_by_hop"} for row in table([2])]
    with pytest.raises(TableError, match="no column hop_by_hop"):
        draw(rows)
