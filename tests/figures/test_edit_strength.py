"""Edit strength's figure: margins over the predicted window, then what both rules keep."""

import math

import pytest

from loratheory.figures import TableError
from loratheory.figures.edit_strength import FACTS, FINDING, NEEDED, QUESTION, draw, headline

TAUGHT = (30.0, 240.0, 960.0)
MARKS = ("facts", "two_hop", "oracle_placement", "other_two_hop", "predicted", "predicted_facts")
CONTROLS = ("alone", "exchanged", "random")


def value(column, rule, taught):
    number = (*MARKS, *CONTROLS).index(column)
    return number / 12 + (rule == "sum") / 30 + math.log(taught) / 100


def table():
    rows = []
    for rule in ("sum", "mean"):
        for taught in reversed(TAUGHT):
            for seed in (0, 1):
                row = {"trained": taught, "rule": rule, "seed": seed, "chance": 1 / 3}
                row |= {x: value(x, rule, taught) + 0.01 * seed for x in (*MARKS, *CONTROLS)}
                row |= {"margin_1": 0.5 + taught / 1000, "margin_2": 0.9 + taught / 1000}
                rows.append({**row, "curvature": 0.4 if rule == "mean" else 0.0})
    return rows


@pytest.fixture(scope="module")
def axes():
    return draw(table()).axes


def points(axes):
    return {bar.get_label(): bar[0] for bar in axes.containers}


def test_margins_lie_over_the_window_of_two(axes):
    low, high = sorted(line.get_ydata()[0] for line in axes[0].lines[:2])
    assert (low, high) == pytest.approx((1, 2 * math.sqrt(5) - 3))
    found = points(axes[0])
    alone = [0.7 + taught / 1000 for taught in TAUGHT]
    assert found["margin alone"].get_ydata() == pytest.approx(alone)
    acting = found["margin as it acts at half strength"].get_ydata()
    assert acting == pytest.approx([x + 0.8 for x in alone])


def test_points_and_lines_are_means_over_bases_of_their_rule(axes):
    for one, rule in zip(axes[1:], ("mean", "sum"), strict=True):
        found = points(one) | {line.get_label(): line for line in one.lines}
        for label, name in (
            ("single facts, measured", "facts"),
            ("chains, measured", "two_hop"),
            ("chains, each edit in its own pass", "oracle_placement"),
            ("unedited chains, measured", "other_two_hop"),
            ("chains, predicted", "predicted"),
            ("single facts, predicted", "predicted_facts"),
            ("best control", "random"),
        ):
            wanted = [value(name, rule, taught) + 0.005 for taught in TAUGHT]
            assert found[label].get_ydata() == pytest.approx(wanted), label
        assert found["one answer always"].get_ydata() == pytest.approx([1 / 3] * 2)
        assert rule in one.get_title(loc="left")


def test_predictions_have_the_colour_of_what_they_predict(axes):
    found = points(axes[1]) | {line.get_label(): line for line in axes[1].lines}
    for name in ("single facts", "chains"):
        colours = {found[f"{name}, {kind}"].get_color() for kind in ("measured", "predicted")}
        assert len(colours) == 1
        assert (FACTS in colours) == (name == "single facts")


@pytest.mark.parametrize("column", [*NEEDED, "rule"])
def test_each_needed_column_is_missed(column):
    rows = [{name: x for name, x in row.items() if name != column} for row in table()]
    with pytest.raises(TableError, match=f"no column {column}"):
        draw(rows)


def test_a_table_without_a_rule_is_refused():
    with pytest.raises(TableError, match="has sum in column rule"):
        draw([row for row in table() if row["rule"] == "mean"])


def told(trained=240.0, **changes):
    """The title if facts survive that should not, and chains do not; and one length differs."""
    plain = {"facts": 0.9, "two_hop": 0.3, "predicted_facts": 0.0, "margin_1": 0.7, "margin_2": 0.9}
    rows = []
    for row in table():
        here = changes if row["trained"] == trained else {}
        rows.append({**row, **plain, **{name: pair[row["seed"]] for name, pair in here.items()}})
    return headline(rows)


def test_the_title_claims_only_what_the_table_holds():
    assert told() == FINDING
    for taught in TAUGHT:
        assert told(taught, facts=(0.9, 0.0)) == QUESTION
    assert told(predicted_facts=(1.0, 1.0)) == QUESTION
    assert told(two_hop=(0.9, 0.3)) == QUESTION
    assert told(margin_1=(0.7, 1.3)) == QUESTION
    assert told(margin_1=(0.7, 1.0), facts=(0.4, 0.6)) == FINDING
    apart = {"facts": (0.9, 0.3), "two_hop": (0.0, 0.2)}
    assert told(**apart, predicted_facts=(0.5, 0.5)) == QUESTION
    assert told(facts=(0.9, 0.3), two_hop=(0.0, 0.5)) == QUESTION
