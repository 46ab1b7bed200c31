"""Every split and lesson is what it says; what two sets share is found; every claim can fail."""

from dataclasses import replace

import numpy as np
import pytest

from loratheory.tasks.word_problems import (
    BRIDGES,
    SPLITS,
    ImpossibleError,
    LeakError,
    Pool,
    by_depth,
    by_pair,
    by_template,
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
    sets,
    split,
    templates,
    together,
)
from loratheory.tasks.word_problems import _splits as module

HERE = pool(["add", "rate", "percent"], steps=(1, 2, 3), prime=7)


def halves(made):
    trained, held_out = ({*part.templates} for part in (made.trained, made.held_out))
    assert (made.trained.prime, made.held_out.prime) == (7, 7)
    return trained, held_out


def test_pairs_are_kept_out_in_any_order():
    for pair in (("rate", "percent"), ("percent", "rate")):
        made = by_pair(HERE, [pair])
        trained, held_out = halves(made)
        assert trained | held_out == {*HERE.templates}
        assert held_out == {t for t in HERE.templates if {*pair} <= t.skills}
        assert not trained & held_out
        assert made.pairs == {("rate", "percent")}
        assert made.apart == ("problems", "templates", "pairs")
    two = by_pair(HERE, [("rate", "percent"), ("percent", "add")])
    meeting = [t for t in HERE.templates if "percent" in t.skills and len(t.skills) > 1]
    assert [*two.held_out.templates] == meeting


def test_some_of_a_pair_may_be_covered():
    meeting = {t for t in HERE.templates if {"rate", "percent"} <= t.skills}
    made = [
        by_pair(HERE, [("rate", "percent")], coverage=0.25, rng=np.random.default_rng(k))
        for k in (0, 1)
    ]
    for each in made:
        trained, held_out = halves(each)
        assert len(trained & meeting) == round(len(meeting) / 4)
        assert trained | held_out == {*HERE.templates}
        assert not trained & held_out
        assert each.apart == ("problems", "templates")
    assert made[0] != made[1]


def test_templates_are_kept_out_at_random():
    trained, held_out = halves(by_template(HERE, 0.3, rng=np.random.default_rng(0)))
    assert len(held_out) == round(0.3 * len(HERE.templates))
    assert trained | held_out == {*HERE.templates}
    assert not trained & held_out
    assert len(by_template(HERE, 0.001, rng=np.random.default_rng(0)).held_out.templates) == 1
    other = by_template(HERE, 0.3, rng=np.random.default_rng(1))
    assert {*other.held_out.templates} != held_out


def test_what_is_deeper_than_trained_is_kept_out():
    trained, held_out = halves(by_depth(HERE, 2))
    assert {t.depth for t in trained} == {1, 2}
    assert {t.depth for t in held_out} == {3}
    assert {t.steps for t in trained} == {1, 2, 3}
    assert "depths" in by_depth(HERE, 2).apart


def test_wordings_are_kept_out_of_all_templates():
    made = by_wording(HERE, [1, 3])
    assert made.trained.wordings == (0, 2)
    assert made.held_out.wordings == (1, 3)
    assert halves(made) == ({*HERE.templates},) * 2
    assert made.apart == ("problems", "wordings")


