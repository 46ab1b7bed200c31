"""_contamination: what two sets share is found, every claim can fail, and no split fails it."""

from dataclasses import replace

import numpy as np
import pytest

from loratheory.tasks.word_problems import (
    SPLITS,
    LeakError,
    Pool,
    by_pair,
    by_wording,
    distracted,
    keys,
    leaks,
    lessons,
    pool,
    problems,
    proved_apart,
    proved_disjoint,
    renamed,
    reordered,
    reworded,
    split,
    templates,
    together,
)

FEW = ("add", "rate", "percent")
HERE = pool(FEW, steps=(1, 2, 3), prime=13)


def rng(seed=0):
    return np.random.default_rng(seed)


def drawn(parts, seed=0):
    one = parts.trained.drawn(80, rng=rng(seed), distinct=True)
    return one, parts.held_out.drawn(30, rng=rng(seed + 1), distinct=True, avoid=one)


@pytest.mark.parametrize("by", SPLITS)
def test_no_split_leaks_however_it_is_told(by):
    for seed in range(3):
        parts = split(HERE, by, rng=rng(seed))
        one, other = drawn(parts, seed)
        assert proved_disjoint(parts, one, other) == len(parts.apart)
        told = reordered(renamed(distracted(one, 1, rng=rng(), wordings=parts.trained.wordings),
                                 rng=rng()), rng=rng())  # fmt: skip
        assert proved_disjoint(parts, told, other) == len(parts.apart)


def test_what_is_shared_by_hand():
    rate, both = templates(["rate"], 1), templates(["rate", "percent"], 2)
    one = problems(rate, 3, rng=rng(0), prime=13, wordings=[0, 1])
    other = problems(both, 9, rng=rng(1), prime=13, wordings=[2])
    found = leaks(one, other)
    assert found == (frozenset(),) * 5
    same = leaks(one, reworded(one[np.array([1])], rng=rng(2), wordings=[1, 3]))
    assert same.problems == {keys(one)[1]}
    assert same.templates == {rate[0].code}
    assert same.depths == {1}
    assert leaks(other, other).pairs == {("rate", "percent")}
    assert leaks(other, other).depths == {2}
    assert leaks(other, other).wordings == {2}


def test_the_wording_of_a_question_counts_and_empty_places_do_not():
    one = pool(["rate"], steps=(1, 3)).drawn(2, rng=rng(0))
    one = replace(one, wordings=np.where(one.told, 0, -1), asking=np.array([1, 1]))
    other = replace(one, wordings=np.where(one.told, 2, -1))
    assert leaks(one, other).wordings == {1}


def test_depth_is_not_the_number_of_steps():
    (wide,) = [t for t in templates(["add"], 3) if str(t) ==
               "b = add(a); d = add(c); e = add(b, d)"]  # fmt: skip
    made = problems([wide], 2, rng=rng(), prime=7)
    assert leaks(made, made).depths == {2}


@pytest.mark.parametrize("by", SPLITS)
def test_a_leaked_problem_is_found(by):
    parts = split(HERE, by, rng=rng())
    one, other = drawn(parts)
    leaked = renamed(other[np.array([4])], rng=rng())
    with pytest.raises(LeakError, match="the trained and the held-out problems share 1 problems"):
        proved_disjoint(parts, together([one, leaked]), other)


def test_a_leaked_template_pair_depth_or_wording_is_found():
    parts = by_pair(HERE, [("rate", "percent")])
    one, other = drawn(parts)
    other = other[np.arange(5)]
    again = Pool(other.templates[:1], 13).drawn(1, rng=rng(), avoid=other)
    with pytest.raises(LeakError, match="share 1 templates"):
        proved_disjoint(parts, together([one, again]), other)
    few = [t for t in parts.held_out.templates if t not in {*other.templates}]
    assert few
    with pytest.raises(LeakError, match=r"share 1 pairs \(\('rate', 'percent'\)\)"):
        proved_disjoint(parts, together([one, problems(few, 1, rng=rng(), prime=13)]), other)
    deep = split(HERE, "depth", rng=rng())
    one, other = drawn(deep)
    other = other[np.arange(5)]
    few = [t for t in deep.held_out.templates if t not in {*other.templates}]
    with pytest.raises(LeakError, match=r"share 1 depths \(3\)"):
        proved_disjoint(deep, together([one, problems(few, 1, rng=rng(), prime=13)]), other)
    said = by_wording(HERE, [3])
    one, other = drawn(said)
    with pytest.raises(LeakError, match=r"share 1 wordings \(3\)"):
        proved_disjoint(said, reworded(one, rng=rng(), wordings=[0, 3]), other)


def sets(made):
    first = made.first.drawn(60, rng=rng(0))
    second = made.second.drawn(60, rng=rng(1), avoid=first)
    return [first, second, made.target.drawn(20, rng=rng(2))]


def test_adapters_and_target_are_apart():
    for overlap, bridge in [(0, "serial"), (0.5, "serial"), (0.5, "parallel"), (1, "neutral")]:
        made = lessons("rate", "percent", rng=rng(), overlap=overlap, bridge=bridge, prime=13)
        assert proved_apart(made, *sets(made)) == 8


@pytest.mark.parametrize("number", [0, 1])
def test_leaks_of_adapters_are_found(number):
    made = lessons("rate", "percent", rng=rng(), overlap=0.5, prime=13)
    name = ("first", "second")[number]
    one = sets(made)
    one[number] = together([one[number], one[2][np.array([3])]])
    with pytest.raises(
        LeakError, match=f"the {name} adapter's and the target problems share 1 pro"
    ):
        proved_apart(made, *one)
    one = sets(made)
    one[number] = together([one[number], made.target.drawn(1, rng=rng(9), avoid=one[2])])
    with pytest.raises(LeakError, match=f"the {name} adapter's and the target problems share 1 te"):
        proved_apart(made, *one)
    one, known = sets(made), {*made.shared, *made.target.templates}
    every = pool(FEW, steps=3, prime=13, together=("rate", "percent")).templates
    strange = [t for t in every if t not in known][:1]
    one[number] = together([one[number], problems(strange, 1, rng=rng(), prime=13)])
    with pytest.raises(LeakError, match=f"the {name} adapter's and the other adapter's skill in"):
        proved_apart(made, *one)
    one = sets(made)
    one[1] = together([one[1], one[0][np.array([0])]])
    with pytest.raises(LeakError, match="first adapter's and the second adapter's problems share"):
        proved_apart(made, *one)


def test_an_unshared_template_in_both_is_found():
    made = lessons("rate", "percent", rng=rng(), overlap=0.5, prime=13)
    neutral = problems(templates(["add"], 2)[:1], 2, rng=rng(), prime=13, distinct=True)
    one = sets(made)
    for number in (0, 1):
        one[number] = together([one[number], neutral[np.array([number])]])
    with pytest.raises(LeakError, match="second adapter's problems share 1 templates"):
        proved_apart(made, *one)


def test_the_message_shows_some_of_what_is_shared():
    parts = by_wording(HERE, [3])
    one, _ = drawn(parts)
    with pytest.raises(LeakError) as caught:
        proved_disjoint(parts, one, one)
    shown = sorted(map(str, keys(one)))[:3]
    assert str(caught.value) == (
        f"the trained and the held-out problems share 80 problems ({', '.join(shown)} …);"
        " leave them out of one, or claim less"
    )
