"""Interference's figure: a column each size of adapter, pairs side by side, energy below."""

import pytest

from loratheory.figures import TableError
from loratheory.figures._table import grouped
from loratheory.figures.interference import (
    CHOSEN,
    FINDING,
    MERGED,
    NEEDED,
    QUESTION,
    draw,
    headline,
)

RULES = (*MERGED, *CHOSEN)
SHAPES = ((3, 2), (3, 8), (8, 8))
ENERGY = ("crosstalk_in", "crosstalk_out", "random_in", "random_out")


def shelves(shape):
    return (1.0, 2.0, 4.0) if shape == (8, 8) else (1.0, 4.0)


def value(column, shape, pairs):
    return (1 + (*RULES, *ENERGY).index(column)) / 30 + pairs / 20 + SHAPES.index(shape) / 10


def table():
    rows = []
    for shape in reversed(SHAPES):
        for pairs in reversed(shelves(shape)):
            for rule in RULES:
                for seed in (0, 1):
                    row = {"facts": shape[0], "rank": shape[1], "pairs": pairs, "rule": rule}
                    row |= {
                        "seed": seed,
                        "set": 0,
                        "two_hop": value(rule, shape, pairs) + 0.02 * seed,
                    }
                    row |= {"predicted": 1 - value(rule, shape, pairs), "chance": 0.2}
                    other = (rule != "sum") * 0.5  # a shelf's energies are the same for all rules
                    row |= {x: value(x, shape, pairs) + other for x in ENERGY}
                    rows.append(row)
    return rows


@pytest.fixture(scope="module")
def grid():
    axes = draw(table()).axes
    return [axes[3 * row : 3 * row + 3] for row in range(3)]


def places(axes):
    return [round(x) for x in axes.containers[0][0].get_xdata()]


def test_points_are_means_over_bases_and_ticks_what_was_predicted(grid):
    for panels, rules in zip(grid, (MERGED, CHOSEN), strict=False):
        for axes, shape in zip(panels, SHAPES, strict=True):
            ticks = [
                line for line in axes.lines if line.get_marker() == "_" and len(line.get_xdata())
            ]
            for (point, *_), tick, rule in zip(axes.containers, ticks, rules, strict=True):
                wanted = [value(rule, shape, pairs) for pairs in shelves(shape)]
                assert point.get_ydata() == pytest.approx([x + 0.01 for x in wanted])
                assert tick.get_ydata() == pytest.approx([1 - x for x in wanted])
                assert list(tick.get_xdata()) == list(point.get_xdata())
            (chance,) = [x for x in axes.lines if x.get_label() == "one answer always"]
            assert chance.get_ydata() == pytest.approx([0.2] * 2)


def test_pairs_have_the_same_places_in_every_panel(grid):
    for panels in grid:
        assert [places(axes) for axes in panels] == [[0, 2], [0, 2], [0, 1, 2]]
    assert [text.get_text() for text in grid[-1][0].get_xticklabels()] == ["1", "2", "4"]
    wanted = [f"{facts} facts\nrank {rank}" for facts, rank in SHAPES]
    assert [axes.get_title(loc="left") for axes in grid[0]] == wanted


def test_energies_are_those_beside_the_sum(grid):
    for axes, shape in zip(grid[-1], SHAPES, strict=True):
        ticks = [line for line in axes.lines if line.get_marker() == "_"]
        for (point, *_), tick, side in zip(axes.containers, ticks, ("in", "out"), strict=True):
            for found, name in ((point, "crosstalk"), (tick, "random")):
                wanted = [value(f"{name}_{side}", shape, pairs) for pairs in shelves(shape)]
                assert found.get_ydata() == pytest.approx(wanted)
        assert axes.lines[-1].get_ydata() == pytest.approx([0.25**2] * 2)


@pytest.mark.parametrize("column", [*NEEDED, "rule"])
def test_each_needed_column_is_missed(column):
    rows = [{name: x for name, x in row.items() if name != column} for row in table()]
    with pytest.raises(TableError, match=f"no column {column}"):
        draw(rows)


def test_a_table_without_gates_is_refused():
    with pytest.raises(TableError, match="has gates in column rule"):
        draw([row for row in table() if row["rule"] != "gates"])


def told(shape=(3, 2), pairs=4.0, gap=(0.2, 0.2), excess=(0.2, 0.2)):
    """The title if noise costs .2 less and gives .2 less energy, except in one cell."""
    rows = []
    for row in table():
        here = ((row["facts"], row["rank"]), row["pairs"]) == (shape, pairs)
        less, more = (gap, excess) if here else ((0.2, 0.2), (0.2, 0.2))
        chains = 0.5 + less[row["seed"]] * (row["rule"] == "beside noise")
        energy = {"random_in": 1.0, "crosstalk_in": 1.2, "random_out": 1.0}
        rows.append({**row, "two_hop": chains, **energy, "crosstalk_out": 1 + more[row["seed"]]})
    return headline(grouped(rows, "rule", []))


def test_the_title_claims_only_what_the_table_holds():
    assert told() == FINDING
    for shape in SHAPES:
        assert told(shape, gap=(0.2, 0.0)) == QUESTION  # the interval holds 0
        assert told(shape, excess=(0.2, -0.1)) == QUESTION
        assert told(shape, pairs=1.0, gap=(0.0, 0.0), excess=(0.0, 0.0)) == FINDING
    assert told((8, 8), pairs=2.0, gap=(0.2, 0.0)) == QUESTION
    assert headline(grouped([x for x in table() if x["pairs"] == 1], "rule", [])) == QUESTION
