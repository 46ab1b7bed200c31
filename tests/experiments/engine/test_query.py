"""Queries: what they ask for, numbers by hand, cards whose numbers are queries, and refusals."""

import math

import pandas as pd
import pytest

from loratheory.experiments import TableError, csv_text, finding
from loratheory.experiments.engine import Query, QueryError, difference, query, value

NAN = math.nan
RULES = [  # rule, coefficient, seed, accuracy, misses
    ("mean", 0.5, 0, 0.0, NAN),
    ("mean", 0.5, 1, 0.5, NAN),
    ("mean", 1.0, 0, 0.5, 0.25),
    ("mean", 1.0, 1, 0.5, NAN),
    ("sum, z = 2", 0.5, 0, 1.0, NAN),
    ("sum, z = 2", 0.5, 0, 0.0, NAN),
    ("sum, z = 2", 0.5, 1, 1.0, NAN),
    ("sum, z = 2", 1.0, 1, 1.0, NAN),
]
ROWS = [dict(zip(("rule", "c", "seed", "two_hop", "misses"), row, strict=True)) for row in RULES]
TABLE = pd.DataFrame(ROWS)

READ = {
    "gating: two_hop": Query("mean", "gating", "two_hop"),
    "gating: two_hop;\n  rule=block gates,   z = 2; c <= 1|2": Query(
        *("mean", "gating", "two_hop", ()),
        (("rule", "=", ("block gates, z = 2",)), ("c", "<=", ("1", "2"))),
    ),
    "least two_hop by facts, pairs; rule!=a|b": Query(
        "least", "", "two_hop", ("facts", "pairs"), (("rule", "!=", ("a", "b")),)
    ),
    "majority a: b": Query("majority", "a", "b"),
}


@pytest.mark.parametrize("text", READ)
def test_what_is_written_is_what_is_asked(text):
    assert query(text) == READ[text]


@pytest.mark.parametrize(
    "text", ["", "gating:", "gating: two_hop; pairs", "least gating: two_hop", "two_hop by rule",
             "mean gating: two_hop by facts", "lookup two_hop", "mode gating: two_hop",
             "median two_hop by rule", "count two_hop by rule", "gating: two_hop by",
             "gating: two_hop; =1", "gating: two_hop; pairs="]
)  # fmt: skip
def test_other_forms_are_refused_with_the_right_one(text):
    with pytest.raises(QueryError, match="EXPERIMENT: COLUMN"):
        query(text)


NUMBERS = {
    "two_hop; rule=mean": 0.375,
    "a: two_hop; rule=mean; c=1": 0.5,
    "two_hop; rule=sum, z = 2": 0.75,  # bases weigh alike: .5 and 1
    "two_hop; rule=mean|sum, z = 2; c=0.5": 0.5 * (1 / 3 + 0.75),
    "misses; c=1": 0.25,
    "least two_hop by rule, c": 0.25,
    "most two_hop by rule, c": 1.0,
    "onset two_hop by c; rule=mean": 1.0,
    "onset two_hop by c; rule=sum, z = 2": 0.5,
    "majority two_hop; rule=mean": 0.625,
    "count two_hop; rule=mean": 4,
    "count misses": 1,
    "lookup two_hop by c; rule=mean": 0.375,  # bases foretell each other: 0, .5 and .5, .5
    "brier two_hop by c; rule=mean": 0.3125,
    "lookup two_hop by rule; c=0.5": 0.5,  # sum, z = 2: both are foretold, .5 and 1
    "two_hop; rule!=mean; c=1": 1.0,
    "two_hop; rule=mean; c<1": 0.25,
    "two_hop; rule=mean; c>=1": 0.5,
}


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_by_hand(text):
    assert value(query(text), TABLE).middle == pytest.approx(NUMBERS[text])


def test_intervals_hold_the_mean_and_come_from_bases():
    one = value(query("two_hop; rule=mean; c=0.5"), TABLE)
    assert (one.low, one.middle, one.high) == (0.0, 0.25, 0.5)
    same = value(query("two_hop; rule=mean; c=1"), TABLE)
    assert same.low == same.middle == same.high == 0.5
    exact = value(query("two_hop; rule=mean"), TABLE.drop(columns="seed"))
    assert exact.middle == 0.375
    assert math.isnan(exact.low)
    assert math.isnan(value(query("majority two_hop"), TABLE).low)


