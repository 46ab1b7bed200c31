"""Tables: read as numbers, refused in plain words."""

import pytest

from loratheory.figures import TableError, columns, table

MUTANTS = [
    ("start=2", "start=1"),
    ("len(lines) < 2", "len(lines) < 1"),
    ("len(cells) != len(header)", "len(cells) < len(header)"),
    ("if name not in row", "if name in row"),
]


def written(folder, text):
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_cells_are_numbers_by_column(tmp_path):
    rows = table(written(tmp_path, "a,b\n1,-2.5\n3e2,0\n"))
    assert rows == [{"a": 1.0, "b": -2.5}, {"a": 300.0, "b": 0.0}]
    assert columns(rows, "b", "a") == ([-2.5, 0.0], [1.0, 300.0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds 0 lines"),
        ("a,b\n", "holds 1 lines"),
        ("a,b\n1,2\n3\n", "line 3: 1 cells under 2 columns"),
        ("a,b\n1,2,3\n", "line 2: 3 cells under 2 columns"),
        ("a,b\n1,x\n", "line 2, column b: 'x' is not a number"),
        ("a,b\n1,\n", "line 2, column b: '' is not a number"),
    ],
)
def test_a_bad_table_is_refused_by_place(tmp_path, text, message):
    with pytest.raises(TableError, match=message):
        table(written(tmp_path, text))


def test_a_missing_file_is_named_with_the_remedy(tmp_path):
    with pytest.raises(TableError, match=r"there is no table .*nope.csv: .*run this there"):
        table(tmp_path / "nope.csv")


def test_a_missing_column_is_named_beside_what_is_there():
    with pytest.raises(TableError, match=r"row 2 .* no column b; .* needs a, b and was given a, c"):
        columns([{"a": 1.0, "b": 2.0}, {"a": 1.0, "c": 2.0}], "a", "b")
