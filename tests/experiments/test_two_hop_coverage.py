"""Reuse on tiny transformers: every rule beside its controls, predictions within their limits."""

import numpy as np
import pytest
import torch
from found import mean, says, table_rows
from reused import cache as cache

from loratheory.experiments.two_hop_coverage import (
    COVERAGE,
    EXPERIMENT,
    FAMILIARITY,
    Config,
    _sum,
    cell,
)
from loratheory.toy.transformer import Lora, Site

TINY = Config(
    "half",
    seeds=(101,),
    facts=2,
    spare=4,
    entities=64,
    width=16,
    pretrained=3,
    trained=3,
    retained=4,
)
WITHOUT = ["base", "hop 1 alone", "hop 2 alone", "noise", "shuffled"]
REUSE = ["mean", "sum", "ties", "dare", "knots", "arrow", "gates", "oracle placement"]


@pytest.fixture(scope="module")
def rows(cache):  # noqa: ARG001 - the cache comes first
    return cell(TINY)


def of(rows, rule, column):
    return np.array([row[column] for row in rows if row["rule"] == rule])


def test_every_rule_stands_beside_its_controls_on_every_replica(rows):
    names = list(dict.fromkeys(row["rule"] for row in rows))
    assert names == [*WITHOUT, *REUSE, "direct", "third of direct", "mean of three", "joint"]
    assert len(rows) == len(names) * TINY.sets
    assert {(row["seed"], row["set"]) for row in rows} == {(101, 0), (101, 1)}
    assert {(row["coverage"], row["familiarity"]) for row in rows} == {(0.5, "half")}
    marks = ("two_hop", "hop_1", "hop_2", "other_hops", "other_two_hop", "shortcut", "chance")
    for row in rows:
        assert all(0 <= row[name] <= 1 for name in (*marks, "circuit", "predicted"))


def test_the_base_knows_no_edit(rows):
    for column in ("two_hop", "hop_1"):
        assert of(rows, "base", column).max() == 0


def test_what_cannot_compose_is_predicted_to_fail_and_the_rest_by_the_circuit_at_most(rows):
    for rule in WITHOUT:
        assert (of(rows, rule, "predicted") == 0).all()
    for rule in (*REUSE, "joint"):
        assert (of(rows, rule, "predicted") <= of(rows, rule, "circuit")).all()


def test_the_source_papers_claims_are_the_two_rules_and_the_expert(rows):
    claimed = {row["rule"]: row["claimed"] for row in rows}
    assert {rule for rule, word in claimed.items() if word == "fails"} == {"mean", "arrow"}
    assert {rule for rule, word in claimed.items() if word == "works"} == {
        "direct",
        "mean of three",
    }
    assert set(claimed.values()) == {"fails", "works", "silent"}


def test_edits_are_of_the_familiarity_that_is_asked(monkeypatch):
    from loratheory.experiments import reuse

    class Enough(Exception):
        """Far enough."""

    def _kept(_, teaching, kinds=("hops",)):
        raise Enough(teaching.familiarity, teaching.facts, kinds)

    monkeypatch.setattr(reuse, "shelf", _kept)
    with pytest.raises(Enough) as told:
        cell(TINY)
    assert told.value.args == ("half", 2, ("hops", "joint"))


def test_the_paper_profile_is_the_whole_grid_on_eight_bases():
    cells = EXPERIMENT.profiles["paper"]
    grid = [(one.coverage, one.familiarity) for one in cells]
    assert set(grid) == {(c, f) for c in COVERAGE for f in FAMILIARITY}
    for place in set(grid):
        mine = [one for one, where in zip(cells, grid, strict=True) if where == place]
        assert sorted(seed for one in mine for seed in one.seeds) == list(range(8))
    assert all(one.sets == 2 for one in cells)


def test_sums_are_weighted():
    site, x = Site("mlp.in", 0, 0), torch.ones(1, 2, 3)
    adapters = [
        Lora({site.name: c * torch.ones(1, 4, 1)}, {site.name: torch.ones(1, 1, 3)})
        for c in (1, 10)
    ]
    ((merged,),) = (_sum(*adapters, times=0.5),)
    torch.testing.assert_close(merged(site, x), torch.full((1, 2, 4), 16.5))


def test_what_was_found_is_what_the_table_holds():
    name = "two_hop_coverage"
    coverages, kinds = (0.1, 0.25, 0.5, 0.9), ("real", "half", "fake")

    def chains(rule, coverage, familiarity="real", column="two_hop"):
        return mean(table_rows(name, rule=rule, coverage=coverage, familiarity=familiarity), column)

    two = ("mean", "sum", "ties", "dare", "knots", "arrow", "gates", "oracle placement")
    says(
        name,
        max(chains(rule, 0, kind) for rule in two for kind in kinds),
        max(chains("mean", coverage, kind) for coverage in (0, *coverages) for kind in kinds),
        "every coverage and familiarity",
        max(chains("arrow", coverage) for coverage in coverages),
        min(chains("direct", c, kind) for c in (0, *coverages) for kind in ("real", "half")),
        max(chains("direct", coverage, "fake") for coverage in (0, *coverages)),
        mean(table_rows(name), "chance"),
        min(chains("mean of three", coverage) for coverage in coverages),
        *(chains("sum", coverage) for coverage in coverages),
        "predicted",
    )
    predicted = [chains("sum", coverage, column="predicted") for coverage in coverages]
    says(name, "at coverage .1, .25, .5 and .9", *predicted)
    says(name, "Gates come closest", *(chains("gates", coverage) for coverage in coverages))
    says(name, "of its pass:", *(chains("oracle placement", coverage) for coverage in coverages))
    says(name, "up to", max(chains("gates", coverage, "fake") for coverage in coverages))
    assert chains("gates", 0.5, "fake", "predicted") == 0
