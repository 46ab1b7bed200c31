"""Queries: what the text writes is what is asked, and anything else is refused."""

import pytest

from loratheory.paper import Query, QueryError, query


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("cure: chains", Query("mean", "cure", "chains")),
        ("cure: chains; pairs=1|2", Query("mean", "cure", "chains", (), (("pairs", ("1", "2")),))),
        (
            "cure: chains;\n  rule=block gates,   z = 2",
            Query("mean", "cure", "chains", (), (("rule", ("block gates, z = 2",)),)),
        ),
        (
            "least cure: chains by facts, pairs",
            Query("least", "cure", "chains", ("facts", "pairs")),
        ),
        ("onset a: b by c", Query("onset", "a", "b", ("c",))),
        ("majority a: b", Query("majority", "a", "b")),
    ],
)
def test_what_is_written_is_what_is_asked(text, wanted):
    assert query(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "cure", "cure: chains; pairs", "least cure: chains", "mean cure: chains by facts",
             "median cure: chains", "cure: chains by", "cure: chains; =1", "cure: chains; pairs="]
)  # fmt: skip
def test_other_forms_are_refused_with_the_right_one(text):
    with pytest.raises(QueryError, match="EXPERIMENT: COLUMN"):
        query(text)
