"""Values: means over bases, extremes over groups, onsets and majorities, found by hand."""

import math

import pandas as pd
import pytest

from loratheory.experiments.engine import QueryError, query, value

NAN = math.nan
ROWS = pd.DataFrame(
    [
        {"rule": rule, "c": c, "seed": float(seed), "chains": share, "misses": miss}
        for rule, c, seed, share, miss in [
            ("mean", 0.5, 0, 0.0, NAN),
            ("mean", 0.5, 1, 0.5, NAN),
            ("mean", 1.0, 0, 0.5, 0.25),
            ("mean", 1.0, 1, 0.5, NAN),
            ("sum, z = 2", 0.5, 0, 1.0, NAN),
            ("sum, z = 2", 0.5, 0, 0.0, NAN),
            ("sum, z = 2", 0.5, 1, 1.0, NAN),
            ("sum, z = 2", 1.0, 1, 1.0, NAN),
        ]
    ]
)


def found(text, rows=ROWS):
    """The middle of what a query finds."""
    return value(query(text), rows).middle


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: chains; rule=mean", 0.375),
        ("a: chains; rule=mean; c=1", 0.5),
        ("a: chains; rule=sum, z = 2", 0.75),  # bases weigh alike: .5 and 1
        ("a: chains; rule=mean|sum, z = 2; c=0.5", 0.5 * (1 / 3 + 0.75)),
        ("a: misses; c=1", 0.25),
        ("least a: chains by rule, c", 0.25),
        ("most a: chains by rule, c", 1.0),
        ("onset a: chains by c; rule=mean", 1.0),
        ("onset a: chains by c; rule=sum, z = 2", 0.5),
        ("majority a: chains; rule=mean", 0.625),
        ("count a: chains; rule=mean", 4),
        ("count a: misses", 1),
        ("chains; rule!=mean; c=1", 1.0),
        ("chains; rule=mean; c<1", 0.25),
        ("chains; rule=mean; c>=1", 0.5),
    ],
)
def test_numbers_by_hand(text, wanted):
    assert found(text) == pytest.approx(wanted)


def test_intervals_hold_the_mean_and_come_from_bases():
    one = value(query("a: chains; rule=mean; c=0.5"), ROWS)
    assert (one.low, one.middle, one.high) == (0.0, 0.25, 0.5)
    same = value(query("a: chains; rule=mean; c=1"), ROWS)
    assert same.low == same.middle == same.high == 0.5
    assert math.isnan(value(query("majority a: chains"), ROWS).low)


def test_exact_tables_have_no_interval():
    exact = pd.DataFrame([{"c": 0.5, "lead": 1.0}, {"c": 1.0, "lead": 2.0}])
    one = value(query("a: lead"), exact)
    assert one.middle == 1.5
    assert math.isnan(one.low)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: chains; rule=median", "no rule median there: choose among mean, sum"),
        ("a: chains; rule=mean; c=2", "choose among 0.5, 1"),
        ("a: accuracy", "no column accuracy: choose among rule"),
        ("a: chains; colour=red", "no column colour"),
        ("a: rule", "holds no number"),
        ("a: misses; c=0.5", "holds no number"),
        ("most a: chains by colour", "no column colour"),
        ("onset a: misses by c; c=1", "never reaches half"),
        ("a: chains; rule<2", "write = or != where there are words"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(text, why):
    with pytest.raises(QueryError, match=why):
        found(text)
