"""Columns against one problem at a time; keys, sets put together, and what two sets share."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds

from loratheory.tasks.word_problems import (
    ImpossibleError,
    distracted,
    keys,
    lessons,
    pool,
    problems,
    programs,
    renamed,
    reordered,
    reworded,
    shape_share,
    stories,
    template_overlap,
    templates,
    together,
)

FEW = ("add", "compare", "rate")


def mixed(seed, rows=20):
    rng = np.random.default_rng(seed)
    made = pool(FEW, steps=(1, 2, 3), prime=7).drawn(rows, rng=rng)
    return reordered(distracted(made, 2, rng=rng), rng=rng)


def solved(here, row):
    """Quantities needed, and the steps to take, by recursion and by a list of what is known."""
    skills, inputs = here.skills[row].tolist(), here.inputs[row].tolist()
    needed = set()

    def need(k):
        needed.add(k)
        for j in inputs[k]:
            if j >= 0:
                need(j)

    need(int(here.asked[row]))
    known = {k for k, skill in enumerate(skills) if skill == 0}
    told = [k for k in here.order[row].tolist() if skills[k] >= 0]
    steps = []
    while not needed <= known:
        k = next(
            k for k in told
            if k in needed and k not in known and {*inputs[k]} - {-1} <= known
        )  # fmt: skip
        known.add(k)
        steps.append(k)
    return needed, steps


@settings(max_examples=12)
@given(seeds)
def test_what_is_needed_and_in_which_order_it_is_solved(seed):
    here = mixed(seed)
    needed, solution = here.needed, here.solution
    for row in range(len(here)):
        wanted, steps = solved(here, row)
        assert {*np.flatnonzero(needed[row]).tolist()} == wanted
        found = solution[row].tolist()
        assert found[: len(steps)] == steps
        assert {*found[len(steps) :]} <= {-1}
        assert here.distractors[row] == sum(here.skills[row] >= 0) - len(wanted) == 2
        assert here.answers[row] == here.values[row, here.asked[row]]


def test_templates_are_those_they_were_drawn_of():
    rng = np.random.default_rng(0)
    here = pool(FEW, steps=2, prime=7)
    made = here.drawn(60, rng=rng)
    assert {*made.templates} == {*here.templates}
    for row, template in enumerate(made.templates):
        assert template.steps == sum(made.solution[row] >= 0)
        assert tuple(n for n in made.graph(row) if n[0] >= 0) == template.nodes


def test_another_question_about_one_graph_has_another_template():
    made = pool(["rate"], steps=2, prime=7).drawn(2, rng=np.random.default_rng(0))
    both = type(made)(**{**vars(made), "asked": np.array([1, 2])})
    assert [str(t) for t in both.templates] == ["b = rate(a)", "b = rate(a); c = rate(b)"]
    assert both.distractors.tolist() == [1, 0]


def test_rows_are_problems():
    here = mixed(1)
    part = here[np.array([3, 0])]
    assert (len(here), len(part)) == (20, 2)
    assert keys(part) == [keys(here)[3], keys(here)[0]]
    assert part.answers.tolist() == [here.answers[3], here.answers[0]]


@pytest.mark.parametrize("name", ["skills", "inputs", "numbers", "values", "names", "asked"])
def test_problems_cannot_be_overwritten(name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(mixed(2), name)[0] = 0


@settings(max_examples=15)
@given(seeds)
def test_telling_it_otherwise_changes_no_key(seed):
    rng = np.random.default_rng(seed)
    made = pool(("add", "compare", "rate"), steps=(1, 2, 3), prime=7).drawn(20, rng=rng)
    for change in (renamed, reordered, reworded):
        assert keys(change(made, rng=rng)) == keys(made)
    assert keys(distracted(made, 2, rng=rng)) == keys(made)


def test_mirror_images_are_the_same_and_only_they():
    """a·x + b·y: the summands may change places, the numbers in them may not."""
    (template,) = [
        t for t in templates(["add", "multiply"], 3)
        if str(t) == "b = multiply(a); d = multiply(c); e = add(b, d)"
    ]  # fmt: skip
    made = problems([template], 400, rng=np.random.default_rng(0), prime=3)
    said = [
        tuple(sorted([(row[0][0], row[1][0]), (row[2][0], row[3][0])]))
        for row in made.numbers.tolist()
    ]
    pairs = set(zip(said, keys(made), strict=True))
    assert len(pairs) == len(set(said)) == len(set(keys(made)))
    assert len(pairs) == 21  # of six pairs (x, a): two, or one twice


def test_templates_keep_their_keys_apart():
    made = pool(["rate", "percent"], steps=1, prime=3).drawn(200, rng=np.random.default_rng(0))
    found = {}
    for key, template in zip(keys(made), made.templates, strict=True):
        assert found.setdefault(key, template) == template
    assert {code for code, _ in found} == {t.code for t in made.templates}


def test_no_problems_have_no_keys():
    made = pool(["rate"], steps=1, prime=3).drawn(2, rng=np.random.default_rng(0))
    assert keys(made[np.array([], dtype=np.int64)]) == []


def apart(prime=0):
    rng = np.random.default_rng(0)
    return [pool(["rate", "add"], steps=k, prime=prime).drawn(9, rng=rng) for k in (3, 1, 2)]


def test_all_is_as_it_was_apart():
    parts = apart()
    whole = together(parts)
    assert len(whole) == 27
    for said in (keys, stories, programs):
        assert said(whole) == [each for part in parts for each in said(part)]
    assert whole.answers.tolist() == [a for part in parts for a in part.answers.tolist()]
    assert whole.distractors.max() == 0
    assert (np.sort(whole.order, axis=1) == np.arange(whole.order.shape[1])).all()
    for empty in (whole.inputs, whole.numbers, whole.values, whole.names):
        assert (empty[~whole.told] == -1).all()
    assert (np.sort(whole.solution, axis=1)[:, -1] == whole.asked).all()


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ImpossibleError, match=r"problems modulo \[0, 7\] do not mix"):
        together([apart()[0], apart(7)[0]])
    with pytest.raises(ImpossibleError, match="there are no problems"):
        together([])


sets = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12)


def test_overlap_on_paper():
    assert template_overlap("aab", "abbb") == pytest.approx(1 / 4 + 1 / 3)
    assert template_overlap("ab", "cd") == 0
    assert template_overlap("aabb", "ab") == 1


@given(sets, sets)
def test_overlap_is_one_less_the_total_variation(first, second):
    far = sum(
        abs(Fraction(first.count(x), len(first)) - Fraction(second.count(x), len(second)))
        for x in "abcd"
    )
    assert template_overlap(first, second) == pytest.approx(float(1 - far / 2))
    assert template_overlap(first, second) == pytest.approx(template_overlap(second, first))


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 1])
def test_lessons_have_the_overlap_they_were_made_with(overlap):
    rng = np.random.default_rng(3)
    made = lessons("rate", "percent", rng=rng, overlap=overlap, prime=7)
    drawn = [part.drawn(160, rng=rng).templates for part in (made.first, made.second)]
    assert template_overlap(*drawn) == pytest.approx(overlap)


def test_shapes_forget_skills_but_not_how_steps_feed_each_other():
    one = pool(["rate"], steps=1, prime=7).templates
    two = pool(["multiply"], steps=2, prime=7).templates
    asked = pool(["rate", "percent"], steps=2, prime=7, together=["rate", "percent"]).templates
    assert len(asked) == 2
    assert shape_share(one, asked) == 0
    assert shape_share(two, asked) == 1
    assert shape_share([*one, *one, *one, *two], asked) == 1 / 4
    joining = [each for each in pool(["add"], steps=2, prime=7).templates if each.depth == 1]
    assert shape_share([*joining, *two], asked) == 1 / (len(joining) + 1)


@pytest.mark.parametrize("measure", [template_overlap, shape_share])
def test_nothing_has_no_overlap(measure):
    some = pool(["rate"], steps=1, prime=7).templates
    for first, second in (((), some), (some, ())):
        with pytest.raises(ImpossibleError, match="give at least one solution each"):
            measure(first, second)
