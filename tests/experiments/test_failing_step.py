"""Outcomes of solutions: counted whole, the first of each as it was written."""

import numpy as np
import pytest
from found import mean, says, table_rows
from tiny_words import TINY

from loratheory.experiments.failing_step import ASKED, OUTCOMES, Config, cell, outcome
from loratheory.experiments.words._problems import PAIRS

RIGHT = "B multiply 3 2 6 C percent 6 1 3"


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_the_first_wrong_word_names_the_outcome():
    words = RIGHT.split()
    told = []
    for place in range(10):
        wrong = [*words[:place], "?", *words[place + 1 : 9], "?"][:10]
        told.append(outcome(RIGHT, " ".join(wrong)))
    parts = ("name", "skill", "numbers", "numbers", "result")
    assert told == [f"{step} {part}" for step in ("first", "second") for part in parts]
    assert outcome(RIGHT, RIGHT) == "right" == OUTCOMES[-1]
    assert outcome(RIGHT, "B multiply 3 2 6") == "second name"


def test_each_outcome_has_its_share_and_its_first_problem(monkeypatch):
    from loratheory.experiments.words import _written

    seen = []

    def _solutions(_, asked, adapt):
        (template,) = {*asked.templates}
        seen.append((template.links, len(asked), adapt))
        start = "D" if adapt is None else "B"
        ends = [f"{start} multiply 3 2 {k} C percent 6 1 3" for k in range(len(asked))]
        return [[f"question {k}", RIGHT, end] for k, end in enumerate(ends)]

    monkeypatch.setattr(_written, "solutions", _solutions)
    rows = cell(Config("other pairs", 101, TINY))
    assert len(rows) == len(PAIRS) * len(ASKED) * len(OUTCOMES)
    for (links, count, _), k in zip(seen, range(len(PAIRS) * len(ASKED)), strict=True):
        assert (links, count) == ({PAIRS[k // len(ASKED)]}, TINY.asked)
    for place, row in enumerate(rows):
        assert (row["first"], row["second"]) == PAIRS[place // (len(ASKED) * len(OUTCOMES))]
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
    from loratheory.experiments import skill_coverage
    from loratheory.experiments.words import _written

    here = skill_coverage.measured(skill_coverage.Config("other pairs", 101, TINY))
    found = []

    def _solutions(known, asked, adapt):
        assert np.array_equal(known.weights["embedding"], here.known.weights["embedding"])
        found.append(adapt)
        return [["question", RIGHT, RIGHT]] * len(asked)

    monkeypatch.setattr(_written, "solutions", _solutions)
    cell(Config("other pairs", 101, TINY))
    for e in range(len(PAIRS)):
        alone = found[e * len(ASKED) + ASKED.index("first alone")]
        name = "layers.0.mlp.in"
        assert np.array_equal(alone.down[name][0], here.first.down[name][e])
        assert len(alone.down[name]) == 1


def test_what_was_found_is_what_the_table_holds():
    def first_wrong(rule, outcome):
        return mean(table_rows("failing_step", rule=rule, outcome=outcome), "rate")

    own = [
        row["written"].split()[place] == row[skill]
        for rule, outcome, place, skill in (
            ("first alone", "second skill", 6, "first"),
            ("second alone", "first skill", 1, "second"),
        )
        for row in table_rows("failing_step", rule=rule, outcome=outcome)
        if row["rate"]
    ]
    says(
        "failing_step",
        first_wrong("base", "first name"),
        first_wrong("composed", "right"),
        *(
            first_wrong(rule, outcome)
            for outcome in ("first name", "first skill", "second skill", "first result")
            for rule in ("mean", "sum")
        ),
        *(
            first_wrong(x, outcome)
            for outcome in ("second result", "right")
            for x in ("mean", "sum")
        ),
        first_wrong("first alone", "second skill"),
        first_wrong("second alone", "first skill"),
        f"{sum(own)} of {len(own)}",
    )
    assert {row["seen"] for row in table_rows("failing_step")} == {"other pairs"}
