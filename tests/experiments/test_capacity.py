"""The capacity experiment: rows, recall by hand, and theory's numbers by another route."""

from functools import cache as once

import numpy as np
import pytest
from found import mean, says, table_rows
from reused import always, cache, taught

from loratheory.experiments.capacity import EXPERIMENT, Config, cell, recall
from loratheory.experiments.reuse import _marks

__all__ = ["cache"]

TINY = Config(
    facts=2,
    rank=2,
    pairs=2,
    seeds=(101, 102),
    sets=1,
    entities=64,
    spare=0,
    width=16,
    pretrained=3,
    trained=3,
    retained=4,
)


@once
def rows():
    return cell(TINY)


def test_every_way_of_holding_all_facts_stands_beside_its_controls():
    rules = ["base", "noise", "mean", "sum", "one", "wide", "pair alone", "oracle placement"]
    assert [(row["rule"], row["seed"]) for row in rows()] == [
        (rule, seed) for rule in rules for seed in TINY.seeds
    ]
    assert {"other_hops", "other_two_hop", "shortcut", "chance"} < set(rows()[0])
    assert cell(TINY) == rows()


def test_the_sum_is_predicted_to_recall_like_one_adapter_of_its_rank(monkeypatch):
    shares = iter(np.arange(1, 9) / 16)

    from loratheory.experiments import capacity

    seen = []

    def _recall(_, crowds, c, pair=None):
        seen.append(([len(crowd) for crowd in crowds], c, pair, _rank(crowds)))
        return np.full(2, next(shares))

    def _rank(crowds):
        return crowds[0][0].up["layers.0.mlp.in"].shape[-1] if crowds[0] else 0

    monkeypatch.setattr(capacity, "recall", _recall)
    found = {row["rule"]: row for row in cell(TINY) if row["seed"] == 101}
    assert seen == [
        ([0, 0], 1.0, None, 0),
        ([2, 2], 1.0, None, 2),
        ([2, 2], 0.5, None, 2),
        ([2, 2], 1.0, None, 2),
        ([1, 1], 1.0, None, 2),
        ([1, 1], 1.0, None, 4),
        ([1, 1], 1.0, 0, 2),
        ([1, 1], 1.0, 1, 2),
    ]
    assert found["sum"]["predicted"] == found["one"]["recall"] == 5 / 16
    assert {row["predicted"] for rule, row in found.items() if rule != "sum"} == {-1.0}
    assert found["pair alone"]["recall"] == found["oracle placement"]["recall"] == (7 + 8) / 32


def test_theory_columns_are_the_variances_of_foreign_scores():
    found = {row["rule"]: row["crosstalk"] for row in rows()}

    def _variance(facts, rank):
        return facts / 16 * (1 / rank + 1 / 16 + 1 / (16 * rank))

    assert found["base"] == 0
    for rule in ("noise", "sum", "one"):
        assert found[rule] == pytest.approx(_variance(4, 2))
    assert found["mean"] == pytest.approx(_variance(4, 2) / 4)
    assert found["wide"] == pytest.approx(_variance(4, 4))
    assert found["pair alone"] == found["oracle placement"] == pytest.approx(_variance(2, 2))


def test_recall_is_counted_by_hand_hop_by_hop():
    here = taught()
    say = [[one.hops[j].answer.tolist()[0] for one in here.trials[0]] for j in range(2)]
    crowds = [[always(here.bases, tokens)] for tokens in say]
    for pair in (None, 0, 1):
        found = recall(here, crowds, 1.0, pair)
        for e in range(4):
            by_hand = np.mean(
                [
                    np.mean(here.trials[p][e].hops[j].answer == say[j][e])
                    for j in range(2)
                    for p in ([0, 1] if pair is None else [pair])
                ]
            )
            assert found[e] == pytest.approx(by_hand)
    assert (recall(here, crowds, 1.0, 0) > 0).all()


def test_each_hop_is_asked_with_its_own_crowd_at_the_given_weight():
    here = taught()
    crowd = here.hops[0][1]
    found = recall(here, [[crowd, crowd], [crowd]], -40.0)
    parts = [
        _marks.accuracy(
            here.bases,
            [one.hops[j] for one in trials],
            lambda site, x, k=k: None if (out := crowd(site, x)) is None else -40.0 * k * out,
        )
        for j, k in ((0, 2), (1, 1))
        for trials in here.trials
    ]
    np.testing.assert_allclose(found, np.mean(parts, axis=0))


def test_profiles_use_their_seeds_and_stay_within_the_world():
    for name, seeds in (("quick", {0, 1}), ("paper", set(range(8)))):
        configs = EXPERIMENT.profiles[name]
        assert {seed for config in configs for seed in config.seeds} == seeds
        assert all(config.facts * config.pairs <= 32 for config in configs)


def test_what_was_found_is_what_the_table_holds():
    name = "capacity"

    def eight(rule, rank, column="recall"):
        return mean(table_rows(name, rule=rule, rank=rank, pairs=8), column)

    says(name, *(eight(rule, 1) for rule in ("sum", "one", "wide")))
    says(name, "the sum of eight recalls", *(eight(rule, 4) for rule in ("sum", "one")))
    own = [
        mean(table_rows(name, rule="pair alone", rank=r, pairs=k), "recall")
        for r in (1, 4)
        for k in (2, 8)
    ]
    says(name, "own adapters recall", min(own), "throughout")
    chains = [eight(rule, rank, "two_hop") for rule in ("sum", "one", "wide") for rank in (1, 4)]
    says(
        name,
        "composing:",
        max(chains),
        *(eight("oracle placement", rank, "two_hop") for rank in (1, 4)),
    )
