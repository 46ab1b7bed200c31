"""Bases have seen what is said, lessons never share the target; votes as the theorem has them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratheory.experiments.bench import problems as p
from paper.studies._shared.problems import (
    MEASURED,
    SHARES,
    margin,
    overlapping,
    share_needed,
)
from loratheory.tasks.word_problems import shape_share, template_overlap
from loratheory.theorems.composition.template_vote import Case as Votes
from loratheory.theorems.composition.template_vote import bound, overlap_needed


def written(prompts):
    """The words and signs of each row, and of what it is to answer."""
    rows, targets = (
        [p.CODE.written(row).split() for row in side] for side in (prompts.tokens, prompts.targets)
    )
    return [({w.partition("/")[0] for w in r}, t) for r, t in zip(rows, targets, strict=True)]


def words_of(rows):
    return set().union(*(words for words, _ in rows))


def test_a_target_is_solved_in_its_order():
    (row,) = p.drawn([p.linked(("divide", "percent"))], 1, np.random.default_rng(0)).templates
    assert str(row) == "b = divide(a); c = percent(b)"
    assert set(p.PAIRS) == {(a, b) for a in p.SKILLS for b in p.SKILLS if a != b}


@pytest.mark.parametrize("kind", p.KINDS)
def test_each_kind_has_seen_what_it_says(kind):
    sets = p.pretraining(kind, 101, 12)
    assert all(one.tokens.shape[1] == sets[0].tokens.shape[1] for one in sets)
    rows = [row for one in sets for row in written(one)]
    assert words_of(rows) >= {*p.CONTEXT, *p.SKILLS}
    assert max(len(answer) for _, answer in rows) == (5 if kind == "single steps" else 10)
    met = [answer for _, answer in rows if len({*p.SKILLS} & {*answer}) == 2]
    assert not met


@pytest.mark.parametrize("count", [10, 12])
def test_a_base_meets_some_ordered_pairs_and_is_asked_the_rest(count):
    asked = Counter()
    for seed in range(10):
        known, cases = p.met(seed, count), p.Unmet(seed=seed, met=count).cases()
        assert {a for a, b in known if a == b} == {*p.CONTEXT, *p.SKILLS}
        pairs = {pair for pair in known if len({*pair}) == 2}
        unmet = {case.pair for case in cases}
        assert len(pairs) == count
        assert unmet == {*p.ALL_PAIRS} - pairs
        assert len({*cases}) == len(cases) == len(unmet) * len(p.LESSONS)
        asked.update(unmet)
    assert {*asked} == {*p.ALL_PAIRS}
    assert min(asked.values()) >= 4
    assert p.met(0, count)[:count] != p.met(5, count)[:count]


def test_prompts_have_the_two_steps_that_a_base_is_to_meet_and_no_others():
    sets = p.Unmet(seed=0, size=p.Size(problems=60)).prompts()
    rows = [row for one in sets for row in written(one)]
    assert {(words[1], words[6]) for _, words in rows if len(words) == 10} == {*p.met(0, 12)}


@pytest.mark.parametrize("case", p.Unmet(seed=3, met=12).cases())
def test_lessons_beside_others_hold_pairs_that_the_base_has_met(case):
    known = {p.linked(pair): {*pair} for pair in p.met(3, 12)}
    for skill, lesson in zip(case.pair, case.lessons, strict=True):
        assert lesson.own == (skill,)
        assert lesson.share == case.share > 0
        assert {*lesson.shared} == {
            one for one, skills in known.items() if (skill in skills) == (case.bridge == "own")
        }
    assert {*case.composed.shared} == {p.linked(case.pair), p.linked(case.pair[::-1])}


@pytest.mark.parametrize("how", p.PRACTISED.values())
@pytest.mark.parametrize("pair", p.PAIRS)
def test_no_lesson_of_either_adapter_has_the_others_skill(pair, how):
    for skill, partner in (pair, pair[::-1]):
        lessons = how.taught(pair, skill)
        met = [{*template.skills} for lesson in lessons for template in lesson.shared]
        assert all(lesson.own == (skill,) for lesson in lessons)
        assert all(skill in two and partner not in two for two in met)
        wanted = {"none": (), "known": p.CONTEXT, "others": p.others(pair)}[how.lessons]
        assert {one for two in met for one in two} - {skill} == {*wanted}
        assert len(lessons) == (3 if how.lessons == "others" else 1)


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 1])
def test_a_lesson_holds_the_share_of_shared_templates(share):
    shared = (p.linked(("percent", "multiply")),)
    one, two = (p.Lesson((s,), shared, share) for s in ("multiply", "percent"))
    sets = [lesson.drawn(40, np.random.default_rng(7)).templates for lesson in (one, two)]
    assert template_overlap(*sets) == pytest.approx(share)
    assert shape_share(sets[0], [p.linked(("multiply", "percent"))]) == share
    assert sum(t.steps == 1 and t.skills == {"multiply"} for t in sets[0]) == 40 * (1 - share)


ROWS = 2 * sum(p.WEIGHTS)  # so that the shares come out even


def test_a_sum_is_sign_and_numbers_and_no_word():
    here = p.drawn(p.single(["divide"]), 30, np.random.default_rng(0))
    rows = p.sums(here)
    for k, (row, target) in enumerate(zip(rows.tokens, rows.targets, strict=True)):
        sign, x, n = p.CODE.written(row).split()
        assert (sign, int(x) * pow(int(n), -1, 7) % 7) == ("divide", here.answers[k])
        assert p.CODE.written(target) == str(here.answers[k])
        assert target.tolist()[:2] == [-1, -1]


@pytest.mark.parametrize("seen", p.SEEN)
def test_each_base_has_met_what_it_says(seen):
    sets = p.covering(seen, 101, ROWS)
    assert len({one.tokens.shape[1] for one in sets}) == 1
    rows = [written(one) for one in sets]
    every = words_of(row for one in rows for row in one)
    assert bool(every & {*"ABCDEFGHIJKL"}) == (seen != "sums")
    assert every >= {*p.CONTEXT, *p.SKILLS}
    problems = words_of(row for one in rows for row in one if row[0] & {"?", "?:"})
    assert bool(problems & {*p.SKILLS}) == (seen not in ("sums", "other words"))
    two = [[answer for _, answer in one] for one in rows if len(one[0][1]) == 10]
    assert len(two) == (4 if seen in ("other words", "other pairs", "pairs") else 0)
    assert len(sets) == {"sums": 1, "single steps": 3}.get(seen, 7)
    met = [(words[1], words[6]) for one in two for words in one]
    share = {pair: met.count(pair) / max(len(met), 1) for pair in p.PAIRS}
    assert share == pytest.approx(p.coverage(seen, 101), abs=1e-9)
    assert (max(share.values()) > 0.3) == (seen == "pairs")


@pytest.mark.parametrize("case", overlapping())
def test_nothing_shared_is_asked(case):
    target = p.linked(case.pair)
    one, two = case.lessons
    assert one.share == two.share == case.joint.share == case.share
    assert (*one.own, *two.own) == case.pair
    for skill, lesson in zip(case.pair, (one, two), strict=True):
        assert target not in lesson.shared
        assert {t.steps for t in lesson.shared} <= {2}
        wanted = {
            "none": set(),
            "serial": {frozenset(case.pair)},
            "own": {frozenset([skill]), *(frozenset([skill, s]) for s in p.CONTEXT)},
            "neutral": {frozenset(p.CONTEXT), *(frozenset([s]) for s in p.CONTEXT)},
        }
        assert {t.skills for t in lesson.shared} == wanted[case.bridge]
    common = {*one.shared} & {*two.shared}
    assert bool(common) == (case.bridge in ("serial", "neutral"))
    assert {*case.joint.shared} == {*one.shared, *two.shared}
    assert {*case.joint.own} == {*case.pair}
    assert {*case.composed.shared} == {target, p.linked(case.pair[::-1])}
    assert case.composed.share == 1


def test_every_level_of_every_bridge_is_a_case_once():
    cases = [(c.pair, c.bridge, c.share) for c in overlapping()]
    levels = 1 + sum(map(len, SHARES.values())), 1 + len(SHARES["own"])
    assert len(set(cases)) == len(cases) == sum(levels)
    assert {c.bridge for c in overlapping(MEASURED[1:])} == {"none", "own"}


@given(st.floats(0, 1), st.floats(0.05, 1.5), st.booleans(), st.integers(1, 4))
def test_the_margin_is_the_theorems(share, coefficient, habit, adapters):
    habits = np.array([[1.0], [0.0]] if habit else [[0.0], [1.0]])
    each = np.array([[share], [1 - share]])
    case = Votes(np.eye(1), habits, (each,) * adapters, (coefficient,) * adapters)
    assert margin(share, coefficient, habit=habit, adapters=adapters) == pytest.approx(bound(case))


@given(st.floats(0.3, 1.5), st.booleans())
def test_at_the_share_needed_the_margin_is_zero(coefficient, habit):
    share = share_needed(coefficient, habit=habit)
    assert margin(share, coefficient, habit=habit) == pytest.approx(0, abs=1e-12)
    if not habit:
        assert share == pytest.approx(overlap_needed(2, coefficient))