@pytest.mark.parametrize("by", SPLITS)
def test_any_split_by_its_name(by):
    made = split(HERE, by, rng=np.random.default_rng(0))
    assert made.by == by
    assert {"pair": "pairs", "template": "templates", "depth": "depths", "wording": "wordings"}[
        by
    ] in made.apart
    assert made.apart[0] == "problems"
    assert (len(made.pairs) == 1) == (by == "pair")
    if by == "depth":
        assert {t.depth for t in made.trained.templates} == {1, 2}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: by_depth(HERE, 3), "depth above 3, this split leaves no problem for testing"),
        (lambda: by_depth(HERE, 0), "depth above 0, this split leaves no problem for training"),
        (lambda: by_wording(HERE, [0, 1, 2, 3]), "this split leaves no problem for training"),
        (lambda: by_wording(HERE, []), "this split leaves no problem for testing"),
        (
            lambda: by_pair(pool(["rate", "add"], steps=2, together=["rate", "add"]),
                            [("add", "rate")]),
            "holding out pair add+rate, this split leaves no problem for training; hold out",
        ),
        (lambda: by_pair(HERE, [("add", "divide")]), "leaves no problem for testing"),
        (lambda: by_pair(HERE, [("add", "add")]), "add and add; name two different skills"),
        (lambda: by_pair(HERE, [("add",)]), "name two different skills in each"),
        (lambda: by_pair(HERE, [("add", "swim")]), "unknown skills: 'swim'"),
        (lambda: by_pair(HERE, [("add", "rate")], coverage=1), "coverage is 1"),
        (lambda: by_pair(HERE, [("add", "rate")], coverage=0.5), "and rng is not given"),
        (lambda: by_template(HERE, 1, rng=np.random.default_rng(0)), "a share of 1 is to be held"),
        (lambda: split(HERE, "luck", rng=np.random.default_rng(0)), "choose one of pair, template"),
        (
            lambda: split(pool(["rate"], steps=(1, 2)), "pair", rng=np.random.default_rng(0)),
            "no two skills meet in any template, so this split leaves no problem for testing",
        ),
    ],
)  # fmt: skip
def test_impossible_splits_are_refused(make, says):
    with pytest.raises(ImpossibleError) as caught:
        make()
    assert says in str(caught.value)


def two_adapters(seed=0, **wanted):
    options = {"prime": 7, **wanted}
    return lessons("rate", "percent", rng=np.random.default_rng(seed), **options)


@pytest.mark.parametrize("bridge", BRIDGES)
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 1])
def test_adapters_are_of_equal_size_and_overlap_as_asked(overlap, bridge):
    one = two_adapters(overlap=overlap, bridge=bridge)
    first, second, target = ({*p.templates} for p in (one.first, one.second, one.target))
    assert len(first) == len(second) == 8
    assert first & second == {*one.shared}
    assert len(one.shared) == 8 * overlap
    assert one.overlap == overlap
    assert not target & (first | second)
    pair = {"rate", "percent"}
    assert {t.skills & pair == {"rate"} for t in first - second} <= {True}
    assert {t.skills & pair == {"percent"} for t in second - first} <= {True}
    for each in one.shared:
        linked = {("rate", "percent"), ("percent", "rate")} & each.links
        assert (each.skills & pair, bool(linked)) == {
            "serial": (pair, True),
            "parallel": (pair, False),
            "neutral": (set(), False),
        }[bridge]


def test_the_target_is_all_of_its_size_with_both_skills():
    assert {str(t) for t in two_adapters().target.templates} == {
        "b = rate(a); c = percent(b)",
        "b = percent(a); c = rate(b)",
    }
    assert two_adapters(seed=1, overlap=0.5).target == two_adapters().target
    assert two_adapters(target=3).target == pool(["rate", "percent"], steps=3, prime=7,
                                         together=["rate", "percent"])  # fmt: skip


def test_no_adapter_has_the_target_even_if_all_is_shared():
    for seed in range(8):
        one = two_adapters(seed, overlap=1)
        assert not {*one.target.templates} & {*one.first.templates}


