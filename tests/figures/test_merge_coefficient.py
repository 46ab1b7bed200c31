"""The phase diagram: what is drawn is what the table says, whichever rows come first."""

import pytest

from loratheory.figures import TableError, rendered
from loratheory.figures.merge_coefficient import NEEDED, draw


def table():
    """Two bases, three coverages, four coefficients; case B beside it."""
    rows = []
    for case in ("overwrite both", "overwrite"):
        for coverage in (0.5, 0.0, 0.1):
            for seed in (0, 1):
                for c in (0.0, 0.5, 1.0, 1.5):
                    on = float(c >= 1 and coverage > 0 and case == "overwrite")
                    rows.append(
                        {"case": case, "coverage": coverage, "seed": seed, "coefficient": c}
                    )
                    rows[-1] |= {
                        "two_hop": on * (1 if seed else 0.4),
                        "oracle_placement": on,
                        "predicted": float(c >= 0.5) * 0.6 * (coverage > 0),
                        "oracle_curved": on,
                        "facts": float(c >= 0.5) * (coverage > 0),
                        "held_out": float(coverage > 0),
                        "predicted_right": 0.75,
                        "oracle_curved_right": 1.0,
                    }
    return rows


def test_cells_are_means_over_the_bases_of_case_a():
    axes = draw(table()).axes
    left, right = (one.collections[0].get_array().reshape(3, 4).tolist() for one in axes[:2])
    assert left == [pytest.approx(x) for x in ([0] * 4, [0, 0, 0.7, 0.7], [0, 0, 0.7, 0.7])]
    assert right == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["0", "0.1", "0.5"]


def test_the_border_stands_before_the_first_cell_predicted_for_half():
    axes = draw(table()).axes
    for one, place in ((axes[0], 0.25), (axes[1], 0.75)):
        borders = {tuple(map(tuple, line.get_xydata().tolist())) for line in one.lines}
        for rung in (1, 2):
            assert ((place, rung), (place, rung + 1)) in borders
        assert not any(end == (place, 0) for ends in borders for end in ends)


def test_curves_leave_out_bases_that_saw_no_chain():
    axes = draw(table()).axes
    facts, measured, predicted = (line.get_ydata() for line in axes[2].lines)
    assert list(facts) == [0, 1, 1, 1]
    assert list(measured) == pytest.approx([0, 0, 0.7, 0.7])
    assert list(predicted) == pytest.approx([0, 0.6, 0.6, 0.6])


def test_rival_predictors_are_counted():
    axes = draw(table()).axes
    mean = 2 / 3 * 0.35
    base = (1 + 2 * 0.35) / 3
    told = f"theory 75%, majority {1 - mean:.0%}, base alone {base:.0%}"
    assert told in axes[2].get_title(loc="left")
    assert "theory 100%" in axes[3].get_title(loc="left")


def test_the_same_table_gives_the_same_bytes():
    assert rendered(draw(table()), "png") == rendered(draw(table()), "png")


@pytest.mark.parametrize("column", NEEDED)
def test_each_needed_column_is_missed(column):
    rows = [{name: x for name, x in row.items() if name != column} for row in table()]
    with pytest.raises(TableError, match=f"no column {column}"):
        draw(rows)
