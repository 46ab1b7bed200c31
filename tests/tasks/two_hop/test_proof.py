"""Each planted leak is found, named, and alone; every claim about an edit's sets can fail."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from worlds import some, three

from loratheory.tasks.two_hop import (
    ImpossibleError,
    LeakError,
    Prompts,
    claimed_disjoint,
    edit,
    every,
    inverted,
    joined,
    leaks,
    lessons,
    marked,
    matched,
    pairs,
    plain,
    pretraining,
    proved_disjoint,
    relations_first,
    split,
    thought,
    trials,
)

PARTS = ("prompts", "pairs", "answers", "entities", "canaries")


NONE = frozenset()


def picked(prompts, *numbers):
    return prompts[np.array(numbers)]


def test_what_two_facts_share_by_hand():
    here = three()  # x0 9 -> y1 13 -> z0 15; x1 10 -> y2 14 -> z1 16
    first, second = plain(here, every(here, hops=1)), plain(here, every(here, start=1))
    chains = plain(here, every(here))
    found = leaks(here, picked(first, 0), picked(second, 1))
    assert found == (NONE, NONE, NONE, {(13,)}, NONE)  # they meet in the bridge
    found = leaks(here, picked(first, 0), picked(chains, 0))
    assert found == (NONE, {(9, 13)}, {(13,)}, {(9,), (13,)}, NONE)
    found = leaks(here, picked(first, 0), picked(chains, 0).final())
    assert found == (NONE, NONE, NONE, {(9,)}, NONE)
    found = leaks(here, picked(second, 1), picked(chains, 0).final())
    assert found == (NONE, NONE, {(15,)}, {(15,)}, NONE)


def test_another_form_of_a_question_leaks_the_pair():
    here = three()
    question = every(here)[np.array([1])]
    asking = plain(here, question).final()
    assert leaks(here, asking, thought(here, question)).prompts == {(10, 5, 6)}
    assert leaks(here, asking, inverted(here, question)).pairs == {(10, 16)}
    assert leaks(here, asking, relations_first(here, question)) == (
        NONE,
        {(10, 16)},
        {(16,)},
        {(10,), (16,)},
        NONE,
    )


@settings(max_examples=20)
@given(seeds, st.sampled_from(PARTS))
def test_each_planted_leak_is_found_and_is_the_only_one(seed, part):
    here, rng = some(seed)
    order = rng.permutation(40)
    chains = plain(here, every(here)).final()
    one, other, leak = chains[order[:15]], chains[order[15:30]], chains[order[30:31]]
    assert not any(leaks(here, one, other))
    if part == "canaries":
        one, other = marked(here, one, 3), marked(here, other, 3)
        shared = {(here.canary(3),)}
    else:
        (subject, r1, r2), z = leak.tokens[0].tolist(), int(leak.answer[0])
        stranger = int(chains[order[31:32]].tokens[0, 0])
        planted = {
            "prompts": [([subject, r1, r2], [-1, -1, -1])] * 2,
            "pairs": [([subject, r1, r2], [-1, -1, z]), ([z, r2, 0], [-1, subject, -1])],
            "answers": [([r1, r2, 0], [-1, z, -1]), ([r2, r1, 0], [-1, -1, z])],
            "entities": [([stranger, r1, 0], [-1, -1, -1]), ([r2, stranger, 0], [-1, -1, -1])],
        }[part]
        one, other = (
            joined([part_, Prompts(np.array([t]), np.array([w]), np.array([2]), "leak")])
            for part_, (t, w) in zip((one, other), planted, strict=True)
        )
        shared = {
            "prompts": {(subject, r1, r2)},
            "pairs": {tuple(sorted((subject, z)))},
            "answers": {(z,)},
            "entities": {(stranger,)},
        }[part]
    assert getattr(leaks(here, one, other), part) == shared
    with pytest.raises(LeakError, match=f"left and right share 1 {part}"):
        claimed_disjoint(here, one, other, of=[part], names=("left", "right"))
    implied = {key: {"entities"} for key in PARTS[:3]} | {"canaries": {"prompts"}}
    free = [p for p in PARTS if p != part and p not in implied.get(part, ())]
    claimed_disjoint(here, one, other, of=free)


def test_padding_is_no_prompt_and_a_claim_names_what_it_can_name():
    here = three()
    facts = plain(here, every(here, hops=1))
    wide = facts.padded(3)
    assert leaks(here, facts, wide) == leaks(here, facts, facts)
    moved = Prompts(wide.tokens, wide.targets, facts.asked + 1, facts.kind)
    assert leaks(here, facts, moved).prompts == leaks(here, facts, facts).prompts
    with pytest.raises(ImpossibleError, match="a part of the claim is 'words'; choose one of"):
        claimed_disjoint(here, facts, facts, of=["words"])
    with pytest.raises(LeakError, match=r"share 3 answers \(tokens 12, 13, 14\);"):
        claimed_disjoint(here, facts, facts, of=["answers"])


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