def test_a_median_is_of_the_bases_and_one_of_them_does_not_move_it():
    leaks = [(0, 1.0), (0, 3.0), (1, 1.0), (2, 4.0), (3, 90.0), (4, 0.5)]
    rows = pd.DataFrame(leaks, columns=["seed", "leak"])
    found = value(query("median leak"), rows)
    assert (found.low, found.middle, found.high) == (0.5, 2.0, 90.0)  # of .5, 1, 2, 4 and 90
    assert value(query("median leak; seed<4"), rows).middle == 3.0
    many = value(query("median leak"), pd.DataFrame({"seed": range(21), "leak": range(21)}))
    assert 3 < many.low < many.middle == 10 < many.high < 17  # the ends of all are 0 and 20
    with pytest.raises(QueryError, match="no column seed"):
        value(query("median leak"), rows.drop(columns="seed"))
    with pytest.raises(QueryError, match="of two means"):
        difference(query("median leak"), query("leak"), rows)


def test_a_difference_has_the_interval_of_paired_differences():
    one, two = query("two_hop; rule=sum, z = 2; c=0.5"), query("two_hop; rule=mean; c=0.5")
    found = difference(one, two, TABLE)
    assert (found.low, found.middle, found.high) == (0.5, 0.5, 0.5)  # on either base
    with pytest.raises(QueryError, match="not on the same bases"):
        difference(query("two_hop; rule=sum, z = 2; c=1"), two, TABLE)
    with pytest.raises(QueryError, match="of two means"):
        difference(query("majority two_hop"), two, TABLE)


@pytest.fixture
def results(tmp_path):
    rows = {"one": [{**row, "misses": row["two_hop"] - 0.9} for row in ROWS]}
    for name, table in {**rows, "other": [{"two_hop": 0.125}]}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "table.csv").write_text(csv_text(table))
    return tmp_path


def card(results, text):
    (results / "one" / "card.md").write_text(text, encoding="utf-8")
    return finding(results / "one")


SHOWN = {
    "two_hop; rule=mean; c=0.5": ".25",
    "misses; rule=mean; c=0.5": "-.65",
    "percent two_hop; rule=sum, z = 2": "75 %",
    "percent majority two_hop; rule=mean": "62 %",
    "count two_hop; rule=mean": "4",
    "two_hop; rule=sum, z = 2 minus two_hop; rule=mean": ".38",
    "two_hop; rule=mean over two_hop; rule=sum, z = 2": ".50",
    "other: two_hop": ".12",
    "one: two_hop;\n  rule=sum, z = 2; c=1": "1.00",
    "two_hop; few; rule=mean": ".25",
}


@pytest.mark.parametrize("asked", SHOWN)
def test_a_query_in_braces_is_shown_as_its_number(results, asked):
    text = f"[few]: c=0.5\n\nIt answers {{{asked}}}\nof them.\n\nNo more."
    assert card(results, text) == f"It answers {SHOWN[asked]} of them.\n\nNo more."


def test_without_a_card_nothing_was_found(results):
    assert finding(results / "one") == finding(results / "nowhere") == ""


REFUSED = {
    "two_hop; rule=median": "no rule median there: choose among mean, sum",
    "two_hop; rule=mean; c=2": "choose among 0.5, 1",
    "accuracy": "no column accuracy: choose among rule",
    "two_hop; colour=red": "no column colour",
    "rule": "holds no number",
    "most two_hop by colour": "no column colour",
    "lookup two_hop by rule; seed=0": "one base in each group",
    "onset misses by c; c=1": "never reaches half",
    "two_hop; rule<2": "write = or != where there are words",
    "two_hop; many": "asks for no number",
    "two hop": "asks for no number",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_there_is_refused_with_what_is_and_the_card(results, text):
    with pytest.raises(QueryError, match=REFUSED[text]):
        value(query(text), TABLE)
    with pytest.raises(QueryError, match=f"card.md.*{REFUSED[text]}"):
        card(results, f"It answers {{{text}}}.")


def test_no_numbers_and_no_table_are_refused(results):
    with pytest.raises(QueryError, match="holds no number"):
        value(query("misses; c=0.5"), TABLE)
    with pytest.raises(TableError, match=r"there is no table .*third"):
        card(results, "It answers {third: two_hop}.")
