"""_structural: every split parts a pool by what it says, and refuses to leave a part empty."""

import numpy as np
import pytest

from loratheory.tasks.word_problems import (
    SPLITS,
    ImpossibleError,
    by_depth,
    by_pair,
    by_template,
    by_wording,
    pool,
    split,
)

HERE = pool(["add", "rate", "percent"], steps=(1, 2, 3), prime=7)


def parts(made):
    trained, held_out = ({*part.templates} for part in (made.trained, made.held_out))
    assert (made.trained.prime, made.held_out.prime) == (7, 7)
    return trained, held_out


def test_pairs_are_kept_out_in_any_order():
    for pair in (("rate", "percent"), ("percent", "rate")):
        made = by_pair(HERE, [pair])
        trained, held_out = parts(made)
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
        trained, held_out = parts(each)
        assert len(trained & meeting) == round(len(meeting) / 4)
        assert trained | held_out == {*HERE.templates}
        assert not trained & held_out
        assert each.apart == ("problems", "templates")
    assert made[0] != made[1]


def test_templates_are_kept_out_at_random():
    trained, held_out = parts(by_template(HERE, 0.3, rng=np.random.default_rng(0)))
    assert len(held_out) == round(0.3 * len(HERE.templates))
    assert trained | held_out == {*HERE.templates}
    assert not trained & held_out
    assert len(by_template(HERE, 0.001, rng=np.random.default_rng(0)).held_out.templates) == 1
    other = by_template(HERE, 0.3, rng=np.random.default_rng(1))
    assert {*other.held_out.templates} != held_out


def test_what_is_deeper_than_trained_is_kept_out():
    trained, held_out = parts(by_depth(HERE, 2))
    assert {t.depth for t in trained} == {1, 2}
    assert {t.depth for t in held_out} == {3}
    assert {t.steps for t in trained} == {1, 2, 3}
    assert "depths" in by_depth(HERE, 2).apart


def test_wordings_are_kept_out_of_all_templates():
    made = by_wording(HERE, [1, 3])
    assert made.trained.wordings == (0, 2)
    assert made.held_out.wordings == (1, 3)
    assert parts(made) == ({*HERE.templates},) * 2
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
