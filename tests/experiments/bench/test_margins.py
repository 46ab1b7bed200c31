"""Margins against logits asked one prompt at a time, and predictions against closed forms."""

import numpy as np
import pytest

from loratheory.experiments.bench.answers import scores
from loratheory.experiments.bench.bases import Setting, bases
from loratheory.experiments.bench.library import Teaching
from loratheory.experiments.bench.theory import Margins, margins, own_loop, pattern, probe
from loratheory.experiments.bench.training import library
from loratheory.tasks.two_hop import along, every

TINY = {"entities": 60, "width": 16, "steps": 3}
TAUGHT = Teaching(facts=2, sets=2, steps=2, retained=4)


@pytest.fixture(scope="module", autouse=True)
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def taught(_kept):
    return library(bases(Setting(**TINY), [101, 102]), TAUGHT)


@pytest.fixture(scope="module")
def half(_kept):
    known = bases(Setting(spare=5, **TINY), [101])
    return library(known, Teaching(facts=2, sets=2, steps=2, retained=4, familiarity="half"))


def chosen(logits, tokens):
    return np.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0]


def by_hand(base, alone, new, old):
    shape = (len(base), 1, 1)
    logits = np.zeros((2, *shape, 5))
    for hop, (b, a) in enumerate(zip(base, alone, strict=True)):
        logits[0, hop, 0, 0], logits[1, hop, 0, 0] = b, a
    return Margins(logits[0], logits[1], np.full(shape, new), np.full(shape, old))


def test_an_edit_that_turns_its_deficit_round_has_strength_one():
    found = by_hand([[0, 2, 0, 0, 0]], [[3, 1, 0, 0, 0]], 0, 1)
    assert found.deficit.item() == found.margin.item() == 2
    assert found.effective(0.6).item() == pytest.approx(0.6)
    assert found.mixed(0.25).item() == pytest.approx(0.25 * 3 - 1.75)
    assert found.held.item()


def test_a_third_token_counts_for_the_fact_and_not_for_its_strength():
    found = by_hand([[0, 2, 0, 9, 0]], [[3, 1, 0, 0, 0]], 0, 1)
    assert found.effective(1.0).item() == pytest.approx(1)
    assert found.mixed(0.5).item() == pytest.approx(1.5 - 4.5)
    assert not found.held.item()


@pytest.mark.parametrize(("c", "linear", "decided"), [(0.49, 0, 0), (0.6, 0, 1), (0.62, 1, 1)])
def test_two_exact_edits_compose_from_the_golden_ratio_on_or_from_a_half(c, linear, decided):
    old, new = [0, 2, 0, 0, 0], [2, 0, 0, 0, 0]
    found = by_hand([old, old], [new, new], 0, 1)
    assert found.composes(c, "overwrite").tolist() == [[bool(linear)]]
    assert found.decided(c).tolist() == [[bool(decided)]]


def test_one_strong_edit_does_not_make_up_for_a_weak_one():
    old, new, weak = [0, 2, 0, 0, 0], [9, 0, 0, 0, 0], [0, 1.9, 0, 0, 0]
    found = by_hand([old, old], [new, weak], 0, 1)
    assert not found.decided(0.9).any()
    assert not found.composes(0.9, "overwrite").any()


@pytest.mark.parametrize("inside", [False, True])
def test_margins_are_differences_of_logits_of_the_questions_asked(taught, inside):
    found = margins(taught, inside=inside)
    for hop in range(2):
        asked = [probe(edit, hop, inside=inside) for edit in taught.edits[0]]
        prompts, old = [one for one, _ in asked], np.stack([two for _, two in asked])
        new = np.stack([one.answer for one in prompts])
        before = scores(taught.bases, prompts)
        after = scores(taught.bases, prompts, taught.pairs[0][hop])
        assert found.margin[hop] == pytest.approx(chosen(after, new) - chosen(after, old))
        gap = chosen(before, old) - chosen(before, new)
        assert found.deficit[hop] == pytest.approx(np.maximum(gap, 1e-9))
        assert (found.old[hop] == old).all()
        assert (found.held[hop] == (before.argmax(axis=-1) == old)).all()


def test_a_question_within_a_chain_is_new_at_its_hop_only(taught):
    for edit in taught.edits[0]:
        x, y, z = edit.routes.T
        old = along(edit.before, every(edit.before))
        first, told = probe(edit, 0, inside=True)
        assert (first.tokens[:, 0] == edit.before.entity(0, x)).all()
        assert (told == edit.before.entity(2, old[x, 2])).all()
        onward = edit.before.maps[1, 0, y]
        assert (first.answer == edit.before.entity(2, onward)).all()
        second, told = probe(edit, 1, inside=True)
        sources = [int(np.flatnonzero(old[:, 1] == bridge)[0]) for bridge in y]
        assert (second.tokens[:, 0] == edit.before.entity(0, np.array(sources))).all()
        assert (told == edit.before.entity(2, onward)).all()
        assert (second.answer == edit.before.entity(2, z)).all()


def test_facts_alone_are_those_that_the_trials_ask(taught):
    for edit, asked in zip(taught.edits[0], taught.trials[0], strict=True):
        for hop in range(2):
            prompts, _ = probe(edit, hop, inside=False)
            assert (prompts.tokens == asked.hops[hop].tokens).all()
            assert (prompts.answer == asked.hops[hop].answer).all()


def test_new_subjects_must_beat_what_the_base_prefers(half):
    found = margins(half)
    assert pattern(half) == "new subject"
    rest = found.base[0].copy()
    np.put_along_axis(rest, found.new[0][..., None], -np.inf, axis=-1)
    assert (found.old[0] == rest.argmax(axis=-1)).all()
    _, told = probe(half.edits[0][0], 0, inside=False)
    assert (told == -1).all()


def test_an_adapter_in_its_own_loop_differs_from_one_in_the_other(taught):
    prompts = [one.questions for one in taught.trials[0]]
    adapter = taught.pairs[0][1]
    second = scores(taught.bases, prompts, own_loop(adapter, 1))
    first = scores(taught.bases, prompts, own_loop(adapter, 0))
    seen = []
    scores(
        taught.bases, prompts, lambda site, x: seen.append((site, own_loop(adapter, 1)(site, x)))
    )
    acts = {site.loop for site, out in seen if out is not None}
    assert acts == {1}
    assert not np.allclose(first, second, atol=1e-9)


def test_a_bridge_that_nothing_leads_to_is_told(taught):
    edit = taught.edits[0][0]
    maps = edit.before.maps.copy()
    maps[0][maps[0] == edit.routes[0, 1]] = edit.routes[0, 1] - 1
    from dataclasses import replace

    lost = replace(edit, before=replace(edit.before, maps=maps))
    with pytest.raises(ValueError, match="no old fact of hop 0 leads to"):
        probe(lost, 1, inside=True)
