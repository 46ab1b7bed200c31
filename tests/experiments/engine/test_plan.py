"""What is left to do: cells by their content, in their order, less those that are done."""

from dataclasses import dataclass, replace
from pathlib import Path

import toy_sweep

from loratheory.experiments import Plan

SWEEP = toy_sweep.EXPERIMENT


@dataclass(frozen=True)
class Backwards:
    """The fields of the toy's config, last first."""

    log: str = ""
    seed: int = 0
    ends: str = "well"
    pause: float = 0.0
    rows: int = 2
    number: int = 3


def test_a_key_is_the_content_and_nothing_else():
    one = toy_sweep.Config(3)
    keys = {
        SWEEP.key(one),
        SWEEP.key(replace(one, number=4)),
        SWEEP.key(replace(one, seed=1)),
        replace(SWEEP, version=2).key(one),
        replace(SWEEP, module="toy_sweeps").key(one),
    }
    assert len(keys) == 5
    assert replace(SWEEP, profiles={}, document=None).key(one) == SWEEP.key(one)
    assert SWEEP.key(Backwards()) == SWEEP.key(one)


def test_cells_are_the_configs_of_the_profile_less_those_that_are_done():
    for profile, count in (("quick", 6), ("paper", 7)):
        plan = Plan(SWEEP, profile, Path("x"), {})
        assert tuple(plan.cells.values()) == SWEEP.profiles[profile]
        assert list(plan.cells) == [SWEEP.key(config) for config in SWEEP.profiles[profile]]
        assert plan.missing == plan.cells
        assert plan.minutes_a_cell == {"quick": 0.1, "paper": 0.2}[profile] / count
    plan.done[SWEEP.key(SWEEP.profiles["quick"][2])] = {"rows": []}
    assert [config.number for config in plan.missing.values()] == [0, 1, 3, 4, 5, 1000]
    assert Plan(SWEEP, "quick", Path("x"), {}, finished=True).missing == {}


def test_without_a_document_paragraphs_are_empty():
    assert replace(SWEEP, document=None).paragraph("Question") == ""
    assert SWEEP.paragraph("Nonsense") == ""
    assert SWEEP.paragraph("Prediction") == "Yes."
