"""The plain transformer: lines of the base, strips of rules, a title that must be earned."""

import pytest

from loratheory.figures import TableError
from loratheory.figures.plain_transformer import (
    COMPOSES,
    GATES,
    GROWN,
    LAYERS,
    NUMBERS,
    QUESTION,
    RULES,
    draw,
)

VALUES = ("two_hop", "hop_1", "hop_2", "predicted", "inside", *GROWN)


def value(column, where, rule, stage):
    """Another number for every place of the table."""
    number = VALUES.index(column) * 300 + ["base", *RULES].index(rule) * 30
    return (number + list(LAYERS).index(where) * 10 + stage / 250) / 4000


def table(stages=(250, 500)):
    return [
        {"layers": where, "rule": rule, "stage": stage, "seed": seed, "chance": 0.25}
        | {name: value(name, where, rule, stage) + 0.02 * seed for name in VALUES}
        for where in LAYERS
        for rule in ("base", *RULES)
        for stage in stages
        for seed in (0, 1)
    ]


def panels(rows):
    """The axes of the base, then one for every choice of layers."""
    figure = draw(rows)
    growth = next(axes for axes in figure.axes if axes.get_xscale() == "log")
    return growth, [axes for axes in figure.axes if axes is not growth]


def points(axes, label):
    """The middles of the marks with this label, from left to right and from top to bottom."""
    bars = [bar[0] for bar in axes.containers if bar.get_label() == label]
    lines = [line for line in axes.lines if line.get_label() == label]
    return [tuple(pair) for found in bars or lines for pair in zip(*found.get_data(), strict=True)]


def test_the_base_has_a_line_for_every_kind_of_question():
    growth, _ = panels(table())
    for name, (label, _, _) in GROWN.items():
        wanted = [(x, pytest.approx(value(name, "together", "base", x) + 0.01)) for x in (250, 500)]
        assert points(growth, label) == wanted


def test_every_rule_stands_on_its_line_after_the_last_stage():
    _, below = panels(table())
    for where, axes in zip(LAYERS, below, strict=True):
        measured = sorted((y, x) for x, y in points(axes, "measured"))
        facts = sorted((y, x) for x, y in points(axes, "edited facts"))
        predicted = {y: x for x, y in points(axes, "predicted before")}
        for place, rule in enumerate(RULES):
            here = {name: value(name, where, rule, 500) + 0.01 for name in VALUES}
            assert measured[place] == (place, pytest.approx(here["two_hop"]))
            assert facts[place][1] == pytest.approx((here["hop_1"] + here["hop_2"]) / 2)
            assert (place in predicted) == (rule not in GATES)
            if place in predicted:
                assert predicted[place] == pytest.approx(here["predicted"])


def test_a_line_says_how_many_chains_have_both_edits_in_force():
    _, below = panels(table())
    names = ("base", *RULES)
    for where, axes in zip(LAYERS, below, strict=True):
        (line,) = (x for x in axes.lines if x.get_label() == "both edits in force alone")
        wanted = sum(value("inside", where, rule, 500) + 0.01 for rule in names) / len(names)
        assert line.get_xdata() == pytest.approx([wanted] * 2)


@pytest.mark.parametrize("column", [*NUMBERS, *GROWN, "layers", "rule"])
def test_each_needed_column_is_missed(column):
    rows = [{name: x for name, x in row.items() if name != column} for row in table()]
    with pytest.raises(TableError, match=f"no column {column}"):
        draw(rows)


def test_a_rule_that_is_missing_is_named():
    rows = [row for row in table() if (row["layers"], row["rule"]) != ("own", "mean")]
    with pytest.raises(TableError, match="has mean in column rule"):
        draw(rows)


def title(where="", rule="", column="two_hop", told=()):
    """The title if the base composes and edits do in their own layers only; one place differs."""
    rows = []
    for row in table():
        right = float((row["layers"], row["rule"]) == ("own", "oracle placement"))
        row |= {"two_hop": right, "held_out": 1.0}
        if (row["layers"], row["rule"]) == (where, rule):
            row[column] = told[row["seed"]]
        rows.append(row)
    return draw(rows).get_suptitle()


def test_the_title_claims_only_what_the_table_holds():
    assert title() == COMPOSES
    assert title("each", "sum", told=(1.0, 1.0)) == COMPOSES  # each edit is in its layer too
    assert (
        title("own", "oracle placement", told=(1.0, 0.2)) == QUESTION
    )  # the interval holds chance
    assert title("own", "reversed placement", told=(0.0, 0.4)) == QUESTION
    assert title("together", "sum", told=(0.0, 0.4)) == QUESTION
    assert title("own", "base", "held_out", (0.0, 1.0)) == QUESTION
