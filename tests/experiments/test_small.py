"""What a config of sizes says is what bases and adapters are made of."""

import pytest

from loratheory.experiments import reuse
from loratheory.experiments._small import CROWDS, Small

SMALL = Small(
    seeds=(7,),
    sets=3,
    facts=2,
    coverage=0.25,
    entities=30,
    spare=4,
    width=32,
    pretrained=11,
    trained=5,
    retained=6,
)


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """Nothing is trained: what would be is handed back."""
    monkeypatch.setattr(reuse, "bases", lambda setting, seeds: (setting, seeds))
    monkeypatch.setattr(reuse, "shelf", lambda *of: of)


def test_bases_are_of_these_sizes_and_what_else_is_said():
    setting, seeds = SMALL.bases(loops=3)
    assert seeds == (7,)
    assert (setting.coverage, setting.entities, setting.spare) == (0.25, 30, 4)
    assert (setting.width, setting.steps, setting.loops) == (32, 11, 3)


def test_adapters_are_of_these_sizes_and_what_else_is_said():
    known, how, kinds = SMALL.shelf(rank=2, kinds=("joint",))
    assert known == SMALL.bases()
    assert (how.facts, how.sets, how.retained, how.steps, how.rank) == (2, 3, 6, 5, 2)
    assert kinds == ("joint",)
    assert SMALL.shelf("known", steps=9)[0] == "known"
    assert SMALL.shelf("known", steps=9)[1].steps == 9


def test_the_crowds_are_eight_bases_each_once():
    assert sorted(seed for crowd in CROWDS for seed in crowd) == list(range(8))
