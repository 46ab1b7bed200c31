"""_draft: every entity is used once, and what is refused is refused."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import seeds
from worlds import some, walked

from loratheory.tasks.two_hop import ImpossibleError, along, edit, every


@settings(max_examples=20)
@given(seeds, st.integers(2, 3), st.integers(1, 3), st.sampled_from([None, 20]))
def test_ways_that_differ_end_in_different_entities(seed, hops, relations, images):
    here, rng = some(seed, hops=hops, relations=relations, images=images)
    try:
        made = edit(here, 3, rng=rng, path=(relations - 1,) * hops)
    except ImpossibleError:
        assume(images is None)  # few images over three hops may leave no free entity
        raise
    levels = made.reached()
    for nodes in levels:
        assert len(np.unique(nodes)) == nodes.size - sum_of_merged(nodes)
    ends = levels[-1]
    for row in ends.tolist():
        assert row[0] not in row[1:]


def sum_of_merged(nodes):
    """How many columns repeat an entity that the same chain has already: unedited side ways."""
    return sum(len(row) - len(set(row)) for row in nodes.tolist())


@settings(max_examples=15)
@given(seeds, st.integers(2, 4))
def test_a_fresh_value_is_none_that_the_base_told_of_the_chain(seed, relations):
    here, rng = some(seed, relations=relations)
    made = edit(here, 3, rng=rng)
    for x, y, z in made.chains.tolist():
        told_y = {walked(here, 0, x, (r,))[1] for r in range(relations)}
        told_z = {walked(here, 1, y, (r,))[1] for r in range(relations)}
        paths = [(r, s) for r in range(relations) for s in range(relations)]
        told_z |= {walked(here, 0, x, path)[2] for path in paths}
        assert y not in told_y
        assert z not in told_z


@settings(max_examples=15)
@given(seeds)
def test_fresh_values_are_such_as_pretraining_told(seed):
    here, rng = some(seed, images=15, relations=2)
    made = edit(here, 3, rng=rng, path=(1, 0))
    assert set(made.chains[:, 1].tolist()) <= set(here.maps[0, 1, :40].tolist())
    assert set(made.chains[:, 2].tolist()) <= set(here.maps[1, 0, :40].tolist())


@settings(max_examples=15)
@given(seeds, st.integers(4, 9))
def test_permuted_values_are_the_old_ones_moved(seed, facts):
    here, rng = some(seed)
    made = edit(here, facts, rng=rng, bridges="permuted", answers="permuted")
    old = along(here, made.questions)
    for level in (1, 2):
        assert sorted(made.chains[:, level].tolist()) == sorted(old[:, level].tolist())
        assert (made.chains[:, level] != old[:, level]).all()
    for row in made.reached()[2].tolist():
        assert len(set(row)) == 4


@pytest.mark.parametrize(
    ("facts", "bridges", "answers", "message"),
    [
        (1, "permuted", "fresh", "1 facts cannot be permuted by 1; permute 2 facts or more"),
        (2, "permuted", "permuted", "2 facts cannot be permuted by 2"),
        (3, "permuted", "permuted", "permuting 3 facts .* permute 4 facts or more"),
    ],
)
def test_too_few_facts_cannot_be_permuted(facts, bridges, answers, message):
    here, rng = some(0)
    with pytest.raises(ImpossibleError, match=message):
        edit(here, facts, rng=rng, bridges=bridges, answers=answers)


def test_kept_facts_are_the_old_ones():
    here, rng = some(0)
    made = edit(here, 3, rng=rng, bridges="kept", answers="kept")
    assert made.chains.tolist() == along(here, made.questions).tolist()
    assert not made.edited().any()
    assert [len(facts) for facts in made.taught] == [3, 3]


def test_spare_entities_have_nothing_to_keep():
    here, rng = some(0)
    with pytest.raises(ImpossibleError, match="hop 0 has no old facts that could be kept"):
        edit(here, 3, rng=rng, familiarity="half", bridges="kept")


def test_known_subjects_come_from_the_chains_that_were_named():
    here, rng = some(0, relations=2)
    chains = every(here)  # the path (0, 0) comes first
    made = edit(here, 3, rng=rng, among=chains[np.array([5, 6, 7, 8, 50, 51])])
    assert set(made.questions.subjects.tolist()) <= {5, 6, 7, 8}
    with pytest.raises(ImpossibleError, match="level 0 has 2 free known entities for 3 facts"):
        edit(here, 3, rng=rng, among=chains[np.array([5, 6, 47, 48, 89, 90])])


def test_a_world_that_is_too_small_says_so():
    here, rng = some(0, entities=8, spare=2)
    with pytest.raises(ImpossibleError, match=r"level 2 has . free known entities for 4 facts"):
        edit(here, 4, rng=rng)
    with pytest.raises(ImpossibleError, match="level 0 has 2 free spare entities for 3 facts"):
        edit(here, 3, rng=rng, familiarity="fake")


def test_another_edit_may_claim_what_only_an_old_fact_leads_to():
    here, rng = some(0, entities=30)
    first = edit(here, 7, rng=rng)
    second = edit(here, 7, rng=rng, avoid=[first])
    assert not (first.claimed() & second.claimed()).any()
    assert (first.touched() & second.touched())[2].any()
