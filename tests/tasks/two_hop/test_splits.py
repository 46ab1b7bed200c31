"""_splits: coverage is exact, and no held-out chain has a bridge that a trained one has."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from worlds import some, walked

from loratheory.tasks.two_hop import (
    ImpossibleError,
    along,
    every,
    plain,
    pretraining,
    sampled,
    split,
)


def questions(part):
    return {
        (subject, *path)
        for subject, path in zip(part.subjects.tolist(), part.relations.tolist(), strict=True)
    }


def bridges(here, part):
    return {
        (level, entity)
        for subject, *path in questions(part)
        for level, entity in enumerate(walked(here, 0, subject, tuple(path)))
        if 0 < level < here.hops
    }


@settings(max_examples=15)
@given(seeds, st.integers(0, 40), st.integers(1, 3))
def test_coverage_is_exact_and_held_out_bridges_are_unseen(seed, covered, relations):
    here, rng = some(seed, relations=relations)
    parts = split(here, covered / 40, rng=rng)
    assert parts.coverage == pytest.approx(covered / 40, abs=1e-12)
    assert not bridges(here, parts.trained) & bridges(here, parts.held_out)
    assert not questions(parts.trained) & questions(parts.held_out)
    assert questions(parts.trained) | questions(parts.held_out) == questions(every(here))


@settings(max_examples=15)
@given(seeds, st.integers(2, 4), st.sampled_from([20, 40]))
def test_chains_that_meet_in_a_bridge_stay_together(seed, hops, images):
    here, rng = some(seed, hops=hops, images=images)
    try:
        parts = split(here, 0.5, rng=rng)
    except ImpossibleError:  # two maps of twenty values leave few bridges after them
        assert hops > 2
        assert images < 40
        return
    assert 0.45 <= parts.coverage <= 0.5
    assert not bridges(here, parts.trained) & bridges(here, parts.held_out)
    last = bridges(here, parts.held_out) | bridges(here, parts.trained)
    sizes = [
        sum(walked(here, 0, x, (0,) * hops)[hops - 1] == end for x in range(40))
        for level, end in last
        if level == hops - 1
    ]
    assert 0.5 - parts.coverage < max(sizes) / 40  # filled as long as a group fits


def test_which_chains_are_trained_is_drawn():
    here, rng = some(0)
    found = {tuple(split(here, 0.5, rng=rng).trained.subjects.tolist()) for _ in range(5)}
    assert len(found) == 5


def test_linked_chains_cannot_be_split():
    here, rng = some(0, hops=3, relations=4)
    assert split(here, 1, rng=rng).coverage == 1
    assert split(here, 0, rng=rng).coverage == 0
    with pytest.raises(ImpossibleError, match=r"0\.4 is out of reach: 1 groups .* take 0, or a"):
        split(here, 0.4, rng=rng)


@pytest.mark.parametrize(("coverage", "found"), [(0.001, 0), (0.999, 1)])
def test_a_fraction_is_not_rounded_to_none_or_all(coverage, found):
    here, rng = some(0)
    with pytest.raises(ImpossibleError, match=f"coverage {coverage} .* take {found}, or"):
        split(here, coverage, rng=rng)


def test_a_coverage_that_groups_miss_by_far_is_refused():
    here, rng = some(0, images=2)
    assert split(here, 0.5, rng=rng).coverage == 0.5
    assert split(here, 0.54, rng=rng).coverage == 0.5
    with pytest.raises(ImpossibleError, match=r"0\.6 is out of reach: 2 groups .* take 0\.5"):
        split(here, 0.6, rng=rng)


@pytest.mark.parametrize("coverage", [-0.1, 1.01, float("nan")])
def test_coverage_is_a_fraction(coverage):
    here, rng = some(0)
    with pytest.raises(ImpossibleError, match="ask for a fraction from 0 to 1"):
        split(here, coverage, rng=rng)


def test_one_hop_has_no_bridges_to_split_by():
    here, rng = some(0, hops=1)
    with pytest.raises(ImpossibleError, match="the hops of a world to be split is 1"):
        split(here, 0.5, rng=rng)


@settings(max_examples=10)
@given(seeds)
def test_a_base_hears_every_fact_and_the_trained_chains(seed):
    here, rng = some(seed, relations=2)
    parts = split(here, 0.25, rng=rng)
    chains, first, second = pretraining(here, parts)
    assert chains.tokens.tolist() == plain(here, parts.trained).tokens.tolist()
    assert (len(first), len(second)) == (80, 80)
    told = {tuple(row) for row in np.stack([first.tokens[:, 0], first.answer], axis=1).tolist()}
    facts = along(here, every(here, hops=1))
    assert told == {(here.entity(0, x), here.entity(1, y)) for x, y in facts.tolist()}
    assert {part.tokens.shape[1] for part in (chains, first, second)} == {3}
    assert len(pretraining(here, split(here, 0, rng=rng))) == 2


@pytest.mark.parametrize(("identity", "rows"), [("known", 120), ("all", 156)])
def test_identity_prompts_name_the_known_entities_or_all(identity, rows):
    here, rng = some(0)
    *_, last = pretraining(here, split(here, 0.5, rng=rng), identity=identity)
    assert len(last) == rows
    assert last.tokens[:, 0].tolist() == last.answer.tolist()
    assert len(set(last.answer.tolist())) == rows


def test_a_batch_has_a_third_of_each_kind():
    here, rng = some(0)
    sets = pretraining(here, split(here, 0.5, rng=rng))
    batch = sampled(sets, 96, rng=rng)
    lengths = (batch.tokens != 0).sum(axis=1)
    assert lengths.tolist() == [3] * 32 + [2] * 64
    assert (batch.tokens[32:64, 1] == here.relation(0, 0)).all()
    assert (batch.tokens[64:, 1] == here.relation(1, 0)).all()
    assert len(sampled(sets, 97, rng=rng)) == 97
    one, other = (sampled(sets, 9, rng=np.random.default_rng(5)).tokens for _ in range(2))
    assert one.tolist() == other.tolist()
    with pytest.raises(ImpossibleError, match="rows is 2; ask for a number of at least 3"):
        sampled(sets, 2, rng=rng)
    with pytest.raises(ImpossibleError, match="identity is 'some'"):
        pretraining(here, split(here, 0.5, rng=rng), identity="some")
