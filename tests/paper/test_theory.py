"""Margins by logits asked one at a time, and predictions by closed forms."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from synthetic import TRAINING, enlarged, small, trained_library

from loratheory.tasks.two_hop import all_questions, along, encode
from loratheory.toy.transformer import Site
from paper.studies._shared import theory
from paper.studies._shared.answers import scores
from paper.studies._shared.theory import (
    Margins,
    circuit,
    forecast,
    in_loops,
    margins,
    own_loop,
    pattern,
    probe,
)
from paper.studies._shared.training import library


@pytest.fixture(scope="module")
def adapted():
    return enlarged(trained_library())


@pytest.fixture(scope="module")
def edits_of():
    return trained_library(pairs=1)


RIVALS = {  # what a composed answer must beat, at the coefficients of both edits
    "overwrite": lambda one, two: [1 - one, one * (1 - two)],
    "overwrite both": lambda one, two: [(1 - one) * two, (1 - one) * (1 - two), one * (1 - two)],
    "new subject": lambda one, two: [one * (1 - two)],
    "new facts": lambda *_: [0.0],
}


@pytest.mark.parametrize("name", RIVALS)
def test_questions_compose_where_their_path_has_the_largest_product(name):
    strengths = np.random.default_rng(0).uniform(0, 1.2, (2, 3, 40))
    base, alone = np.zeros((2, *strengths.shape, 3))
    base[..., 1], alone[..., 0] = 2, 4 * strengths - 2
    places = np.zeros(strengths.shape, int)
    found = Margins(base, alone, places, places + 1).composes(0.9, name)
    won = [
        one * two > max(0.0, *RIVALS[name](one, two))
        for one, two in 0.9 * strengths.reshape(2, -1).T
    ]
    assert found.ravel().tolist() == won
    assert 0 < np.mean(won) < 1 or name == "new facts"


def test_a_forecast_is_the_share_that_composes_times_the_circuit(adapted, monkeypatch):
    monkeypatch.setattr(theory, "circuit", lambda _: np.array([0.5, 0.25]))
    share = margins(adapted).composes(5.0, "overwrite").mean(axis=1)
    assert (share > 0).any()
    np.testing.assert_allclose(forecast(adapted, 5.0), share * [0.5, 0.5, 0.25, 0.25])
    new = library(small(spare=9), replace(TRAINING, pairs=1, familiarity="fake"))
    assert (forecast(new, 1.0) == 0).all()
    inside = margins(new).composes(1.0, pattern(new)).mean(axis=1)
    np.testing.assert_allclose(forecast(new, 1.0, familiar=True), inside * [0.5, 0.5, 0.25, 0.25])


def test_the_circuit_is_asked_about_questions_never_seen(adapted):
    known = adapted.bases
    pairs = list(zip(known.fact_sets, known.splits, strict=True))
    prompts = [encode(facts, parts.held_out).final() for facts, parts in pairs]
    right = scores(known, prompts).argmax(axis=-1) == np.stack([one.answer for one in prompts])
    np.testing.assert_array_equal(circuit(known), right.mean(axis=1))
    for facts, parts in pairs:
        held, shown = (along(facts, part)[:, 1] for part in (parts.held_out, parts.trained))
        assert not set(held) & set(shown)


def by_hand(base, alone):
    """Margins of one question whose hops have these logits; token 0 is new, token 1 old."""
    shape = (len(base), 1, 1)
    logits = np.array([base, alone], dtype=float)[:, :, None, None]
    return Margins(*logits, np.zeros(shape, int), np.ones(shape, int))


def test_an_edit_that_turns_its_deficit_round_has_strength_one():
    found = by_hand([[0, 2, 0, 0, 0]], [[3, 1, 0, 0, 0]])
    assert found.deficit.item() == found.margin.item() == 2
    assert found.effective(0.6).item() == pytest.approx(0.6)
    assert found.mixed(0.25).item() == pytest.approx(0.25 * 3 - 1.75)
    assert found.held.item()
    third = by_hand([[0, 2, 0, 9, 0]], [[3, 1, 0, 0, 0]])  # counts for the fact alone
    assert third.effective(1.0).item() == pytest.approx(1)
    assert third.mixed(0.5).item() == pytest.approx(1.5 - 4.5)
    assert not third.held.item()


@pytest.mark.parametrize(("c", "linear", "decided"), [(0.49, 0, 0), (0.6, 0, 1), (0.62, 1, 1)])
def test_two_exact_edits_compose_from_the_golden_ratio_on_or_from_a_half(c, linear, decided):
    found = by_hand([[0, 2, 0, 0, 0]] * 2, [[2, 0, 0, 0, 0]] * 2)
    assert found.composes(c, "overwrite").tolist() == [[bool(linear)]]
    assert found.decided(c).tolist() == [[bool(decided)]]


def chosen(logits, tokens):
    return np.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0]


@pytest.mark.parametrize("inside", [False, True])
def test_margins_are_differences_of_logits_of_the_questions_asked(edits_of, inside):
    found = margins(edits_of, inside=inside)
    for hop in range(2):
        asked = [probe(edit, hop, inside=inside) for edit in edits_of.edits[0]]
        prompts, old = [one for one, _ in asked], np.stack([two for _, two in asked])
        new = np.stack([one.answer for one in prompts])
        before = scores(edits_of.bases, prompts)
        after = scores(edits_of.bases, prompts, edits_of.pairs[0][hop])
        assert found.margin[hop] == pytest.approx(chosen(after, new) - chosen(after, old))
        gap = chosen(before, old) - chosen(before, new)
        assert found.deficit[hop] == pytest.approx(np.maximum(gap, 1e-9))
        assert (found.old[hop] == old).all()
        assert (found.held[hop] == (before.argmax(axis=-1) == old)).all()


def test_a_fact_within_a_question_is_new_at_its_hop_only(edits_of):
    for edit in edits_of.edits[0]:
        x, y, z = edit.routes.T
        old = along(edit.before, all_questions(edit.before))
        first, before = probe(edit, 0, inside=True)
        assert (first.tokens[:, 0] == edit.before.entity(0, x)).all()
        assert (before == edit.before.entity(2, old[x, 2])).all()
        onward = edit.before.entity(2, edit.before.maps[1, 0, y])
        assert (first.answer == onward).all()
        second, before = probe(edit, 1, inside=True)
        sources = [int(np.flatnonzero(old[:, 1] == bridge)[0]) for bridge in y]
        assert (second.tokens[:, 0] == edit.before.entity(0, np.array(sources))).all()
        assert (before == onward).all()
        assert (second.answer == edit.before.entity(2, z)).all()


def test_new_subjects_must_beat_what_the_base_prefers():
    half = library(small((101,), spare=5), replace(TRAINING, pairs=1, familiarity="half"))
    found = margins(half)
    assert pattern(half) == "new subject"
    rest = found.base[0].copy()
    np.put_along_axis(rest, found.new[0][..., None], -np.inf, axis=-1)
    assert (found.old[0] == rest.argmax(axis=-1)).all()
    _, before = probe(half.edits[0][0], 0, inside=False)
    assert (before == -1).all()


def test_a_bridge_that_nothing_leads_to_is_refused(edits_of):
    edit = edits_of.edits[0][0]
    maps = edit.before.maps.copy()
    maps[0][maps[0] == edit.routes[0, 1]] = edit.routes[0, 1] - 1
    lost = replace(edit, before=replace(edit.before, maps=maps))
    with pytest.raises(ValueError, match="no old fact of hop 0 leads to"):
        probe(lost, 1, inside=True)


def test_adapters_act_in_the_loops_of_their_hop(edits_of):
    adapter, x = edits_of.pairs[0][0], torch.ones(4, 1, 16)
    for where, acts in (
        (in_loops([(0,), (0, 1)]), lambda hop, loop: loop <= hop),
        (own_loop, lambda hop, loop: hop == loop),
    ):
        for hop, loop in product((0, 1), repeat=2):
            out = where(adapter, hop)(Site("mlp.in", loop, 0), x)
            assert (out is not None) == acts(hop, loop)
