"""_proof: every set of every kind of edit is disjoint where it should be, and no claim is idle."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from worlds import some

from loratheory.tasks.two_hop import (
    LeakError,
    edit,
    joined,
    lessons,
    matched,
    pairs,
    plain,
    pretraining,
    proved_disjoint,
    split,
    trials,
)


def sets(seed, **wanted):
    here, rng = some(seed)
    made = edit(here, 3, rng=rng, **wanted)
    studied = lessons(made, rng=rng, retained=5, examples=6)
    return here, made, studied, trials(made, studied, rng=rng, count=4)


@settings(max_examples=8)
@given(
    seeds,
    st.sampled_from(["real", "half", "fake"]),
    st.sampled_from(["plain", "thought"]),
    st.integers(1, 3),
)
def test_no_prompt_pair_or_answer_leaks(seed, familiarity, form, relations):
    here, rng = some(seed, relations=relations)
    parts = split(here, 0.5, rng=rng)
    base = pretraining(here, parts, identity="all")
    made = edit(here, 3, rng=rng, familiarity=familiarity, among=parts.held_out)
    studied = lessons(made, rng=rng, retained=5, examples=6, form=form)
    asked = trials(made, studied, rng=rng, count=4)
    assert proved_disjoint(made, studied, asked, base) == 18 + 3 * len(base)
    assert proved_disjoint(made, studied, asked) == 18


@pytest.mark.parametrize(
    "wanted",
    [
        {"answers": "permuted"},
        {"answers": "kept"},
        {"bridges": "kept", "answers": "kept"},
        {"familiarity": "half", "answers": "kept"},
        {"also": "old"},
    ],
)
def test_other_edits_do_not_leak_either(wanted):
    _, *made = sets(1, **wanted)
    assert proved_disjoint(*made) == 18


def test_longer_chains_and_several_pairs_do_not_leak():
    here, rng = some(2, hops=3)
    made = edit(here, 3, rng=rng)
    studied = lessons(made, rng=rng, retained=5, examples=6)
    proved_disjoint(made, studied, trials(made, studied, rng=rng, count=4))
    here, rng = some(2, entities=60)
    several = pairs(here, 3, 3, rng=rng)
    for one in (*several, *matched(here, 3, rng=rng)):
        studied = lessons(one, rng=rng, retained=10, examples=6, others=several)
        asked = trials(one, studied, rng=rng, count=4, others=several)
        proved_disjoint(one, studied, asked)


def planted(lesson, *extra):
    return replace(lesson, told=joined([lesson.told, *extra]))


def leaky(place):
    """An edit's sets with one row too many, and what must be said about it."""
    here, made, studied, asked = sets(3)
    first, second = studied.hops
    facts = [plain(made.after, part)[np.array([0])] for part in made.taught]
    x, y, z = (here.entity(level, made.chains[0, level]) for level in range(3))
    bare = second.told[np.array([0])]
    if place == "kept prompt":
        old = plain(here, made.taught[0])[np.array([0])]
        silent = replace(old, targets=np.full_like(old.targets, -1))
        studied = replace(
            studied, hops=(first, replace(second, kept=joined([second.kept, silent])))
        )
        return made, studied, asked, (), "hop 1 and hop 2 share 1 prompts"
    if place == "told fact":
        studied = replace(studied, hops=(first, planted(second, facts[0])))
        return made, studied, asked, (), "hop 1 and hop 2 share 1 prompts"
    if place == "answer":
        other = replace(bare, tokens=np.array([[here.canary(15), 1]]), targets=np.array([[-1, y]]))
        kept = joined([second.kept, other])
        studied = replace(studied, hops=(first, replace(second, kept=kept)))
        return made, studied, asked, (), "hop 1 and hop 2 share 1 answers"
    if place == "chain":
        studied = replace(studied, joint=planted(studied.joint, asked.chains[np.array([0])]))
        return made, studied, asked, (), "joint and the edited chains share 1 prompts"
    if place == "example":
        shown = plain(here, made.questions)[np.array([0])].final()
        other = replace(shown, tokens=np.array([[x, 1, 1]]))
        studied = replace(studied, bridged=planted(studied.bridged, other))
        return made, studied, asked, (), "the examples and the edited chains share 1 entities"
    if place == "rehearsed":
        other = replace(bare, tokens=np.array([[x, 1]]), targets=np.array([[-1, -1]]))
        direct = replace(studied.direct, kept=joined([studied.direct.kept, other]))
        studied = replace(studied, direct=direct)
        return (
            made,
            studied,
            asked,
            (),
            "the rehearsed facts and the edited chains share 1 entities",
        )
    if place == "canary":
        studied = replace(studied, direct=replace(studied.direct, canary=first.canary))
        return made, studied, asked, (), "hop 1 and direct share 1 canaries"
    row = replace(bare, tokens=np.array([[z, 1]]), targets=np.array([[-1, x]]))
    return made, studied, asked, (row,), "pretraining and the edited chains share 1 pairs"


@pytest.mark.parametrize(
    "place",
    ["kept prompt", "told fact", "answer", "chain", "example", "rehearsed", "canary", "base"],
)
def test_each_planted_leak_breaks_the_proof(place):
    *made, message = leaky(place)
    with pytest.raises(LeakError, match=message):
        proved_disjoint(*made)


def test_kept_facts_may_be_in_the_base():
    here, made, studied, asked = sets(4, bridges="kept", answers="kept")
    base = pretraining(here, split(here, 1, rng=np.random.default_rng(0)))
    assert proved_disjoint(made, studied, asked, base) == 18
