"""Unfamiliar edits on tiny transformers: which bridges are known, and what follows from it."""

from dataclasses import replace

import numpy as np
import pytest
from found import mean, says, table_rows
from reused import cache as cache

from loratheory.experiments import familiarity
from loratheory.experiments.familiarity import EXPERIMENT, Config, cell

TINY = Config(
    seeds=(101,), facts=2, spare=4, entities=64, width=16, pretrained=3, trained=3, retained=4
)
RULES = [
    "base",
    "hop 1 alone",
    "hop 2 alone",
    "exchanged",
    "mean",
    "sum",
    "gates",
    "oracle placement",
    "direct",
]


@pytest.mark.parametrize(
    ("entities", "identity", "known"),
    [("fake", "none", 0), ("fake", "known", 0), ("fake", "all", 1), ("half", "none", 1)],
)
def test_a_bridge_is_known_by_facts_or_by_identity(cache, entities, identity, known):  # noqa: ARG001
    rows = cell(replace(TINY, familiarity=entities, identity=identity, sets=2))
    assert [row["rule"] for row in rows] == [rule for rule in RULES for _ in range(2)]
    assert {row["bridge"] for row in rows} == {float(known)}
    assert {(row["familiarity"], row["identity"]) for row in rows} == {(entities, identity)}
    for row in rows:
        assert all(0 <= row[name] <= 1 for name in ("two_hop", "shortcut", "circuit", "predicted"))
        if row["rule"] != "direct":
            assert row["predicted"] <= known * row["circuit"]
        if row["rule"] == "base":
            assert row["two_hop"] == row["hop_1"] == row["predicted"] == 0


def test_the_base_is_told_what_the_config_says(monkeypatch):
    from loratheory.experiments import reuse

    class EnoughError(Exception):
        """Far enough."""

    def _shelf(setting, teaching, _):
        raise EnoughError(setting, teaching)

    monkeypatch.setattr(reuse, "bases", lambda setting, _: setting)
    monkeypatch.setattr(reuse, "shelf", _shelf)
    with pytest.raises(EnoughError) as told:
        familiarity.cell(replace(TINY, familiarity="half", identity="known"))
    setting, teaching = told.value.args
    assert (setting.identity, setting.spare, setting.steps) == ("known", 4, 3)
    assert (teaching.familiarity, teaching.facts, teaching.steps) == ("half", 2, 3)


def test_the_paper_profile_asks_each_condition_on_eight_bases():
    cells = EXPERIMENT.profiles["paper"]
    places = [(one.coverage, one.familiarity, one.identity) for one in cells]
    assert {("fake", identity) for identity in ("none", "known", "all")} <= {
        (entities, identity) for _, entities, identity in places
    }
    for place in set(places):
        mine = [one.seeds for one, where in zip(cells, places, strict=True) if where == place]
        np.testing.assert_array_equal(np.sort(np.ravel(mine)), range(8))


def test_what_was_found_is_what_the_table_holds():
    name = "familiarity"

    def of(rule, identity="none", familiarity="fake", column="two_hop", coverage=0.5):
        where = {"rule": rule, "identity": identity, "familiarity": familiarity}
        return mean(table_rows(name, **where, coverage=coverage), column)

    says(
        name,
        of("sum", familiarity="half"),
        of("sum"),
        of("gates"),
        of("gates", "all"),
        *(of("base", identity, column="circuit") for identity in ("none", "all")),
        of("mean", "all", column="predicted"),
        of("mean", "all"),
        of("hop 1 alone", "known", column="hop_1"),
        of("hop 2 alone", "known", column="hop_2"),
        of("gates", "known"),
        of("direct", "all"),
        of("direct"),
        max(
            of(rule, identity, coverage=0)
            for rule in ("mean", "sum", "gates", "oracle placement")
            for identity in ("none", "all")
        ),
    )
