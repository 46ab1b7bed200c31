"""The cure's table: which rules stand beside which controls, and what the bound is made of."""

import math
from functools import cache as once

import pytest
from reused import cache

from loratheory.experiments import cure
from loratheory.experiments.cure import ATTENTION, EXPERIMENT, Config, cell

__all__ = ["cache"]

MUTANTS = [
    ("float(reach[e]) - sum(wrong)", "float(reach[e]) + sum(wrong)"),
    ('for part in ("m", "f")', 'for part in ("f", "m")'),
    ("rank=config.rank", "rank=1"),
    ("bridges=config.answers", 'bridges="fresh"'),
    ("Setting(**RECIPES[config.recipe])", "Setting()"),
    (
        "for e, (seed, number) in enumerate(made.replicas)",
        "for e, (number, seed) in enumerate(made.replicas)",
    ),
]
TINY = Config(facts=2, pairs=2, rank=2, recipe="tiny", seeds=(101, 102))
CONTROLS = {"base", "A→B alone", "B→C alone", "mean", "sum", "Arrow", "oracle of depth"}


@once
def rows(config=TINY):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cure.RECIPES, "tiny", {"width": 16, "steps": 3, "entities": 64})
        return cell(config)


def test_every_rule_stands_beside_its_controls_on_every_replica():
    names = list(dict.fromkeys(row["rule"] for row in rows()))
    assert set(names) > CONTROLS | {"block gates, z = 2", "gates, budget .3"}
    places = [(name, seed, number) for name in names for seed in (101, 102) for number in (0, 1)]
    assert [(row["rule"], row["seed"], row["set"]) for row in rows()] == places
    assert {"chains", "hop_1", "hop_2", "other_hops", "other_chains", "shortcut", "chance"} < set(
        rows()[0]
    )


def test_the_bound_is_the_oracle_less_misses_and_false_alarms():
    reach = {(r["seed"], r["set"]): r["chains"] for r in rows() if r["rule"] == "oracle of depth"}
    switched = 0
    for row in rows():
        if math.isnan(row["misses"]):
            assert math.isnan(row["predicted"])
            continue
        switched += 1
        lost = row["misses"] + row["false_alarms"]
        assert row["predicted"] == pytest.approx(reach[row["seed"], row["set"]] - lost)
    assert switched == 4 * 8  # Arrow, SpectR, top-1, two gates, three block gates


def test_routers_that_share_out_one_unit_miss_as_much_as_they_alarm():
    for row in rows():
        if row["rule"] in ("Arrow", "SpectR", "top-1 by z-score"):
            assert row["misses"] == pytest.approx(row["false_alarms"], abs=1e-5)
    gates = [row for row in rows() if row["rule"] == "gates, z = 2"]
    assert any(abs(row["misses"] - row["false_alarms"]) > 0.1 for row in gates)


def test_attention_has_no_block_gates_and_other_facts_other_answers():
    other = rows(Config(2, 1, "permuted", 2, ATTENTION, "tiny", (101,), 1))
    assert not [row for row in other if row["rule"].startswith("block")]
    assert {row["place"] for row in other} == {"attention"}
    assert all(math.isnan(row["leak"]) for row in other)
    assert 0 < rows()[0]["leak"] < 1


def test_profiles_cover_what_the_docstring_promises():
    paper = EXPERIMENT.profiles["paper"]
    assert {config.seeds for config in paper} == {(0, 1), (2, 3), (4, 5), (6, 7)}
    assert {config.pairs for config in paper} == {1, 2, 3, 4, 8}
    assert max(config.facts * config.pairs for config in paper) <= 32  # more do not fit a world
    assert {config.recipe for config in paper} == set(cure.RECIPES) - {"tiny"}
    assert not {101, 102} & {seed for config in paper for seed in config.seeds}
