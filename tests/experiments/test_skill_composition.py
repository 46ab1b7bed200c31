"""Skill pairs on tiny bases: each ordered pair and rule a row, and what pretraining has shown."""

import pytest
from tiny_words import TINY

from loratheory.experiments.skill_composition import EXPERIMENT, Config, cell
from loratheory.experiments.words._problems import KINDS, PAIRS, covered

MUTANTS = [
    ("config.kind == KINDS[-1]", "config.kind == KINDS[0]"),
    ("int(case.pair in shown)", "int(case.pair[::-1] in shown)"),
    ("apart()", "apart()[:3]"),
    ("covered(config.seed)", "covered(config.seed + 1)"),
    ("for kind in KINDS for seed", "for kind in KINDS[1:] for seed"),
]


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("kind", [KINDS[-1], KINDS[0]])
def test_every_ordered_pair_has_a_row_that_tells_whether_it_was_shown(kind):
    rows = cell(Config(kind, 101, TINY))
    assert len(rows) == 12 * len(PAIRS)
    assert {(row["first"], row["second"]) for row in rows} == {*PAIRS}
    shown = {(row["first"], row["second"]) for row in rows if row["shown"]}
    assert shown == (covered(101) if kind == KINDS[-1] else set())
    assert {row["rule"] for row in rows} > {"base", "mean", "sum", "joint", "composed"}


def test_all_kinds_of_bases_are_asked():
    assert [c.kind for c in EXPERIMENT.profiles["paper"] if c.seed == 0] == [*KINDS]
