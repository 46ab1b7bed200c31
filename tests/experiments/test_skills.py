"""Studies of two skills on tiny bases: each case and rule a row, and what each study is about."""

import numpy as np
import pytest
import torch
from tiny_words import TINY

from loratheory.experiments import experiment, failing_step, label_free_prediction, shallow_matching
from loratheory.experiments.bench import words as _models
from loratheory.experiments.bench.problems import (
    CODE,
    KINDS,
    MEASURED,
    PAIRS,
    SEEN,
    WEIGHTS,
    WORDINGS,
    Covered,
    coverage,
    covered,
    drawn,
    linked,
    overlapping,
)
from loratheory.toy.transformer import Site

RULES = {*_models.RULES, "composed"}
STUDIES = [
    ("template_overlap", {"kind": "problems", "pairs": MEASURED[:1]}, RULES, 8),
    ("template_overlap", {"kind": "problems"}, RULES, 12),
    ("skill_composition", {"kind": KINDS[-1]}, {*RULES, "joint"}, 6),
    ("skill_composition", {"kind": KINDS[0]}, {*RULES, "joint"}, 6),
    ("skill_coverage", {"seen": "sums"}, {*RULES, "joint"}, 6),
    ("skill_coverage", {"seen": "pairs"}, {*RULES, "joint"}, 6),
]


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def rows_of(name, **wanted):
    study = experiment(name)
    config = type(study.profiles["quick"][0])
    return study.cell(config(**{"size": TINY, **wanted}))


@pytest.mark.parametrize(("name", "wanted", "rules", "cases"), STUDIES)
def test_every_case_and_rule_has_a_row(name, wanted, rules, cases):
    rows = rows_of(name, seed=101, **wanted)
    keys = ("rule", "first", "second", "bridge", "share")
    assert len({tuple(row.get(key) for key in keys) for row in rows}) == len(rows)
    assert len(rows) == len(rules) * cases
    assert {row["rule"] for row in rows} == rules
    pairs = wanted.get("pairs", MEASURED) if name == "template_overlap" else PAIRS
    assert {(row["first"], row["second"]) for row in rows} == {*pairs}
    forms = {"stepwise", "answered", "step_1", "step_2"} & {*rows[0]}
    assert all(0 <= row[form] <= 1 for row in rows for form in forms)
    for row in rows:
        pair = (row["first"], row["second"])
        if name == "skill_coverage":
            share = coverage(wanted["seen"], 101)[pair]
            assert row["coverage"] == pytest.approx(share, abs=1e-4)
        if name == "skill_composition":
            shown = covered(101) if wanted["kind"] == KINDS[-1] else set()
            assert row["shown"] == (pair in shown)


@pytest.fixture(scope="module")
def rows():
    return rows_of("template_overlap", kind="problems", seed=101, pairs=MEASURED[:1])


def test_the_vote_is_predicted_for_mean_and_sum_alone(rows):
    for row in rows:
        if row["rule"] in ("mean", "sum"):
            total = {"mean": 1, "sum": 2}[row["rule"]]
            right = (1 - total) + total * row["share"]
            assert row["predicted"] == (0.5 if right == 0.5 else float(right > 0.5))
        else:
            assert np.isnan(row["predicted"])


def test_each_case_is_answered_for_itself(monkeypatch):
    count = len(overlapping(MEASURED[:1]))
    monkeypatch.setattr(_models, "solved", lambda *_: np.arange(count) / 16)
    again = rows_of("template_overlap", kind="single steps", seed=101, pairs=MEASURED[:1])
    assert [row["stepwise"] for row in again] == [k / 16 for k in range(8)] * 11
    won = {rule: [r["predicted"] for r in again if r["rule"] == rule] for rule in ("mean", "sum")}
    assert won == {"mean": [0, *[0, 0.5, 1] * 2, 0.5], "sum": [0, *[0.5, 1, 1] * 2, 1]}


def test_each_pair_is_asked_its_own_problems_and_skills_and_each_rule_acts(monkeypatch):
    asked, acting = [], []

    def _solved(_, prompts, adapt):
        acting.append(adapt)
        asked.append(
            [{*CODE.written(row.flatten()).split()} for row in (p.targets for p in prompts)]
        )
        return np.arange(len(prompts)) / 8

    monkeypatch.setattr(_models, "solved", _solved)
    rows = rows_of("skill_coverage", seen="other words", seed=103)
    for name in ("stepwise", "answered", "step_1", "step_2"):
        assert [row[name] for row in rows] == [k / 8 for k in range(6)] * 12
    for both, _, one, two in zip(*(iter(asked),) * 4, strict=True):
        for pair, *words in zip(PAIRS, both, one, two, strict=True):
            for each, skills in zip(words, (pair, pair[:1], pair[1:]), strict=True):
                assert {"multiply", "divide", "percent"} & each == {*skills}


def test_the_papers_tables_ask_all_bases():
    cells = {name: experiment(name).profiles["paper"] for name, *_ in STUDIES}
    assert {config.pairs for config in cells["template_overlap"]} == {MEASURED}
    assert [c.kind for c in cells["skill_composition"] if c.seed == 0] == [*KINDS]
    for seen in SEEN:
        seeds = [c.seed for c in cells["skill_coverage"] if c.seen == seen]
        assert seeds == [*range(len(WEIGHTS) if seen == "pairs" else 3)]
    assert len({c.size for c in cells["skill_coverage"]}) == 1


