"""Columns of a table: numbers or words where a figure needs them, refused in plain words."""

import pytest

from loratheory.figures import TableError, columns
from loratheory.figures._table import grouped, words

ROWS = [{"a": 1.0, "b": -2.5, "rule": "mean"}, {"a": 300.0, "b": 0.0, "rule": "sum"}]


def test_columns_come_in_the_order_they_are_asked_for():
    assert columns(ROWS, "b", "a") == ([-2.5, 0.0], [1.0, 300.0])


def test_a_missing_column_is_named_beside_what_is_there():
    with pytest.raises(TableError, match=r"row 2 .* no column b; .* needs a, b and was given a, c"):
        columns([{"a": 1.0, "b": 2.0}, {"a": 1.0, "c": 2.0}], "a", "b")


def test_a_word_is_no_number():
    with pytest.raises(TableError, match="row 1 of the table has 'mean' in column rule"):
        columns(ROWS, "a", "rule")


def test_words_are_taken_and_numbers_refused_where_words_are_needed():
    assert words(ROWS, "rule") == (["mean", "sum"],)
    with pytest.raises(TableError, match=r"300.0 in column a; .* needs a word there"):
        words(ROWS[1:], "rule", "a")
    with pytest.raises(TableError, match="row 1 of the table has no column router"):
        words(ROWS, "rule", "router")


def test_groups_hold_every_row_once_and_in_order():
    more = [*ROWS, {"rule": "mean", "a": 7.0}]
    assert grouped(more, "rule", ["sum"]) == {"mean": [ROWS[0], more[2]], "sum": [ROWS[1]]}


def test_a_needed_word_is_missed():
    with pytest.raises(TableError, match="no row of the table has ties in column rule, only mean"):
        grouped(ROWS, "rule", ["mean", "ties"])
    with pytest.raises(TableError, match="no column place"):
        grouped(ROWS, "place", [])
