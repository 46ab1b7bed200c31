"""Queries: what the text writes is what is asked, and anything else is refused."""

import pytest

from loratheory.experiments.engine import Query, QueryError, query


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("gating: two_hop", Query("mean", "gating", "two_hop")),
        (
            "gating: two_hop; pairs=1|2",
            Query("mean", "gating", "two_hop", (), (("pairs", "=", ("1", "2")),)),
        ),
        (
            "gating: two_hop;\n  rule=block gates,   z = 2",
            Query("mean", "gating", "two_hop", (), (("rule", "=", ("block gates, z = 2",)),)),
        ),
        (
            "least gating: two_hop by facts, pairs",
            Query("least", "gating", "two_hop", ("facts", "pairs")),
        ),
        ("onset a: b by c", Query("onset", "a", "b", ("c",))),
        ("majority a: b", Query("majority", "a", "b")),
        ("count a: b", Query("count", "a", "b")),
        ("chains; rule=sum", Query("mean", "", "chains", (), (("rule", "=", ("sum",)),))),
        (
            "most chains by c; c <= 0.5; rule!=a|b",
            Query(
                "most", "", "chains", ("c",), (("c", "<=", ("0.5",)), ("rule", "!=", ("a", "b")))
            ),
        ),
    ],
)
def test_what_is_written_is_what_is_asked(text, wanted):
    assert query(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "gating:", "gating: two_hop; pairs", "least gating: two_hop", "two_hop by rule",
             "mean gating: two_hop by facts", "median gating: two_hop", "count two_hop by rule",
             "gating: two_hop by", "gating: two_hop; =1", "gating: two_hop; pairs="]
)  # fmt: skip
def test_other_forms_are_refused_with_the_right_one(text):
    with pytest.raises(QueryError, match="EXPERIMENT: COLUMN"):
        query(text)
