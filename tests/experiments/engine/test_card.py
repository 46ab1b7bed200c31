"""Cards: text whose numbers are queries to the table beside it."""

import pytest

from loratheory.experiments import TableError, csv_text, finding
from loratheory.experiments.engine import QueryError

ROWS = [
    {"rule": rule, "pairs": pairs, "seed": seed, "two_hop": accuracy, "gap": accuracy - 0.9}
    for rule, pairs, seed, accuracy in [
        ("mean", 1, 0, 0.25),
        ("mean", 1, 1, 0.5),
        ("mean", 4, 0, 0.0),
        ("sum, z = 2", 1, 0, 1.0),
        ("sum, z = 2", 4, 0, 0.5),
    ]
]


@pytest.fixture
def results(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        rows = ROWS if name == "one" else [{"two_hop": 0.125}]
        (tmp_path / name / "table.csv").write_text(csv_text(rows))
    return tmp_path


def card(results, text):
    (results / "one" / "card.md").write_text(text, encoding="utf-8")
    return finding(results / "one")


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("two_hop; rule=mean; pairs=1", ".38"),
        ("two_hop; rule=sum, z = 2; pairs=1", "1.00"),
        ("gap; rule=mean; pairs=4", "-.90"),
        ("percent two_hop; rule=sum, z = 2", "75 %"),
        ("percent majority two_hop; rule=mean; pairs=1", "62 %"),
        ("most two_hop by rule; pairs=4", ".50"),
        ("count two_hop; rule=mean", "3"),
        ("two_hop; rule=sum, z = 2; pairs=1 minus two_hop; rule=mean; pairs=1", ".62"),
        ("two_hop; rule=mean; pairs=1 over two_hop; rule=sum, z = 2; pairs=4", ".75"),
        ("other: two_hop", ".12"),
        ("one: two_hop;\n  rule=mean; pairs=4", ".00"),
        ("two_hop; few; rule=mean", ".38"),
    ],
)
def test_a_query_in_braces_is_shown_as_its_number(results, asked, shown):
    text = f"[few]: pairs=1\n\nIt answers {{{asked}}}\nof them.\n\nNo more."
    assert card(results, text) == f"It answers {shown} of them.\n\nNo more."


def test_without_a_card_nothing_was_found(results):
    assert finding(results / "one") == finding(results / "nowhere") == ""


@pytest.mark.parametrize(
    ("asked", "error", "why"),
    [
        ("accuracy", QueryError, r"one.card.md, \{accuracy\}: the table has no column accuracy"),
        ("two_hop; rule=median", QueryError, "card.md.*no rule median there"),
        ("two_hop; many", QueryError, "asks for no number"),
        ("two hop", QueryError, "asks for no number"),
        ("third: two_hop", TableError, "there is no table .*third"),
    ],
)
def test_what_a_table_does_not_have_is_refused_with_the_card(results, asked, error, why):
    with pytest.raises(error, match=why):
        card(results, f"It answers {{{asked}}}.")
