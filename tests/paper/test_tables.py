"""Queries: by hand, by pandas on the stored tables, and refused where no number is meant."""

import gzip
import json
import math

import pandas as pd
import pytest

from paper.numbers import fill_queries, latex_numbers, sections
from paper.tables import QueryError, decimal, look_up, lookup, percent, read_table

ROWS = """part,seed,rule,share,right,word
one,0,sum,0.5,1,none
one,0,sum,1,0,none
one,1,sum,0.5,0,none
one,1,mean,0.5,1,none
two,0,,,,other
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "table.csv.gz").write_bytes(gzip.compress(ROWS.encode()))
    about = {"part": "one", "seeds": [0, 1], "seconds": 7200, "cells": [{"rows": 4}]}
    text = json.dumps({"parts": [about]})
    (tmp_path / "toy" / "provenance.json").write_text(text)
    return tmp_path


def of(query, folder):
    return look_up(query, folder=folder).middle


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("toy/one: right", (0.5 + 0.5) / 2),  # the mean of the bases' means
        ("toy/one: right; rule=sum", (0.5 + 0.0) / 2),
        ("toy/one: right; rule!=sum", 1.0),
        ("toy/one: right; share>=1", 0.0),
        ("toy/one: right; share=0.5|1; rule=sum", 0.25),
        ("count toy/one: right", 4),
        ("most toy/one: right by rule", 1.0),
        ("least toy/one: right by rule", 0.25),
        ("median toy/one: right; rule=sum", 0.25),
        ("spread toy/one: right by rule", 0.75 / 2**0.5),  # of .25 and 1
        ("onset toy/one: right by share; rule=mean", 0.5),
        ("majority toy/one: right; rule=sum", 0.75),
    ],
)
def test_queries_by_hand(folder, query, wanted):
    assert of(query, folder) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("toy/one right", "is not a query"),
        ("none: right", "no table of 'none': choose toy"),
        ("toy/three: right", "no part 'three': choose one, two"),
        ("toy/one: wrong", "no column wrong"),
        ("toy/one: right; rule=arrow", "no rule arrow there: choose among mean, sum"),
        ("toy/one: word", "holds no number"),
        ("most toy/one: right", "need `by`"),
        ("spread toy/one: right by rule; rule=mean", "a spread needs two"),
        ("onset toy/one: right by share; rule=sum; share=1", "never reaches half"),
    ],
)
def test_what_asks_for_no_number_is_refused(folder, query, told):
    with pytest.raises(QueryError, match=told.replace("?", r"\?")):
        of(query, folder)


def test_a_part_has_its_own_columns(folder):
    assert list(read_table("toy/two", folder)) == ["seed", "word"]
    assert len(read_table("toy", folder)) == 5


def test_a_difference_is_of_the_same_bases(folder):
    one, two = (f"toy/one: right; share=0.5; rule={rule}" for rule in ("sum", "mean"))
    with pytest.raises(QueryError, match="not on the same bases"):
        look_up(f"{one} minus {two}", folder=folder)
    rows = "seed,x,y\n0,,0\n1,1,1\n2,0,\n"
    (folder / "toy" / "table.csv.gz").write_bytes(gzip.compress(rows.encode()))
    with pytest.raises(QueryError, match="not on the same bases"):
        look_up("toy: x minus toy: y", folder=folder)
    with pytest.raises(QueryError, match="an interval needs one query"):
        fill_queries("{within toy: x minus toy: x}", "toy", folder)


def test_a_lookup_leaves_the_base_out(folder):
    one = "toy/one: right; share=0.5; rule=sum"
    same = look_up(f"{one} minus {one}", folder=folder)
    assert (same.middle, same.low, same.high) == (0, 0, 0)
    rows = pd.DataFrame({"seed": [0, 1, 2], "x": [1.0, 2.0, 6.0], "k": ["a", "a", "b"]})
    found = lookup(rows, "x", ["k"]).tolist()
    assert found[:2] == [2.0, 1.0]
    assert math.isnan(found[2])


@pytest.mark.parametrize(
    ("column", "where"),
    [("two_hop_vocabulary", {"rule": "sum", "first": "two stand-ins"}), ("drift", {"rule": "sum"})],
)
def test_a_mean_over_bases_by_a_second_road(column, where):
    rows = read_table("lm_training/conditions")
    for key, wanted in where.items():
        rows = rows[rows[key] == wanted]
    means = [group[column].mean() for _, group in rows.groupby("seed")]
    query = "; ".join(
        [f"lm_training/conditions: {column}", *(f"{k}={v}" for k, v in where.items())]
    )
    found = look_up(query)
    assert found.middle == pytest.approx(sum(means) / len(means))
    assert found.low < found.middle < found.high


def test_text_is_filled_by_its_own_table(folder):
    page = "# A page\n\nFirst.\n\n## one\n\n[s]: rule=sum\n\nIt has {right; s} of {count right}."
    found = sections(page)
    assert list(found) == ["", "one"]
    filled = fill_queries(found["one"], "toy/one", folder)
    assert filled == "It has 0.25 of 4."
    assert fill_queries("{percent right; rule=sum}", "toy/one", folder) == "25%"
    assert fill_queries("{right minus right; rule=sum}", "toy/one", folder) == "0.25"
    assert fill_queries("{points right minus right; rule=sum}", "toy/one", folder) == "25"
    assert fill_queries("{number right; rule=sum}", "toy/one", folder) == "0.25"
    within = fill_queries("{within right; rule=sum}", "toy/one", folder)
    assert within.startswith("25% [")
    with pytest.raises(QueryError, match="toy/one, "):
        fill_queries("{wrong}", "toy/one", folder)


def test_latex_numbers_by_hand(folder):
    """A row of a table has the queries of its calls. The mean .625 and other halves go up."""
    source = "\\newcommand{\\s}{rule=sum}\n"
    source += "\\newcommand{\\row}[2]{%\n#1 & \\measured{toy/one: #2; \\s}\n}"
    source += r"\row{a}{right} \row{b}{share} \within{toy/one: right}"
    source += r" \counted{bases: toy/one} \constant{two hops} % \measured{x"
    lines = latex_numbers(source, folder).splitlines()
    for column, found in (("right", r"\found{25}{0.25}"), ("share", r"\found{63}{0.63}")):
        assert rf"\generated{{measured}}{{toy/one: {column}; rule=sum}}{{{found}}}" in lines
    assert (percent(0.325), decimal(-0.125), decimal(10)) == ("33", "-0.12", "10.00")
    assert r"\generated{constant}{two hops}{0.618}" in lines
    assert len(lines) == 5
    with pytest.raises(QueryError, match="no constant"):
        latex_numbers(r"\constant{five hops}", folder)
