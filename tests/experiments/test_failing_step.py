"""Outcomes of solutions: counted whole, the first of each as it was written."""

import numpy as np
import pytest
from tiny_words import TINY

from loratheory.experiments.failing_step import ASKED, OUTCOMES, Config, cell, outcome
from loratheory.experiments.words._cases import MEASURED

MUTANTS = [
    ("(0, 1, 2, 2, 3, 4, 5, 6, 6, 7)", "(0, 1, 2, 2, 3, 4, 5, 6, 7, 7)"),
    ("if due != said)", "if due == said)"),
    ("!= LESSON", '!= ("own", 1.0)'),
    ("asked(config.size.asked)[e]", "asked(config.size.asked)[0]"),
    ("here.only(e)", "here.only(0)"),
    ("found[ends.index(end)]", "found[0]"),
    ("ends.count(end) / len(ends)", "ends.count(end) / 64"),
    ("zip_longest(solution.split()", "zip(solution.split()"),
]
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
    rows = cell(Config("problems", 101, MEASURED, TINY))
    assert len(rows) == 2 * len(ASKED) * len(OUTCOMES)
    for (links, count, _), k in zip(seen, range(2 * len(ASKED)), strict=True):
        assert (links, count) == ({MEASURED[k // len(ASKED)]}, TINY.asked)
    for row in rows:
        assert (row["first"], row["second"]) in MEASURED
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
    from loratheory.experiments import template_overlap
    from loratheory.experiments.words import _written

    config = Config("problems", 101, MEASURED, TINY)
    again = template_overlap.Config("problems", 101, MEASURED, TINY)
    here, found = template_overlap.measured(again), []

    def _solutions(_, asked, adapt):
        found.append(adapt)
        return [["question", RIGHT, RIGHT]] * len(asked)

    monkeypatch.setattr(_written, "solutions", _solutions)
    cell(config)
    places = [e for e, case in enumerate(here.cases) if (case.bridge, case.share) == ("own", 0.5)]
    for k, e in enumerate(places):
        alone = found[k * len(ASKED) + ASKED.index("first alone")]
        name = "layers.0.mlp.in"
        assert np.array_equal(alone.down[name][0], here.first.down[name][e])
        assert len(alone.down[name]) == 1
