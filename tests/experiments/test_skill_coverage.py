"""Coverage on tiny bases: each pair with its share, skills alone beside it, and what was found."""

from statistics import fmean

import numpy as np
import pytest
from found import mean, says, table_rows
from tiny_words import TINY

from loratheory.experiments.skill_coverage import EXPERIMENT, Config, cell
from loratheory.experiments.words._coverage import SEEN, WEIGHTS, coverage
from loratheory.experiments.words._problems import CODE, PAIRS


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("seen", ["sums", "pairs"])
def test_every_ordered_pair_has_a_row_with_its_share(seen):
    rows = cell(Config(seen, 103, TINY))
    assert len(rows) == 12 * len(PAIRS)
    told = {(row["first"], row["second"]): row["coverage"] for row in rows}
    assert told == pytest.approx(coverage(seen, 103), abs=1e-4)
    assert {row["seen"] for row in rows} == {seen}
    assert {row["rule"] for row in rows} > {"base", "first alone", "mean", "joint", "composed"}


def test_each_pair_is_asked_its_own_problems_and_skills_and_each_rule_acts(monkeypatch):
    from loratheory.experiments.words import _bases, _reuse

    trained, plain = [], _bases.pretrained
    monkeypatch.setattr(
        _bases, "pretrained", lambda sets, *a: trained.append(len(sets)) or plain(sets, *a)
    )
    asked, acting = [], []

    def _solved(_, prompts, adapt):
        acting.append(adapt)
        asked.append(
            [{*CODE.written(row.flatten()).split()} for row in (p.targets for p in prompts)]
        )
        return np.arange(len(prompts)) / 8

    monkeypatch.setattr(_reuse, "solved", _solved)
    rows = cell(Config("other words", 103, TINY))
    assert trained == [7]
    steps = [k / 8 for k in range(6)]
    for name in ("stepwise", "answered", "step_1", "step_2"):
        assert [row[name] for row in rows] == steps * 12
    for whole, _, one, two in zip(*(iter(asked),) * 4, strict=True):
        for pair, *said in zip(PAIRS, whole, one, two, strict=True):
            for words, skills in zip(said, (pair, pair[:1], pair[1:]), strict=True):
                assert {"multiply", "divide", "percent"} & words == {*skills}
    assert sum(adapt is None for adapt in acting) == 4


def test_bases_of_pairs_have_all_shares_of_all_pairs_and_others_three_seeds():
    cells = EXPERIMENT.profiles["paper"]
    for seen in SEEN:
        seeds = [c.seed for c in cells if c.seen == seen]
        assert seeds == [*range(len(WEIGHTS) if seen == "pairs" else 3)]
    assert len({c.size for c in cells}) == 1


MERGES = ("mean", "sum", "ties", "interpolating", "arrow", "gates", "block gates")


def solved(rule, seen, column="stepwise", **where):
    return mean(table_rows("skill_coverage", rule=rule, seen=seen, **where), column)


def own_steps(seen):
    """What adapters solve of single steps of their own skill."""
    return fmean(
        solved(rule, seen, column)
        for rule, column in (("first alone", "step_1"), ("second alone", "step_2"))
    )


def test_what_was_found_is_what_the_table_holds():
    rows = table_rows("skill_coverage", seen="pairs")
    never, *shares = sorted({row["coverage"] for row in rows})
    added = {
        rule: [
            solved(rule, "pairs", coverage=x) - solved("base", "pairs", coverage=x) for x in shares
        ]
        for rule in ("mean", "sum")
    }
    harmed = [
        sum(
            solved("sum", "pairs", coverage=x, seed=k) < solved("base", "pairs", coverage=x, seed=k)
            for k in range(len(WEIGHTS))
        )
        for x in shares
    ]
    by_base = [solved("sum", "pairs", coverage=never, seed=k) for k in range(len(WEIGHTS))]
    says(
        "skill_coverage",
        own_steps("sums"),
        solved("composed", "sums"),
        own_steps("other words"),
        solved("composed", "other words"),
        max(solved(rule, "other words") for rule in MERGES),
        solved("joint", "other words"),
        max(solved(rule, "single steps") for rule in ("base", "joint", *MERGES)),
        solved("composed", "single steps"),
        *(solved(x, "other pairs") for x in ("mean", "sum", "second alone", "joint", "composed")),
        *(solved(x, "pairs", coverage=never) for x in ("base", "mean", "sum")),
        min(by_base),
        max(by_base),
        *(
            solved(rule, "pairs", coverage=share)
            for rule in ("base", "mean", "sum", "second alone", "joint")
            for share in shares
        ),
        max(added["mean"]),
        *(
            told
            for x, n in [*zip(added["sum"], harmed, strict=True)][-2:]
            for told in (-x, f"{n} of 6")
        ),
        min(added["mean"]),
        solved("composed", "pairs"),
    )
    assert added["mean"].index(max(added["mean"])) == 1
    assert added["sum"].index(max(added["sum"])) == 1
    unseen = solved("sum", "pairs", coverage=never) - solved("base", "pairs", coverage=never)
    assert max(added["sum"]) < unseen == pytest.approx(max(added["mean"]), abs=0.015)
