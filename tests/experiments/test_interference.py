"""The interference experiment: its rows, its controls, and predictions by another route."""

from functools import cache as once

import numpy as np
import pytest
import torch
from found import mean, says, table_rows
from reused import cache, loud, taught, update

from loratheory.experiments.interference import EXPERIMENT, Config, beside_noise, cell
from loratheory.experiments.reuse._bases import Setting, bases
from loratheory.experiments.reuse._crosstalk import crosstalk
from loratheory.experiments.reuse._shelves import Teaching, shelf
from loratheory.toy.transformer import Site

__all__ = ["cache"]

TINY = Config(
    facts=2,
    rank=2,
    pairs=2,
    seeds=(101, 102),
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


def test_every_rule_is_asked_on_every_base_and_repetition_beside_its_controls():
    rules = list(dict.fromkeys(row["rule"] for row in rows()))
    assert {"base", "hop 1 alone", "hop 2 alone", "pair alone", "beside noise"} < set(rules)
    assert {"mean", "sum", "gates", "oracle placement"} < set(rules)
    places = [(rule, seed, number) for rule in rules for seed in (101, 102) for number in (0, 1)]
    assert [(row["rule"], row["seed"], row["set"]) for row in rows()] == places
    wanted = ["two_hop", "hop_1", "hop_2", "other_hops", "other_two_hop", "shortcut", "chance"]
    assert [name for name in rows()[0] if name in wanted] == wanted
    assert len({tuple(row) for row in rows()}) == 1


def test_the_same_config_gives_the_same_rows():
    assert cell(TINY) == rows()


def test_crosstalk_columns_are_medians_of_the_shelfs():
    known = bases(Setting(entities=64, spare=0, width=16, steps=3), TINY.seeds)
    here = shelf(known, Teaching(2, 2, sets=2, rank=2, steps=3, retained=4))
    for side in ("in", "out"):
        found = crosstalk(here)[f"layers.0.mlp.{side}"]
        for e in range(4):
            for row in rows()[e::4]:
                for column, part in (("crosstalk", found.measured), ("random", found.random)):
                    by_hand = np.median(part[:, :, e].ravel())
                    assert row[f"{column}_{side}"] == pytest.approx(by_hand, rel=1e-5)


def test_predictions_are_safe_shares_of_the_region():
    by_rule = {}
    for row in rows():
        by_rule.setdefault(row["rule"], []).append(row)
    for alone, summed in zip(by_rule["pair alone"], by_rule["sum"], strict=True):
        assert summed["predicted"] == pytest.approx(summed["safe"] * alone["predicted"])
    for rule in ("base", "hop 1 alone", "hop 2 alone"):
        assert all(row["predicted"] == 0 for row in by_rule[rule])
    for one, other in zip(by_rule["gates"], by_rule["oracle placement"], strict=True):
        assert one["predicted"] == other["predicted"]


def test_beside_noise_the_own_pair_is_whole_and_the_others_are_random_of_equal_norm():
    here = loud(taught())
    site, x = Site("mlp.in", 0, 0), torch.eye(16).expand(4, 16, 16)
    acting = beside_noise(here)
    assert len(acting) == 2
    for p, act in enumerate(acting):
        for e in range(4):
            change = act(site, x)[e].double().numpy().T
            own = sum(update(lora, site.name, e).numpy() for lora in here.hops[p])
            foreign = [update(lora, site.name, e).numpy() for lora in here.hops[1 - p]]
            rest = change - own
            assert np.linalg.matrix_rank(rest, 1e-4) == 4
            size = sum(np.linalg.norm(low) ** 2 for low in foreign)
            assert np.linalg.norm(rest) ** 2 == pytest.approx(size, rel=0.5)
            assert abs(np.vdot(rest, sum(foreign))) < 0.5 * size


def test_profiles_use_their_seeds_and_stay_within_the_world():
    for name, seeds in (("quick", {0, 1}), ("paper", set(range(8)))):
        configs = EXPERIMENT.profiles[name]
        assert {seed for config in configs for seed in config.seeds} == seeds
        assert all(config.facts * config.pairs <= 32 for config in configs)
        assert len(set(configs)) == len(configs)


def test_mean_is_predicted_with_a_share_of_each(monkeypatch):
    from loratheory.experiments.reuse import _forecast

    seen = []
    real = _forecast.Forecast.composed

    def _composed(self, weights):
        seen.append(weights)
        return real(self, weights)

    monkeypatch.setattr(_forecast.Forecast, "composed", _composed)
    cell(TINY)
    assert [0.25, 0.25] in seen


def test_what_was_found_is_what_the_table_holds():
    name = "interference"

    def three(rule, pairs=4, column="two_hop", rank=8):
        return mean(table_rows(name, facts=3, rank=rank, pairs=pairs, rule=rule), column)

    says(
        name,
        *(three("sum", pairs) for pairs in (1, 4)),
        min(three("sum", column=f"hop_{hop}") for hop in (1, 2)),
        three("beside noise"),
        three("pair alone"),
        three("sum", column="crosstalk_out"),
        three("sum", column="random_out"),
        *(three("sum", 1, rank=rank) for rank in (2, 8, 32)),
    )
    settings = {(row["facts"], row["rank"], row["pairs"]) for row in table_rows(name)}
    summed = [table_rows(name, rule="sum", facts=f, rank=r, pairs=k) for f, r, k in settings]
    safe = max(mean(each, "safe") for each in summed)
    assert all(mean(each, "two_hop") >= mean(each, "predicted") for each in summed)
    gates, oracle = (
        [three(rule, pairs) for pairs in (1, 4)] for rule in ("gates", "oracle placement")
    )
    says(name, "at 1/4", safe, *gates, *oracle)