@pytest.mark.parametrize("how", shallow_matching.OTHERWISE)
def test_one_thing_changes(how):
    rng = np.random.default_rng(0)
    here = drawn([linked(("multiply", "divide"))], 20, rng)
    there = shallow_matching.otherwise(here, how, rng=rng)
    same = {
        "wording": (there.wordings == here.wordings).any() if how == "wording" else None,
        "names": (there.names == here.names).all() if how != "distractor" else True,
        "numbers": (there.answers == here.answers).all(),
        "order": (there.order[:, :3] == here.order).all() if how != "distractor" else True,
        "distractor": (there.distractors == 0).all(),
    }
    assert {name for name, kept in same.items() if kept is not None and not kept} == (
        {how} - {shallow_matching.OTHERWISE[0]}
    )
    assert {*np.unique(there.wordings[there.present])} <= {*WORDINGS}
    assert there.templates == here.templates


def test_what_was_kept_is_counted_among_what_was_solved(monkeypatch):
    found = iter([np.arange(8) < 4, *([np.arange(8) % 2 == 0] * 5)] * len(shallow_matching.ASKED))
    monkeypatch.setattr(
        _models, "share_right", lambda *_: np.tile(next(found), (8, 1)).astype(float)
    )
    rows = rows_of("shallow_matching", seed=101, pairs=MEASURED[:1])
    assert len(rows) == len(shallow_matching.ASKED) * len(shallow_matching.OTHERWISE) * 8
    for row in rows:
        assert row["kept"] == (1 if row["put"] == shallow_matching.OTHERWISE[0] else 0.5)
        assert row["stepwise"] == 0.5


RIGHT = "B multiply 3 2 6 C percent 6 1 3"


def test_the_first_wrong_word_names_the_outcome():
    words = RIGHT.split()
    told = []
    for place in range(10):
        wrong = [*words[:place], "?", *words[place + 1 : 9], "?"][:10]
        told.append(failing_step.outcome(RIGHT, " ".join(wrong)))
    parts = ("name", "skill", "numbers", "numbers", "result")
    assert told == [f"{step} {part}" for step in ("first", "second") for part in parts]
    assert failing_step.outcome(RIGHT, RIGHT) == "right" == failing_step.OUTCOMES[-1]
    assert failing_step.outcome(RIGHT, "B multiply 3 2 6") == "second name"


def test_each_outcome_has_its_share_and_its_first_problem(monkeypatch):
    seen = []

    def _solutions(_, asked, adapt):
        (template,) = {*asked.templates}
        seen.append((template, len(asked), adapt))
        silent = adapt(Site("mlp.in", 0, 0), torch.ones(1, 1, TINY.width)) is None
        start = "D" if silent else "B"
        ends = [f"{start} multiply 3 2 {k} C percent 6 1 3" for k in range(len(asked))]
        return [[f"question {k}", RIGHT, end] for k, end in enumerate(ends)]

    monkeypatch.setattr(_models, "solutions", _solutions)
    rows = rows_of("failing_step", seen="other pairs", seed=101)
    assert len(rows) == len(PAIRS) * len(failing_step.ASKED) * len(failing_step.OUTCOMES)
    pairs = [pair for pair in PAIRS for _ in failing_step.ASKED]
    assert [one[:2] for one in seen] == [(linked(pair), TINY.asked) for pair in pairs]
    for place, row in enumerate(rows):
        assert (row["first"], row["second"]) == PAIRS[
            place // (len(failing_step.ASKED) * len(failing_step.OUTCOMES))
        ]
        want = (
            {"first name": 1.0}
            if row["rule"] == "base"
            else {"first result": 7 / 8, "right": 1 / 8}
        )
        assert row["rate"] == pytest.approx(want.get(row["outcome"], 0))
        first = {"right": "question 6"}.get(row["outcome"], "question 0")
        assert row["question"] == (first if row["rate"] else "–")
        assert (row["solution"] == RIGHT) == (row["written"] != "–") == (row["rate"] > 0)


def test_each_case_is_solved_by_its_own_adapters(monkeypatch):
    here = Covered(seen="other pairs", seed=101, size=TINY).trained()
    found = []

    def _solutions(known, asked, adapt):
        assert np.array_equal(known.weights["embedding"], here.bases.weights["embedding"])
        found.append(adapt)
        return [["question", RIGHT, RIGHT]] * len(asked)

    monkeypatch.setattr(_models, "solutions", _solutions)
    rows_of("failing_step", seen="other pairs", seed=101)
    for e in range(len(PAIRS)):
        alone = found[e * len(failing_step.ASKED) + failing_step.ASKED.index("first alone")]
        name = "layers.0.mlp.in"
        adapter = alone.library.adapters[0]
        assert np.array_equal(adapter.down[name][0], here.first.down[name][e])
        assert len(adapter.down[name]) == 1


def test_each_pair_of_adapters_is_described_and_reused():
    rows = rows_of("label_free_prediction", kind="problems", seed=101, pairs=MEASURED)
    assert len(rows) == 12 + 6
    for row in rows:
        assert row["held_out"] == ({row["first"], row["second"]} != {*MEASURED[0]})
        shared = row["bridge"] in ("serial", "neutral")
        assert row["overlap"] == pytest.approx(row["share"] if shared else 0, abs=0.07)
        assert row["shape"] == pytest.approx(row["share"])
        assert all(
            0 <= row[name] <= 1
            for name in ("read", "write", "agreement", *label_free_prediction.REUSED)
        )
    assert len(rows_of("label_free_prediction", kind="problems", seed=101, alone=False)) == 12
