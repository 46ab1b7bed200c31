"""_disjoint: each planted leak is found, named, and alone."""

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
    every,
    inverted,
    joined,
    leaks,
    marked,
    plain,
    relations_first,
    thought,
)

PARTS = ("prompts", "pairs", "answers", "entities", "canaries")


NONE = frozenset()


def rows(prompts, *numbers):
    return prompts[np.array(numbers)]


def test_what_two_facts_share_by_hand():
    here = three()  # x0 9 -> y1 13 -> z0 15; x1 10 -> y2 14 -> z1 16
    first, second = plain(here, every(here, hops=1)), plain(here, every(here, start=1))
    chains = plain(here, every(here))
    found = leaks(here, rows(first, 0), rows(second, 1))
    assert found == (NONE, NONE, NONE, {(13,)}, NONE)  # they meet in the bridge
    found = leaks(here, rows(first, 0), rows(chains, 0))
    assert found == (NONE, {(9, 13)}, {(13,)}, {(9,), (13,)}, NONE)
    found = leaks(here, rows(first, 0), rows(chains, 0).final())
    assert found == (NONE, NONE, NONE, {(9,)}, NONE)
    found = leaks(here, rows(second, 1), rows(chains, 0).final())
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
            joined([rows_, Prompts(np.array([t]), np.array([w]), np.array([2]), "leak")])
            for rows_, (t, w) in zip((one, other), planted, strict=True)
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


def test_the_message_shows_some_of_what_is_shared():
    here, _ = some(0)
    first = plain(here, every(here, hops=1))
    with pytest.raises(LeakError) as caught:
        claimed_disjoint(here, first, rows(first, 0, 1, 2, 3), of=["answers"])
    tokens = sorted(rows(first, 0, 1, 2, 3).answer.tolist())[:3]
    shown = ", ".join(map(str, tokens))
    fact = f"one set and another share 4 answers (tokens {shown} …)"
    assert str(caught.value) == f"{fact}; leave them out of one, or claim less"


def test_padding_is_no_prompt():
    here = three()
    facts = plain(here, every(here, hops=1))
    assert leaks(here, facts, facts.padded(7)) == leaks(here, facts, facts)
    moved = Prompts(facts.padded(3).tokens, facts.padded(3).targets, facts.asked + 1, facts.kind)
    assert leaks(here, facts, moved).prompts == leaks(here, facts, facts).prompts


def test_a_claim_names_what_it_can_name():
    here = three()
    facts = plain(here, every(here, hops=1))
    with pytest.raises(ImpossibleError, match="a part of the claim is 'words'; choose one of"):
        claimed_disjoint(here, facts, facts, of=["words"])
