"""Edits of a model that composes: who has which old facts, what is asked, curves by hand."""

from collections import Counter
from math import exp, isnan

import numpy as np
import pytest

from loratheory.experiments import csv_text, real_window
from loratheory.experiments.bench import overwritten as bench

GOLDEN = (5**0.5 - 1) / 2


@pytest.fixture(scope="module")
def made(both):
    return bench.edits(both.world, both.seed)


def test_each_case_has_its_old_facts(both, made):
    old, new = made.old, made.new
    assert old == both.world
    count = len(old.first) // 2
    assert Counter(made.case.values()) == dict.fromkeys(bench.CASES, count)
    edited = {*old.second} & {*new.second}
    for person, case in made.case.items():
        country = new.first[person]
        assert (person in old.first) == case.startswith("overwrite")
        assert (country in edited) == (case != "new facts")
        if person in old.first:
            assert old.first[person] != country
            assert (old.first[person] in edited) == (case == "overwrite both")
            assert new.two_hop[person] != old.two_hop[person]
    assert all(old.second[country] != new.second[country] for country in edited)
    assert len({*new.second.values()}) == len(new.second)


def test_the_right_word_is_the_worlds_and_paths_lead_to_it(made):
    for asked in made.questions():
        world = made.old if asked.hop == "old" else made.new
        facts = {"hop 1": world.first, "hop 2": world.second}.get(asked.hop, world.two_hop)
        assert asked.word == facts[asked.name]
        assert asked.name in asked.prompt
        names = made.path(asked)
        assert len(names) == {"hop 1": 1, "hop 2": 1, "two hops": 2, "old": 0}[asked.hop]
        if asked.hop == "two hops":
            assert made.new.second[names[1]] == asked.word


def by_hand(made, margin):
    """Rows if each margin is a function of the coefficient of both, or of the hop's own edit."""
    asked = [*made.questions()]
    found = {(c, c): np.full(len(asked), margin(c)) for c in bench.COEFFICIENTS}
    for pair in bench.SINGLE.values():
        own = [bench.SINGLE.get(one.hop) == pair for one in asked]
        found[pair] = np.where(own, margin(1.0), margin(0.0))
    return [*bench.curves(made, asked, found)]


def test_edits_of_strength_one_are_foretold_as_theory_says(made):
    rows = by_hand(made, lambda c: 4.0 * c - 2)  # a deficit of 2 becomes a margin of 2
    for row in rows:
        c, two = row["coefficient"], row["hop"] == "two hops"
        assert row["right"] == row["line"] == (c > 0.5)
        assert row["line_right"] == 1
        assert row["line_brier"] == round((1 / (1 + exp(-(4 * c - 2) / 5)) - (c > 0.5)) ** 2, 3)
        if row["hop"] == "old":
            assert isnan(row["law"])
            assert isnan(row["decided_right"])
            continue
        needed = {"overwrite": GOLDEN, "new facts": 0}.get(row["case"], 0.5) if two else 0.5
        assert row["law"] == (c > needed)
        assert row["decided"] == (c > 0.5)
        assert row["law_right"] == (row["law"] == row["right"])


def test_strengths_and_the_line_are_measured_at_both_ends(made):
    rows = by_hand(made, lambda c: 5.0 * c - 1 if c < 1.2 else -1)
    for row in rows:  # from -1 to 4: a strength of 2.5
        c = row["coefficient"]
        assert row["right"] == (0.2 < c < 1.2)
        assert row["line"] == (c > 0.2)
        assert row["line_right"] == (c < 1.2)
        if row["hop"] != "old":
            assert row["decided"] == (c > 0.2)


def test_strengths_are_means_over_sentences_that_nobody_read(made):
    asked = [one for one in made.questions() if one.hop == "hop 1"]
    read = np.array([one.sentence == 0 for one in asked])
    odd = np.array([one.sentence % 2 for one in asked])
    found = {(0.0, 0.0): np.where(read, 50.0, -1 - odd), (1.0, 0.0): np.where(read, 50.0, 2.0)}
    wanted = (2 + 1.5) / (2 * 1.5)  # two unread sentences: deficits of 1 and 2
    assert bench.strengths(asked, found) == dict.fromkeys(made.new.first, pytest.approx(wanted))


def test_a_cell_has_every_kind_of_question_at_every_coefficient(both):
    rows = real_window.cell(real_window.Config("plain", seed=both.seed))
    kinds = Counter((row["hop"], row["case"], row["read"]) for row in rows)
    assert len(kinds) == 4 * 2 + 2 + 4 + 2
    assert {*kinds.values()} == {len(bench.COEFFICIENTS)}
    assert all(0 <= row["right"] <= 1 for row in rows)
    assert csv_text(rows).count("\n") == len(rows) + 1
