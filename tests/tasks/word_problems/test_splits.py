"""Every split is what it says; what two sets share is found; every claim can fail."""

from dataclasses import replace

import numpy as np
import pytest

from loratheory.tasks.word_problems import (
    SPLITS,
    ImpossibleError,
    LeakError,
    Pool,
    contents,
    keys,
    pool,
    problems,
    proved_disjoint,
    renamed,
    reworded,
    sets,
    split,
    templates,
    together,
)

FEW = ("add", "rate", "percent")
HERE = pool(FEW, steps=(1, 2, 3), prime=13)
SMALL = pool(["add", "rate"], steps=(1, 2), prime=13)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("by", "pairs", "out"),
    [
        ("pair", [("rate", "percent")], lambda t: {"rate", "percent"} <= t.skills),
        ("pair", [("percent", "rate")], lambda t: {"rate", "percent"} <= t.skills),
        (
            "pair",
            [("rate", "percent"), ("percent", "add")],
            lambda t: "percent" in t.skills and len(t.skills) > 1,
        ),
        ("depth", (), lambda t: t.depth == 3),
    ],
)
def test_what_is_held_out_is_what_the_words_say(by, pairs, out):
    made = split(HERE, by, pairs=pairs, rng=rng())
    assert made.held_out == replace(HERE, templates=tuple(t for t in HERE.templates if out(t)))
    assert made.trained == replace(HERE, templates=tuple(t for t in HERE.templates if not out(t)))
    assert made.pairs == {tuple(sorted(pair, key=FEW.index)) for pair in pairs}


@pytest.mark.parametrize("by", SPLITS)
def test_a_fifth_is_held_out_at_random(by):
    made = [split(HERE, by, rng=rng(seed)) for seed in range(6)]
    one = made[0]
    assert (one.by, one.apart) == (by, SPLITS[by])
    assert (len({*made}) == 1) == (by == "depth")
    trained, held_out = ({*part.templates} for part in (one.trained, one.held_out))
    if by == "wording":
        assert trained == held_out == {*HERE.templates}
        assert sorted(one.trained.wordings + one.held_out.wordings) == [0, 1, 2, 3]
        assert len(one.held_out.wordings) == 1
        return
    assert trained | held_out == {*HERE.templates}
    assert not trained & held_out
    assert one.trained.wordings == one.held_out.wordings == HERE.wordings
    assert len(one.pairs) == (by == "pair")
    if by == "template":
        assert len(held_out) == round(len(HERE.templates) / 5)


@pytest.mark.parametrize(
    ("here", "by", "pairs", "says"),
    [
        (pool(["rate"], prime=7), "depth", (), "this split leaves no problem for training"),
        (replace(HERE, wordings=(2,)), "wording", (), "this split leaves no problem for training"),
        (
            replace(HERE, templates=tuple(t for t in HERE.templates if "add" in t.skills)[-1:]),
            "template",
            (),
            "holding out a template, this split leaves no problem for training; hold out another",
        ),
        (HERE, "pair", [("add", "divide")], "leaves no problem for testing"),
        (HERE, "pair", [("add", "add")], "add and add; name two different skills"),
        (HERE, "pair", [("add",)], "name two different skills in each"),
        (HERE, "pair", [("add", "rate", "percent")], "name two different skills in each"),
        (HERE, "pair", [("add", "swim")], "unknown skills: 'swim'"),
        (HERE, "luck", (), "choose one of pair, template, depth, wording"),
        (pool(["rate"], prime=7), "pair", (), "no two skills meet in any template"),
    ],
)
def test_impossible_splits_are_refused(here, by, pairs, says):
    with pytest.raises(ImpossibleError, match=says):
        split(here, by, pairs=pairs, rng=rng())


