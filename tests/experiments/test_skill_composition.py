"""Skill pairs on tiny bases: each ordered pair and rule a row, and what pretraining has shown."""

import pytest
from found import mean, says, table_rows
from tiny_words import TINY

from loratheory.experiments.skill_composition import EXPERIMENT, Config, cell
from loratheory.experiments.words._problems import KINDS, PAIRS, covered


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


def test_what_was_found_is_what_the_table_holds():
    name = "skill_composition"

    def solved(rule, kind, shown=0, **where):
        return mean(table_rows(name, rule=rule, kind=kind, shown=shown, **where), "stepwise")

    merges = ("mean", "sum", "ties", "interpolating", "arrow", "gates", "block gates")
    single, two, half = KINDS
    by_base = {
        rule: [solved(rule, two, seed=seed) for seed in range(3)]
        for rule in ("sum", "second alone")
    }
    assert sum(a < b for a, b in zip(by_base["sum"], by_base["second alone"], strict=True)) == 1
    each = [solved("sum", two, first=a, second=b) for a, b in PAIRS]
    says(
        name,
        max(solved(rule, single) for rule in ("base", *merges)),
        solved("composed", single),
        solved("base", two),
        *(solved(rule, two) for rule in ("sum", "mean", "interpolating", "joint", "composed")),
        min(each),
        max(each),
        *(pick(by_base["sum"]) for pick in (min, max)),
        solved("second alone", two),
        *(pick(by_base["second alone"]) for pick in (min, max)),
        *(solved(rule, half) for rule in ("base", "second alone", "sum", "mean")),
        *(solved(rule, half, 1) for rule in ("base", "mean", "sum")),
        mean(table_rows(name, kind=half, shown=1), "answered"),
        mean(table_rows(name, kind=half, shown=0), "answered"),
    )