def test_the_seed_and_the_context_choose_the_rest():
    assert two_adapters(seed=1).first != two_adapters(seed=2).first
    other = two_adapters(context=["multiply", "compare"], overlap=0.25, bridge="neutral")
    used = set().union(*(t.skills for t in (*other.first.templates, *other.second.templates)))
    assert used == {"rate", "percent", "multiply", "compare"}
    pairs = [t.links for seed in range(6) for t in two_adapters(seed, overlap=0.5).shared]
    assert {("rate", "percent"), ("percent", "rate")} <= set().union(*pairs)
    whole = two_adapters(prime=0, count=4, overlap=0.5)
    assert whole.overlap == 0.5
    assert whole.first.prime == whole.second.prime == whole.target.prime == 0


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"overlap": 0.3}, "an overlap of 0.3 is not a number of 8 templates; ask for a fraction"),
        ({"overlap": 1.5}, "an overlap of 1.5"),
        ({"bridge": "wooden"}, "bridge is 'wooden'; choose one of serial, parallel, neutral"),
        ({"count": 0}, "the templates of an adapter is 0"),
        ({"context": ["rate"]}, "neither of which is in the context"),
        ({"context": ["dance"]}, "unknown skills: 'dance'"),
        ({"count": 400, "overlap": 1}, "400 serial templates are wanted of"),
        ({"context": []}, "8 rate templates are wanted of 3; take fewer for each adapter"),
        ({"target": 1}, "no template with 1 steps"),
    ],
)
def test_bad_lessons_are_refused(wanted, says):
    with pytest.raises(ImpossibleError) as caught:
        two_adapters(**wanted)
    assert says in str(caught.value)
    with pytest.raises(ImpossibleError, match="name two different skills"):
        lessons("rate", "rate", rng=np.random.default_rng(0))


FEW = ("add", "rate", "percent")
LARGE = pool(FEW, steps=(1, 2, 3), prime=13)


def rng(seed=0):
    return np.random.default_rng(seed)


def both(parts, seed=0):
    one = parts.trained.drawn(80, rng=rng(seed), distinct=True)
    return one, parts.held_out.drawn(30, rng=rng(seed + 1), distinct=True, avoid=one)


@pytest.mark.parametrize("by", SPLITS)
def test_no_split_leaks_however_it_is_told(by):
    for seed in range(3):
        parts = split(LARGE, by, rng=rng(seed))
        one, other = both(parts, seed)
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
    parts = split(LARGE, by, rng=rng())
    one, other = both(parts)
    leaked = renamed(other[np.array([4])], rng=rng())
    with pytest.raises(LeakError, match="the trained and the held-out problems share 1 problems"):
        proved_disjoint(parts, together([one, leaked]), other)


def test_a_leaked_template_pair_depth_or_wording_is_found():
    parts = by_pair(LARGE, [("rate", "percent")])
    one, other = both(parts)
    other = other[np.arange(5)]
    again = Pool(other.templates[:1], 13).drawn(1, rng=rng(), avoid=other)
    with pytest.raises(LeakError, match="share 1 templates"):
        proved_disjoint(parts, together([one, again]), other)
    few = [t for t in parts.held_out.templates if t not in {*other.templates}]
    assert few
    with pytest.raises(LeakError, match=r"share 1 pairs \(\('rate', 'percent'\)\)"):
        proved_disjoint(parts, together([one, problems(few, 1, rng=rng(), prime=13)]), other)
    deep = split(LARGE, "depth", rng=rng())
    one, other = both(deep)
    other = other[np.arange(5)]
    few = [t for t in deep.held_out.templates if t not in {*other.templates}]
    with pytest.raises(LeakError, match=r"share 1 depths \(3\)"):
        proved_disjoint(deep, together([one, problems(few, 1, rng=rng(), prime=13)]), other)
    said = by_wording(LARGE, [3])
    one, other = both(said)
    with pytest.raises(LeakError, match=r"share 1 wordings \(3\)"):
        proved_disjoint(said, reworded(one, rng=rng(), wordings=[0, 3]), other)


def adapters(made):
    first = made.first.drawn(60, rng=rng(0))
    second = made.second.drawn(60, rng=rng(1), avoid=first)
    return [first, second, made.target.drawn(20, rng=rng(2))]


def test_adapters_and_target_are_apart():
    for overlap, bridge in [(0, "serial"), (0.5, "serial"), (0.5, "parallel"), (1, "neutral")]:
        made = lessons("rate", "percent", rng=rng(), overlap=overlap, bridge=bridge, prime=13)
        assert proved_apart(made, *adapters(made)) == 8