@pytest.mark.parametrize("by", SPLITS)
@pytest.mark.parametrize("distractors", [0, 2])
def test_sets_are_distinct_and_proved_apart(by, distractors):
    parts = split(SMALL, by, rng=rng(1))
    made = sets(parts, 61, rng=rng(), distractors=distractors, skills=("add", "rate"))
    train, test = made["train"], made["test"]
    assert ([*made], len(train), len(test)) == (["train", "test"], 49, 12)
    assert len({*keys(train), *keys(test)}) == 61
    assert proved_disjoint(parts, train, test) == len(parts.apart)
    for part, source in ((train, parts.trained), (test, parts.held_out)):
        assert part.distractors.tolist() == [distractors] * len(part)
        assert {*part.skills[part.present & ~part.needed].tolist()} <= {0, 1, 6}
        assert {*part.wordings[part.present].tolist()} <= {*source.wordings}
        assert {*part.templates} <= {*source.templates}


def test_two_problems_are_the_least_that_can_be_split():
    parts = split(pool(["add"], steps=1, prime=5), "wording", rng=rng())  # 15 and 25 problems
    made = sets(parts, 28, rng=rng(1))
    assert len({*keys(made["train"]), *keys(made["test"])}) == 28
    assert [len(part) for part in sets(parts, 2, rng=rng(1)).values()] == [1, 1]
    with pytest.raises(ImpossibleError, match="problems in all is 1; ask for a number of at least"):
        sets(parts, 1, rng=rng())


def shared(one, other):
    a, b = contents(one), contents(other)
    return {kind: {*(a[kind] & b[kind])} for kind in a if a[kind] & b[kind]}


def test_what_is_shared_by_hand():
    rate, both = templates(["rate"], 1), templates(["rate", "percent"], 2)
    one = problems(rate, 3, rng=rng(0), prime=13, wordings=[0, 1])
    other = problems(both, 9, rng=rng(1), prime=13, wordings=[2])
    assert shared(one, other) == {}
    same = shared(one, reworded(one[np.array([1])], rng=rng(2), wordings=[1, 3]))
    assert same["problems"] == {keys(one)[1]}
    assert (same["templates"], same["depths"]) == ({rate[0].code}, {1})
    found = contents(other)
    assert found["pairs"] == {("rate", "percent")}
    assert (found["depths"], found["wordings"]) == ({2}, {2})
    (wide,) = [t for t in templates(["add"], 3) if str(t) ==
               "b = add(a); d = add(c); e = add(b, d)"]  # fmt: skip
    assert contents(problems([wide], 2, rng=rng(), prime=7))["depths"] == {2}
    one = problems(both, 2, rng=rng(0), wordings=[0])
    one = replace(one, asking=np.array([1, 1]))  # the wording of a question counts
    assert contents(one)["wordings"] == {0, 1}


def lone(parts, other):
    """A held-out template of which `other` has no problem."""
    return [t for t in parts.held_out.templates if t not in {*other.templates}][:1]


@pytest.mark.parametrize(
    ("by", "leaked", "says"),
    [
        *((by, lambda _, other: renamed(other[np.array([4])], rng=rng()), "1 problems")
          for by in SPLITS),
        ("pair", lambda _, other: Pool(other.templates[:1], 13).drawn(1, rng=rng(),
                                                                          avoid=other),
         "1 templates"),
        ("pair", lambda parts, other: Pool(tuple(lone(parts, other)), 13).drawn(1, rng=rng()),
         r"1 pairs \(\('rate', 'percent'\)\)"),
        ("depth", lambda parts, other: Pool(tuple(lone(parts, other)), 13).drawn(1, rng=rng()),
         r"1 depths \(3\)"),
        ("wording", lambda parts, _: replace(parts.held_out, templates=parts.trained.templates)
         .drawn(1, rng=rng(9)), r"1 wordings \(3\)"),
    ],
)  # fmt: skip
def test_each_planted_leak_is_found(by, leaked, says):
    seed = 2 if by == "wording" else 0
    parts = split(HERE, by, rng=rng(seed), pairs=[("rate", "percent")] * (by == "pair"))
    one = parts.trained.drawn(40, rng=rng(), distinct=True)
    other = parts.held_out.drawn(5, rng=rng(1), distinct=True, avoid=one)
    assert proved_disjoint(parts, one, other) == len(parts.apart)
    with pytest.raises(LeakError, match=f"the trained and the held-out problems share {says}"):
        proved_disjoint(parts, together([one, leaked(parts, other)]), other)
