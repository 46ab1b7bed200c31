"""Columns against one problem at a time; numbers uniform over those that make sense; overlaps."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from sums import read, run

from loratheory.tasks.word_problems import (
    SKILLS,
    ImpossibleError,
    distracted,
    keys,
    pool,
    problems,
    programs,
    reordered,
    shape_share,
    stories,
    template_overlap,
    templates,
    together,
)

FEW = ("add", "compare", "rate")


def rng(seed=0):
    return np.random.default_rng(seed)


def named(text, skills, steps):
    (found,) = [each for each in templates(skills, steps) if str(each) == text]
    return found


def mixed(seed, rows=12):
    made = pool(FEW, steps=(1, 2, 3), prime=7).drawn(rows, rng=rng(seed))
    return reordered(distracted(made, 2, rng=rng(seed)), rng=rng(seed))


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
    known, steps = {k for k, skill in enumerate(skills) if skill == 0}, []
    order = [k for k in here.order[row].tolist() if k in needed]
    while not needed <= known:
        k = next(k for k in order if k not in known and {*inputs[k]} - {-1} <= known)
        known.add(k)
        steps.append(k)
    return needed, steps


@settings(max_examples=4)
@given(seeds)
def test_what_is_needed_and_in_which_order_it_is_solved(seed):
    here = mixed(seed)
    needed, solution = here.needed, here.solution
    for row, template in enumerate(here.templates):
        wanted, steps = solved(here, row)
        assert {*np.flatnonzero(needed[row]).tolist()} == wanted
        found = solution[row].tolist()
        assert found[: len(steps)] == steps
        assert {*found[len(steps) :]} <= {-1}
        assert here.distractors[row] == sum(here.skills[row] >= 0) - len(wanted) == 2
        assert here.answers[row] == here.values[row, here.asked[row]]
        assert template.steps == len(steps)
    part = here[np.array([3, 0])]
    assert keys(part) == [keys(here)[3], keys(here)[0]]
    assert keys(part[np.array([], dtype=np.int64)]) == []
    for name in ("skills", "inputs", "numbers", "values", "names", "asked"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(here, name)[0] = 0


def test_templates_are_those_they_were_drawn_of_equally_often_in_random_places():
    every = templates(["add", "rate"], 2)
    made = problems(every, 5 * len(every) + 3, rng=rng(1), prime=5)
    counts = Counter(made.templates)
    assert {*counts} == {*every}
    assert {*counts.values()} == {5, 6}
    assert len({*made.templates[: len(every)]}) < len(every)
    assert len({*problems(every, 4, rng=rng(1), prime=5).templates}) == 4
    both = pool(["rate"], steps=2, prime=7).drawn(2, rng=rng())
    both = type(both)(**{**vars(both), "asked": np.array([1, 2])})
    assert [str(t) for t in both.templates] == ["b = rate(a)", "b = rate(a); c = rate(b)"]
    assert both.distractors.tolist() == [1, 0]


def test_mirror_images_are_the_same_and_only_they():
    """a·x + b·y: the summands may change places, the numbers in them may not."""
    template = named("b = multiply(a); d = multiply(c); e = add(b, d)", ["add", "multiply"], 3)
    made = problems([template], 400, rng=rng(), prime=3)
    said = [
        tuple(sorted([(row[0][0], row[1][0]), (row[2][0], row[3][0])]))
        for row in made.numbers.tolist()
    ]
    pairs = set(zip(said, keys(made), strict=True))
    assert len(pairs) == len(set(said)) == len(set(keys(made)))
    assert len(pairs) == 21  # of six pairs (x, a): two, or one twice
    assert {code for code, _ in keys(made)} == {template.code}


def test_all_numbers_that_make_sense_are_equally_likely():
    """Modulo 3: a ÷ n has 3 · 2 of them; 0.4 percent of draws lie outside six deviations."""
    rows = 6000
    made = problems([named("b = divide(a)", ["divide"], 1)], rows, rng=rng(), prime=3)
    counts = Counter((row[0][0], row[1][0]) for row in made.numbers.tolist())
    assert {*counts} == {(a, n) for a in range(3) for n in (1, 2)}
    assert max(abs(count - rows / 6) for count in counts.values()) < 6 * (rows / 6) ** 0.5
    share = made.excluded["division by zero modulo the prime"] / rows
    assert list(made.excluded) == ["division by zero modulo the prime"]
    assert abs(share - 1 / 2) < 0.1  # one draw of three is lost


def test_a_later_draw_is_as_good_as_the_first():
    """A ÷ n ÷ m in whole numbers: few draws do, and those are uniform over n and m given a."""
    template = named("b = divide(a); c = divide(b)", ["divide"], 2)
    made = problems([template], 3000, rng=rng(1))
    a, n, m = made.numbers[:, [0, 1, 2], 0].T
    assert (a % (n * m) == 0).all()
    every = [(x, p, q) for x in range(2, 121) for p in range(2, 10) for q in range(2, 10)
             if x % (p * q) == 0]  # fmt: skip
    counts = Counter(zip(n.tolist(), m.tolist(), strict=True))
    for p, q in [(2, 2), (3, 4), (9, 9)]:
        wanted = 3000 * sum(each[1:] == (p, q) for each in every) / len(every)
        assert abs(counts[p, q] - wanted) < 6 * wanted**0.5 + 1
    tried = 3000 + sum(made.excluded.values())
    assert abs(3000 / tried - len(every) / (119 * 64)) < 0.02


def test_what_is_said_is_what_the_form_takes_and_all_that_may_vary_varies():
    made = pool(FEW, steps=(1, 2)).drawn(300, rng=rng(3))
    for row, template in enumerate(made.templates):
        for k, (skill, inputs) in enumerate(template.nodes):
            said = sum(n >= 0 for n in made.numbers[row, k].tolist())
            assert said == (1 if not skill else {6: 2}.get(skill, 2 - len(inputs)))
        names = made.names[row][made.present[row]].tolist()
        assert len({*names}) == len(names)
    assert {*made.names[made.present].tolist()} == {*made.scenes.tolist()} == {*range(12)}
    assert {*made.wordings[made.present].tolist()} == {*range(4)}
    two = problems(templates(["add"], 1), 50, rng=rng(2), wordings=[3, 1])
    assert {*two.wordings[two.present].tolist()} == {*two.asking.tolist()} == {1, 3}
    one, same, other = (pool(FEW).drawn(9, rng=rng(k)) for k in (3, 3, 4))
    assert stories(one) == stories(same) != stories(other)


def test_distinct_means_distinct_and_avoided_means_avoided():
    here = pool(["rate", "percent"], steps=1, prime=7)
    one = here.drawn(40, rng=rng(4), distinct=True)
    other = here.drawn(200, rng=rng(4), avoid=one)
    assert len(set(keys(one))) == 40
    assert not set(keys(one)) & set(keys(other))
    assert len(set(keys(other))) < 200
    assert one.excluded["the same as another"] > 0
    assert "the same as another" not in here.drawn(5, rng=rng(4)).excluded
    here = pool(["multiply"], steps=1, prime=3)  # 3 quantities, 2 factors
    assert len({*keys(here.drawn(6, rng=rng(5), distinct=True))}) == 6
    with pytest.raises(ImpossibleError) as caught:
        here.drawn(7, rng=rng(5), distinct=True)
    assert "found no new numbers for 1 of 7 problems" in str(caught.value)
    assert "the template b = multiply(a); ask for fewer, for a larger prime" in str(caught.value)


def test_a_thousand_problems_without_an_error():
    """All skills, up to two distractors, half of them told in a random order.

    The English and the programs are solved by routes that know nothing of the graphs; a count that
    is negative or no whole number anywhere, or a sentence that can be read in two ways, is an
    error too.
    """
    longest = pool(("add", "compare", "rate", "percent"), steps=3).drawn(400, rng=rng())
    short = reordered(pool(SKILLS, steps=(1, 2)).drawn(600, rng=rng()), rng=rng())
    for part in (short, distracted(longest, 2, rng=rng())):
        columns = (stories(part), programs(part), part.answers.tolist())
        for story, program, answer in zip(*columns, strict=True):
            assert read(story.problem) == run(program) == answer == int(story.answer)
        assert (part.values[part.present] > 0).all()
    assert {"not a whole number", "nothing or less is left"} <= {*short.excluded}
    assert all(short.excluded.values())


def test_a_pool_has_all_templates_that_have_problems():
    here = pool(["rate", "add"], steps=(2, 1), prime=5)
    assert here.templates == templates(["rate", "add"], 1) + templates(["rate", "add"], 2)
    assert (here.prime, here.wordings) == (5, (0, 1, 2, 3))
    every = {*templates(SKILLS, 2)}
    assert {*pool(SKILLS, steps=2, prime=7).templates} == every
    assert {str(each) for each in every - {*pool(SKILLS, steps=2).templates}} == {
        "b = divide(a); c = subtract(b, a)",
        "b = percent(a); c = subtract(b, a)",
        "b = multiply(a); c = subtract(a, b)",
        "b = add(a); c = subtract(a, b)",
        "b = subtract(a); c = subtract(b, a)",
        "c = add(a, b); d = subtract(a, c)",
        "c = subtract(a, b); d = subtract(c, a)",
    }


def test_all_is_as_it_was_apart():
    parts = [pool(["rate", "add"], steps=k).drawn(9, rng=rng()) for k in (3, 1, 2)]
    both = together(parts)
    for said in (keys, stories, programs, lambda each: each.answers.tolist()):
        assert said(both) == [each for part in parts for each in said(part)]
    assert both.distractors.max() == 0
    assert (np.sort(both.order, axis=1) == np.arange(both.order.shape[1])).all()
    for empty in (both.inputs, both.numbers, both.values, both.names):
        assert (empty[~both.present] == -1).all()
    lost = sum((Counter(part.excluded) for part in parts), Counter())
    assert both.excluded == dict(lost)


def drawn(**wanted):
    request = {"templates": templates(["add"], 1), "rows": 5, **wanted}
    return problems(**request, rng=rng())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: drawn(rows=0), "the number of problems is 0"),
        (lambda: drawn(wordings=[]), "wordings are []; name some of 0, 1, 2, 3"),
        (lambda: drawn(wordings=[4]), "wordings are [4]; name some of"),
        (lambda: drawn(prime=4), "numbers modulo 4 are asked for"),
        (lambda: drawn(templates=()), "there are no templates to draw 5 problems of; name more"),
        (
            lambda: drawn(templates=[named("b = divide(a); c = subtract(b, a)", SKILLS, 2)]),
            "found no numbers for 5 of 5 problems",
        ),
        (lambda: pool(["sing"]), "unknown skills: 'sing'; choose from add"),
        (lambda: pool(["percent"], prime=5), "100 is 0 modulo 5"),
        (lambda: pool(["add"], steps=7), "steps is 7; ask for a number from 1 to 4"),
        (lambda: pool(["add"], steps=()), "no template with  steps has problems"),
        (lambda: together([]), "there are no problems"),
        (
            lambda: together([pool(FEW, prime=p).drawn(2, rng=rng()) for p in (0, 7)]),
            "problems modulo [0, 7] do not mix",
        ),
        (lambda: template_overlap("", "ab"), "sets of 0 and 2 solutions have no overlap"),
        (lambda: shape_share(templates(FEW, 1), ()), "give at least one solution each"),
    ],
)
def test_bad_requests_are_refused(make, says):
    with pytest.raises(ImpossibleError) as caught:
        make()
    assert says in str(caught.value)


sets = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12)


@settings(max_examples=30)
@given(sets, sets)
def test_overlap_is_one_less_the_total_variation(first, second):
    far = sum(
        abs(Fraction(first.count(x), len(first)) - Fraction(second.count(x), len(second)))
        for x in "abcd"
    )
    assert template_overlap(first, second) == pytest.approx(float(1 - far / 2))
    assert template_overlap("aab", "abbb") == pytest.approx(1 / 4 + 1 / 3)


def test_shapes_forget_skills_but_not_how_steps_feed_each_other():
    one, two, asked = templates(["rate"], 1), templates(["multiply"], 2), templates(["percent"], 2)
    assert shape_share(one, asked) == 0
    assert shape_share(two, asked) == 1
    assert shape_share([*one, *one, *one, *two], asked) == 1 / 4
    joining = [each for each in templates(["add"], 2) if each.depth == 1]
    assert shape_share([*joining, *two], asked) == 1 / (len(joining) + 1)
