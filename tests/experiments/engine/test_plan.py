"""What is left to do: the cells in their order, less those that are done."""

from pathlib import Path

import toy_sweep

from loratheory.experiments import Plan

SWEEP = toy_sweep.EXPERIMENT


def test_cells_are_the_configs_of_the_profile_in_order():
    for profile, count in (("quick", 6), ("paper", 7)):
        plan = Plan(SWEEP, profile, Path("x"), {})
        assert tuple(plan.cells.values()) == SWEEP.profiles[profile]
        assert list(plan.cells) == [SWEEP.key(config) for config in SWEEP.profiles[profile]]
        assert plan.missing == plan.cells
        assert plan.minutes_a_cell == {"quick": 0.1, "paper": 0.2}[profile] / count


def test_what_is_done_is_not_missing():
    plan = Plan(SWEEP, "quick", Path("x"), {})
    third = SWEEP.key(SWEEP.profiles["quick"][2])
    plan.done[third] = {"rows": []}
    assert [config.number for config in plan.missing.values()] == [0, 1, 3, 4, 5]
    assert Plan(SWEEP, "quick", Path("x"), {}, finished=True).missing == {}
