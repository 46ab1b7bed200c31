"""_replay: the same settings meet, chance passes, and an error planted in a rule does not."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from loratheory.experiments.engine import Replay, replayed
from loratheory.experiments.engine._table import GRAIN


@dataclass(frozen=True)
class Config:
    """What is measured, and how often."""

    coverage: float = 0.5
    seeds: tuple[int, ...] = (0, 1)
    sets: int = 2


def cell(config, seed=0, shift=0.0, spread=0.05):
    """Two rules; what a base scores is its own, whatever the sets say."""
    rows = []
    for rule, level in (("mean", 0.1), ("gates", 0.9)):
        for base in config.seeds:
            own = np.random.default_rng([seed, base]).normal(level + shift, spread)
            rows += [
                {"rule": rule, "seed": base, "set": k, "two_hop": own + (-0.3) ** (k + 1)}
                for k in range(config.sets)
            ]
    return config, pd.DataFrame(rows)


STORED = [cell(Config(seeds=pair)) for pair in ((0, 1), (2, 3), (4, 5), (6, 7))]


@pytest.mark.parametrize("seed", range(20))
def test_other_draws_of_the_same_bases_pass(seed):
    found = replayed([cell(Config(), seed=seed)], STORED)
    assert found.outside == ()
    assert (found.means, found.missing) == (2, 0)


@pytest.mark.parametrize("shift", [-0.4, 0.4])
def test_a_rule_that_does_something_else_is_named(shift):
    found = replayed([cell(Config(), shift=shift)], STORED)
    assert len(found.outside) == 2
    assert [line.split(" is ")[0] for line in found.outside] == ["gates: two_hop", "mean: two_hop"]
    assert all(", stored " in line and " ± " in line for line in found.outside)


def test_without_spread_a_twentieth_is_allowed_and_no_more():
    quiet = [cell(Config(seeds=pair), spread=0.0) for pair in ((0, 1), (2, 3))]
    for shift, count in ((0.9 * GRAIN, 0), (1.1 * GRAIN, 2)):
        assert len(replayed([cell(Config(), spread=0.0, shift=shift)], quiet).outside) == count


def test_cells_of_other_settings_are_counted_not_compared():
    found = replayed([cell(Config(coverage=0.1), shift=5.0)], STORED)
    assert (found.means, found.missing, found.outside) == (0, 1, ())


def test_exact_tables_have_nothing_to_compare():
    exact = [(Config(), pd.DataFrame([{"coefficient": 0.5, "two_hop": 0.25}]))]
    assert replayed(exact, exact) == Replay(0, 0, ())


@dataclass(frozen=True)
class Alone:
    """A cell is one base, known by its seed."""

    seed: int = 0


def alone(seed, shift=0.0):
    """Two shares of one rule, named behind the seed; nothing comes before the marks but names."""
    own = np.random.default_rng(seed).normal(0, 0.02)
    rows = [
        {"seed": seed, "rule": "sum", "share": x, "stepwise": x + own + shift, "kept": 99 * seed}
        for x in (0.25, 0.5)
    ]
    return Alone(seed), pd.DataFrame(rows)


def test_cells_of_other_seeds_are_pooled_and_names_may_follow_the_seed():
    stored = [alone(seed) for seed in range(1, 5)]
    found = replayed([alone(0)], stored)
    assert (found.means, found.missing, found.outside) == (2, 0, ())
    off = replayed([alone(0, shift=0.3)], stored).outside
    assert [line.split(" is ")[0] for line in off] == ["sum, 0.25: stepwise", "sum, 0.5: stepwise"]


def test_one_stored_base_is_too_few_to_compare_with():
    assert replayed([cell(Config())], [cell(Config(seeds=(0,)))]).means == 0
