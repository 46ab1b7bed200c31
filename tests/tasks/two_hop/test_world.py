"""Worlds are what they claim, tokens are each of one thing; questions are followed fact by fact."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from worlds import some, three, walked

from loratheory.tasks.two_hop import (
    ImpossibleError,
    Prompts,
    Questions,
    along,
    every,
    identities,
    joined,
    marked,
    plain,
    stacked,
    thought,
    world,
)


def questions(start, subjects, hops=2):
    return Questions(start, np.array(subjects), np.zeros((len(subjects), hops), dtype=np.int64))


@settings(max_examples=10)
@given(seeds, st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(0, 2))
def test_every_token_means_one_thing_and_every_map_is_a_permutation(
    seed, hops, relations, spare, canaries
):
    here = world(seed, hops=hops, entities=5, relations=relations, spare=spare, canaries=canaries)
    numbers = np.arange(relations)
    tokens = [0, 1, 2, *map(here.canary, range(canaries))]
    for hop in range(hops):
        tokens += here.relation(hop, numbers).tolist()
    assert [*here.relation_tokens] == tokens[3 + canaries :]
    tokens += range(tokens[-1] + 1, tokens[-1] + 1 + hops * relations)  # not used
    for level in range(hops + 1):
        tokens += here.entity(level, np.arange(here.size)).tolist()
        assert [*here.level(level)] == tokens[-here.size :]
    assert tokens == [*range(here.vocabulary)]
    for table in here.maps.reshape(hops * relations, -1).tolist():
        assert sorted(table[:5]) == [*range(5)]
        assert table[5:] == [-1] * spare


def test_a_seed_determines_a_world_that_nobody_overwrites():
    one, same, other = (world(seed, entities=30, relations=2) for seed in (7, 7, 8))
    assert (one.maps == same.maps).all()
    assert (one.maps != other.maps).any()
    assert len({table.tobytes() for table in one.maps.reshape(4, -1)}) == 4
    rows = plain(one, every(one))
    for array in (one.maps, rows.tokens, rows.targets, rows.asked):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@settings(max_examples=5)
@given(seeds)
def test_every_question_is_asked_once_and_followed_fact_by_fact(seed):
    here, rng = some(seed, hops=3, entities=6, relations=2)
    for start, hops in ((0, None), (0, 1), (1, 2), (2, None)):
        made = every(here, start=start, hops=hops)
        asked = [*zip(made.subjects.tolist(), map(tuple, made.relations.tolist()), strict=True)]
        assert made.hops == (hops or 3 - start)
        assert sorted(asked) == sorted(product(range(6), product(range(2), repeat=made.hops)))
        routes = [walked(here, start, subject, path) for subject, path in asked]
        assert along(here, made).tolist() == routes
        rows = rng.permutation(len(made))[:7]
        assert along(here, made[rows]).tolist() == [routes[row] for row in rows]
        for hop in range(made.hops):
            fact = made.fact(hop, np.array(routes))
            assert along(here, fact).tolist() == [route[hop : hop + 2] for route in routes]
    assert along(here, questions(0, [6, 0]))[0].tolist() == [6, -1, -1]


def drawn(rng, rows, length, kind="some"):
    tokens = rng.integers(1, 50, size=(rows, length))
    targets = np.where(rng.random((rows, length)) < 0.5, -1, rng.integers(50, size=(rows, length)))
    return Prompts(tokens, targets, rng.integers(length, size=rows), kind)


@settings(max_examples=10)
@given(seeds)
def test_the_answer_is_the_last_target_however_rows_are_put_together(seed):
    rng = np.random.default_rng(seed)
    one, other = drawn(rng, 6, 4, "one"), drawn(rng, 5, 6, "other")
    for row, position, answer in zip(one.targets.tolist(), one.position, one.answer, strict=True):
        wanted = [(place, token) for place, token in enumerate(row) if token != -1]
        assert (position, answer) == (wanted[-1] if wanted else (-1, -1))
    final = one.final()
    assert final.answer.tolist() == one.answer.tolist()
    assert (final.targets != -1).sum(axis=1).tolist() == [p >= 0 for p in one.position]
    both = joined([one, other, one])
    assert (both.kind, joined([one], "named").kind) == ("one+other", "named")
    stack, rows = stacked([one, drawn(rng, 6, 4)]), np.array([2, 0])
    assert len(stack) == 6
    for name in ("answer", "position", "asked"):
        parts = [getattr(part, name).tolist() for part in (one, other, one)]
        assert getattr(both, name).tolist() == [x for part in parts for x in part]
        assert getattr(stack, name)[0].tolist() == parts[0]
        assert getattr(stack[rows], name)[0].tolist() == getattr(one, name)[rows].tolist()
    assert both.tokens[:6, :4].tolist() == one.tokens.tolist()
    assert (both.tokens[:6, 4:] == 0).all()
    assert (both.targets[:6, 4:] == -1).all()
    assert stack.final().targets[0].tolist() == final.targets.tolist()
    assert joined([stack, stack]).tokens.shape == (2, 12, 4)


def row(prompts):
    return prompts.tokens[0].tolist(), prompts.targets[0].tolist(), int(prompts.asked[0])


def test_forms_by_hand():
    here = three()  # x1 is 10, its bridge y2 is 14, its answer z1 is 16
    assert row(plain(here, questions(0, [1]))) == ([10, 5, 6], [-1, 14, 16], 2)
    assert row(thought(here, questions(0, [1]))) == ([10, 5, 6, 14], [-1, -1, 14, 16], 2)
    assert row(plain(here, questions(0, [1], 1))) == ([10, 5], [-1, 14], 1)
    assert row(plain(here, questions(1, [2], 1))) == ([14, 6], [-1, 16], 1)
    assert row(identities(here, 1, np.array([2]))) == ([14, 1], [-1, 14], 1)
    forms = (
        plain(here, every(here)),
        plain(here, every(here, start=1)),
        thought(here, every(here)),
    )
    assert [form.kind for form in forms] == ["chain", "single", "thought"]  # names of kept weights
    canary = marked(plain(here, questions(0, [1])), here.canary(1))
    assert canary.tokens.tolist() == [[10, 5, 6], [4, 0, 0]]
    assert canary.targets.tolist() == [[-1, 14, 16], [-1, -1, -1]]
    assert (canary.asked[-1], canary.position[-1], canary.answer[-1]) == (0, -1, -1)


@settings(max_examples=5)
@given(seeds)
def test_all_forms_want_what_the_facts_lead_to(seed):
    here, rng = some(seed, hops=4, relations=2, entities=8)
    made = every(here, start=1)[rng.integers(8 * 8, size=9)]
    asked = zip(made.subjects.tolist(), made.relations.tolist(), strict=True)
    routes = [walked(here, 1, subject, tuple(path)) for subject, path in asked]
    passed = [[here.entity(k, e) for k, e in enumerate(route[1:], 2)] for route in routes]
    assert plain(here, made).targets[:, 1:].tolist() == passed
    steps = thought(here, made)
    assert steps.targets[:, 3:].tolist() == passed
    assert steps.tokens[:, 4:].tolist() == [route[:-1] for route in passed]
    assert (steps.targets[:, :3] == -1).all()


HERE, RNG = three(), np.random.default_rng(0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: world(0, hops=5), "hops is 5; ask for a number from 1 to 4"),
        (lambda: world(0, relations=0), "relations is 0; ask for a number from 1 to 8"),
        (lambda: world(0, entities=0), "entities is 0"),
        (lambda: world(0, spare=-1), "spare is -1"),
        (lambda: world(0, canaries=-1), "canaries is -1"),
        (lambda: HERE.canary(2), "the number of a canary is 2"),
        (lambda: every(HERE, start=2), "the level that questions start from is 2"),
        (lambda: every(HERE, start=1, hops=2), "the hops from level 1 on is 2"),
        (lambda: every(HERE, hops=0), "the hops from level 0 on is 0"),
        (lambda: along(HERE, questions(1, [0])), "2 hops from level 1 pass the last level"),
        (lambda: stacked([drawn(RNG, 4, 2), drawn(RNG, 3, 2)]), r"\(3, 2\), \(4, 2\) do not stack"),
        (lambda: drawn(RNG, 4, 3).padded(2), "3 tokens cannot be padded to 2"),
        (lambda: joined([]), "no prompts"),
        (lambda: stacked([]), "no prompts"),
        (lambda: plain(some(0)[0], questions(0, [3, 41])), "entity 41 of level 0 has no such fact"),
        (lambda: thought(some(0)[0], questions(0, [40])), "entity 40 of level 0 has no such fact"),
    ],
)
def test_what_no_world_has_is_refused(make, message):
    with pytest.raises(ImpossibleError, match=message):
        make()
