"""Tables: what goes in comes back, words as words; what would not is refused in plain words."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratheory.experiments import TableError, csv_text, table
from loratheory.experiments.engine import unpacked
from loratheory.experiments.engine._table import packed


def written(folder, text):
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_numbers_keep_nine_decimals_and_zero_has_no_sign():
    text = csv_text([{"x": 1 / 3, "y": -1e-17}, {"x": 12, "y": 0.5}])
    assert text == "x,y\n0.333333333,0\n12,0.5\n"


def test_cells_are_numbers_or_words_by_column(tmp_path):
    rows = table(written(tmp_path, "a,b,rule\n1,-2.5,mean\n3e2,0,sum of 2\n"))
    assert rows.to_dict("records") == [
        {"a": 1.0, "b": -2.5, "rule": "mean"},
        {"a": 300.0, "b": 0.0, "rule": "sum of 2"},
    ]


words = st.text(st.characters(codec="ascii", categories=("L", "P")), min_size=1).filter(
    lambda text: text.lower().strip("+-") not in ("nan", "inf", "infinity")
)
numbers = st.integers(-(10**6), 10**6) | st.floats(-1e5, 1e5)


@given(st.lists(st.tuples(words, numbers), min_size=1, max_size=5))
def test_what_goes_in_comes_back(tmp_path_factory, cells):
    rows = [{"rule": word, "value": number} for word, number in cells]
    back = table(written(tmp_path_factory.mktemp("t"), csv_text(rows)))
    assert back["rule"].tolist() == [word for word, _ in cells]
    assert back["value"].tolist() == pytest.approx([n for _, n in cells], abs=1e-9)
    assert next(csv.reader(io.StringIO(csv_text(rows)))) == ["rule", "value"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "at least one row"),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], "row 2 has columns b, a; row 1 has a, b"),
        ([{"a": 1}, {"a": "x"}], "column a: all cells must be numbers"),
        ([{"a": "x"}, {"a": "2"}], "column a: all cells must be numbers"),
        ([{"a": "nan"}], "column a: all cells must be numbers"),
        ([{"a": "x"}, {"a": ""}], "column a: all cells must be numbers"),
    ],
)
def test_rows_that_would_not_come_back_are_refused(rows, message):
    with pytest.raises(TableError, match=message):
        csv_text(rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds 0 lines"),
        ("a,b\n", "holds 1 lines"),
        ("a,b\n1,2\n3\n", "line 3: 1 cells under 2 columns"),
        ("a,b\n1,2,3\n", "line 2: 3 cells under 2 columns"),
        ("a,b\n1,2\n1,x\n", "line 3, column b: 'x' is not a number"),
        ("a,b\n1,x\n1,2\n", "line 2, column b: 'x' is not a number"),
        ("a,b\n1,\n", "line 2, column b: '' is empty"),
        ("a,b\n1,x\n1,\n", "line 3, column b: '' is empty"),
    ],
)
def test_a_bad_table_is_refused_by_place(tmp_path, text, message):
    with pytest.raises(TableError, match=message):
        table(written(tmp_path, text))


def test_a_missing_file_is_named_with_the_remedy(tmp_path):
    with pytest.raises(TableError, match=r"there is no table .*nope.csv: name one"):
        table(tmp_path / "nope.csv")


def test_large_tables_pack_into_the_same_bytes_and_come_back(tmp_path, monkeypatch):
    text = csv_text([{"row": f"row {n}", "third": n / 3} for n in range(5000)])
    name, data = packed(text)
    assert (name, len(data) < len(text) / 2) == ("table.csv.gz", True)
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert packed(text) == (name, data)
    small = csv_text([{"third": 1 / 3}])
    assert packed(small) == ("table.csv", small.encode())
    (tmp_path / name).write_bytes(data)
    assert unpacked(tmp_path / "table.csv") == unpacked(tmp_path / name) == text.encode()
    assert table(tmp_path / "table.csv").equals(table(tmp_path / name))
    assert unpacked(tmp_path / "other.csv") is None