@pytest.mark.parametrize("number", [0, 1])
def test_leaks_of_adapters_are_found(number):
    made = lessons("rate", "percent", rng=rng(), overlap=0.5, prime=13)
    name = ("first", "second")[number]
    one = adapters(made)
    one[number] = together([one[number], one[2][np.array([3])]])
    with pytest.raises(
        LeakError, match=f"the {name} adapter's and the target problems share 1 pro"
    ):
        proved_apart(made, *one)
    one = adapters(made)
    one[number] = together([one[number], made.target.drawn(1, rng=rng(9), avoid=one[2])])
    with pytest.raises(LeakError, match=f"the {name} adapter's and the target problems share 1 te"):
        proved_apart(made, *one)
    one, known = adapters(made), {*made.shared, *made.target.templates}
    every = pool(FEW, steps=3, prime=13, together=("rate", "percent")).templates
    strange = [t for t in every if t not in known][:1]
    one[number] = together([one[number], problems(strange, 1, rng=rng(), prime=13)])
    with pytest.raises(LeakError, match=f"the {name} adapter's and the other adapter's skill in"):
        proved_apart(made, *one)
    one = adapters(made)
    one[1] = together([one[1], one[0][np.array([0])]])
    with pytest.raises(LeakError, match="first adapter's and the second adapter's problems share"):
        proved_apart(made, *one)


def test_an_unshared_template_in_both_is_found():
    made = lessons("rate", "percent", rng=rng(), overlap=0.5, prime=13)
    neutral = problems(templates(["add"], 2)[:1], 2, rng=rng(), prime=13, distinct=True)
    one = adapters(made)
    for number in (0, 1):
        one[number] = together([one[number], neutral[np.array([number])]])
    with pytest.raises(LeakError, match="second adapter's problems share 1 templates"):
        proved_apart(made, *one)


def test_the_message_shows_some_of_what_is_shared():
    parts = by_wording(LARGE, [3])
    one, _ = both(parts)
    with pytest.raises(LeakError) as caught:
        proved_disjoint(parts, one, one)
    shown = sorted(map(str, keys(one)))[:3]
    assert str(caught.value) == (
        f"the trained and the held-out problems share 80 problems ({', '.join(shown)} …);"
        " leave them out of one, or claim less"
    )


SMALL = pool(["add", "rate"], steps=(1, 2), prime=13)


@pytest.mark.parametrize("by", ["pair", "template", "wording"])
def test_a_fifth_is_held_out_and_all_are_distinct(by):
    rng = np.random.default_rng(0)
    made = sets(split(SMALL, by, rng=rng), 100, rng=rng, distractors=2, skills=("add", "rate"))
    train, test = made["train"], made["test"]
    assert [*made] == ["train", "test"]
    assert (len(train), len(test)) == (80, 20)
    assert len({*keys(train), *keys(test)}) == 100
    for part in made.values():
        assert part.distractors.tolist() == [2] * len(part)
        idle = part.skills[part.told & ~part.needed]
        assert {*idle.tolist()} <= {0, 1, 6}


def test_few_problems_are_distinct_in_both_parts():
    small = pool(["add"], steps=1, prime=5)  # 15 and 25 problems
    made = sets(by_wording(small, [0]), 28, rng=np.random.default_rng(1))
    assert len({*keys(made["train"]), *keys(made["test"])}) == 28
    assert made["train"].distractors.max() == 0
    assert len(sets(by_wording(small, [0]), 2, rng=np.random.default_rng(1))["test"]) == 1


def test_distractors_keep_to_the_wordings_of_their_part():
    made = sets(by_wording(SMALL, [2]), 60, rng=np.random.default_rng(2), distractors=3)
    assert {*made["test"].wordings[made["test"].told].tolist()} == {2}
    assert 2 not in made["train"].wordings[made["train"].told]


def test_a_leak_would_be_found(monkeypatch):
    monkeypatch.setattr(module, "distracted", lambda part, *_, **__: leaked.setdefault("is", part))
    leaked = {}
    with pytest.raises(LeakError, match="share 32 problems"):
        sets(by_wording(SMALL, [2]), 40, rng=np.random.default_rng(3))


def test_one_problem_cannot_be_split():
    with pytest.raises(
        ImpossibleError, match="problems in all is 1; ask for a number of at least 2"
    ):
        sets(by_wording(SMALL, [2]), 1, rng=np.random.default_rng(3))
