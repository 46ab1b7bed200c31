"""Routers on tiny transformers: prototypes from dense matrices, weights known by hand."""

from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
from found import mean, says, table_rows
from reused import cache as cache

from loratheory.experiments.reuse._deciders import deciders
from loratheory.experiments.routers import EXPERIMENT, Config, cell

TINY = Config(
    2,
    seeds=(101,),
    sets=1,
    facts=2,
    entities=64,
    spare=0,
    width=16,
    pretrained=3,
    trained=3,
    retained=4,
)
FIXED = {"base": 0.0, "sum": 1.0, "oracle placement": 1.0, "uniform": 0.25}


def test_every_router_stands_beside_its_controls(cache):  # noqa: ARG001 - the cache comes first
    rows = cell(TINY)
    names = list(dict.fromkeys(row["rule"] for row in rows))
    assert names == [*list(FIXED)[:3], *deciders(0.3), "best one", "best by read"]
    assert len(rows) == len(names)
    for row in rows:
        assert (row["pairs"], row["seed"]) == (2, 101)
        assert row["expected"] == pytest.approx((1 / 2 + (1 - 1 / 2) / 4) ** 2)
        assert 0 <= row["predicted"] <= row["circuit"] <= 1
        if row["rule"] in FIXED:
            want = FIXED[row["rule"]]
            assert (row["weight_1"], row["weight_2"]) == pytest.approx((want, want))
    best = {row["set"]: row["two_hop"] for row in rows if row["rule"] == "best by read"}
    for row in rows:
        if row["rule"] in ("oracle placement", "base", "best one"):
            assert row["two_hop"] <= best[row["set"]]


def test_predictions_are_made_from_the_weights_that_were_given(cache, monkeypatch):  # noqa: ARG001
    from loratheory.experiments.reuse import _forecast

    monkeypatch.setattr(
        _forecast.Forecast, "composed", lambda _, given: np.mean(given, axis=(0, 2)) @ [1, 10]
    )
    for row in cell(replace(TINY, pairs=1)):
        assert row["predicted"] == pytest.approx(row["weight_1"] + 10 * row["weight_2"])


def test_the_paper_profile_grows_the_shelf_on_eight_bases():
    cells = EXPERIMENT.profiles["paper"]
    assert {one.pairs for one in cells} == {1, 2, 4}
    for pairs in (1, 2, 4):
        seeds = [one.seeds for one in cells if one.pairs == pairs]
        np.testing.assert_array_equal(np.sort(np.ravel(seeds)), range(8))


def test_what_was_found_is_what_the_table_holds():
    name, sizes = "routers", (1, 2, 4)

    def each(rule, column="two_hop"):
        return [mean(table_rows(name, rule=rule, pairs=pairs), column) for pairs in sizes]

    sharing = ("uniform", "arrow", "arrow, peft", "subspace", "norm", "norm, soft", "norm, z")
    off = [
        abs(found - said)
        for rule in sharing
        for found, said in zip(each(rule), each(rule, "predicted"), strict=True)
    ]
    says(name, fmean(off), "over seven", *each("subspace"), *each("subspace", "predicted"))
    says(name, "top-1", *each("arrow"), *each("arrow", "expected"), *each("arrow, peft"))
    ceiling = [*each("best by read"), *each("oracle placement")]
    says(name, "hindsight", max(each("best one")), min(each("best by read")), max(ceiling))
    says(name, "the sum", *each("sum"), min(each("sum", "predicted")))
    says(name, "and gates", *each("gates"), *each("gates", "predicted"))
