"""Accuracies counted by hand for what always says the same; logits and passes one by one."""

from functools import cache as once

import numpy as np
import pytest
import torch
from reused import always, cache, dense_logits, enlarged, taught, update

from loratheory.experiments.bench.answers import (
    accuracies,
    accuracy,
    hop_by_hop,
    margin,
    one_pass,
    recall,
    scores,
    second_pass,
    written_out,
)
from loratheory.experiments.bench.bases import tensor
from loratheory.experiments.bench.library import acting, added
from loratheory.experiments.bench.rules import rule
from loratheory.tasks.two_hop import stacked
from loratheory.toy.transformer import Pass, decoded, logits

__all__ = ["cache"]


@once
def loud_library():
    return enlarged(taught())


def share(prompts, token):
    return np.mean([answer == token for answer in prompts.answer.tolist()])


def test_scores_are_the_logits_at_the_last_place_asked():
    here = loud_library()
    adapter = here.pairs[0][0]
    for kind in ("questions", "shortcut"):
        prompts = [getattr(one, kind) for one in here.trials[0]]
        found = scores(here.bases, prompts, adapter)
        for e, one in enumerate(prompts):
            whole = dense_logits(
                here.bases, prompts, e, lambda name, _, e=e: update(adapter, name, e)
            ).numpy()
            for row, place in enumerate(one.position.tolist()):
                np.testing.assert_allclose(found[e, row], whole[row, place], rtol=0, atol=2e-3)


def test_a_lead_is_over_the_best_of_the_others():
    found = np.array([[[1.0, 5.0, 3.0], [2.0, 2.0, -1.0]], [[0.0, 0.0, 7.0], [-3.0, -4.0, -5.0]]])
    answer = np.array([[1, 0], [0, 2]])
    assert margin(found, answer).tolist() == [[2.0, 0.0], [-7.0, -2.0]]
    assert found[0, 0, 1] == 5.0


def test_a_tie_is_not_right():
    here = loud_library()
    prompts = [one.questions for one in here.trials[0]]
    answer = torch.tensor([one.answer.tolist() for one in prompts])

    def _tie(site, x):
        if site.module != "head":
            return None
        bias = torch.full((4, x.shape[1], here.bases.config.vocabulary), -1e9)
        bias[..., :2] = 1e9
        bias[torch.arange(4)[:, None], :, answer] = 1e9
        return bias

    assert accuracy(here.bases, prompts, _tie).tolist() == [0.0] * 4


QUESTIONS = {"two_hop": "questions", "other_two_hop": "other_questions"}


@pytest.mark.parametrize("kind", ["two_hop", "hop_1", "hop_2", "other_hops", "other_two_hop"])
def test_the_marks_of_what_always_says_one_answer_are_counted_by_hand(kind):
    here = loud_library()

    def _asked(one):
        if kind.startswith("hop_"):
            return [one.hops[int(kind[-1]) - 1]]
        return list(one.other_hops) if kind == "other_hops" else [getattr(one, QUESTIONS[kind])]

    tokens = [[_asked(one)[-1].answer.tolist()[0] for one in pair] for pair in here.trials]
    found = accuracies(here, [always(here.bases, of) for of in tokens])
    assert list(found) == [
        "two_hop", "hop_1", "hop_2", "other_hops", "other_two_hop", "shortcut", "chance"
    ]  # fmt: skip
    for e in range(4):
        by_hand = [
            np.mean([share(part, tokens[p][e]) for part in _asked(here.trials[p][e])])
            for p in range(2)
        ]
        assert found[kind][e] == pytest.approx(np.mean(by_hand))
    assert (found[kind] > 0).all()


def test_only_the_pair_asked_counts_and_pairs_are_averaged():
    here = loud_library()
    right = [one.questions.answer.tolist()[0] for one in here.trials[0]]
    found = accuracies(here, [always(here.bases, right), always(here.bases, [0] * 4)])
    once_each = [share(one.questions, t) / 2 for one, t in zip(here.trials[0], right, strict=True)]
    assert found["two_hop"].tolist() == once_each
    assert found["hop_2"].tolist() == once_each
    assert found["hop_1"].tolist() == [0.0] * 4


def test_a_shortcut_gives_the_edited_answers_to_other_subjects():
    here = loud_library()
    tokens = [[one.questions.answer.tolist()[0] for one in pair] for pair in here.trials]
    found = accuracies(here, [always(here.bases, of) for of in tokens])
    for e in range(4):
        by_hand = [share(here.trials[p][e].shortcut, tokens[p][e]) for p in range(2)]
        assert found["shortcut"][e] == np.mean(by_hand) > 0
        subjects = [here.trials[p][e].shortcut.tokens[:, 0].tolist() for p in range(2)]
        assert not set(subjects[0]) & set(here.trials[0][e].questions.tokens[:, 0].tolist())


def test_chance_is_that_of_one_answer_always_given():
    here = loud_library()
    found = accuracies(here, [None, None])
    for e in range(4):
        by_hand = []
        for p in range(2):
            answers = here.trials[p][e].questions.answer.tolist()
            by_hand.append(max(answers.count(a) for a in answers) / len(answers))
        assert found["chance"][e] == np.mean(by_hand)


@pytest.fixture(scope="module")
def adapted():
    return enlarged(taught())


def asked_of(adapted):
    return tensor(stacked([one.questions for one in adapted.trials[0]]).tokens)


def test_hop_by_hop_each_answer_is_the_next_subject(adapted):
    tokens, adapt = asked_of(adapted), acting(adapted, rule("sum"))[0]
    with torch.inference_mode():
        found = hop_by_hop(adapted.bases, tokens, adapt)
        first = logits(adapted.bases.config, adapted.bases.weights, tokens[..., :2].clone(), adapt)
        torch.testing.assert_close(found[:, :, :2], first)
        for e in range(tokens.shape[0]):
            model = {n: w[e // 2 : e // 2 + 1] for n, w in adapted.bases.weights.items()}
            alone = [a.of(slice(e, e + 1)) for a in adapted.adapters]
            for row in range(tokens.shape[1]):
                bridge = int(first[e, row, 1].argmax())
                question = torch.tensor([[[bridge, int(tokens[e, row, 2])]]])
                both = added(alone, [1.0] * len(alone))
                one = logits(adapted.bases.config, model, question, both)
                torch.testing.assert_close(found[e, row, 2], one[0, 0, 1], rtol=1e-4, atol=1e-4)


def test_single_facts_are_asked_once(adapted):
    tokens, adapt = asked_of(adapted)[..., :2].clone(), acting(adapted, rule("sum"))[0]
    with torch.inference_mode():
        once = one_pass(adapted.bases, tokens, adapt)
        assert torch.equal(hop_by_hop(adapted.bases, tokens, adapt), once)


def test_put_back_states_replace_embeddings_but_the_last(adapted):
    tokens, adapt = asked_of(adapted), acting(adapted, rule("sum"))[0]
    config, weights = adapted.bases.config, adapted.bases.weights
    with torch.inference_mode():
        found = second_pass(adapted.bases, tokens, adapt)
        run = Pass(config, weights, adapt, tokens.shape[0])
        begin = run.embedded(tokens)
        x = run.layer(begin, 0, 0, 3).unflatten(1, (-1, 3)).clone()
        x[:, :, 2] = begin.unflatten(1, (-1, 3))[:, :, 2]
        x = x.flatten(1, 2)
        for loop in range(2):
            x = run.layer(x, loop, 0, 3)
        wanted = decoded(config, weights, x, 1).unflatten(1, tokens.shape[1:])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_models_own_first_word_is_what_it_goes_on_from():
    adapted = taught(pairs=1, facts=3)
    asked = [one.thought for one in adapted.trials[0]]
    bridges = [int(one.tokens[0, -1]) for one in asked]
    spelt, answer = written_out(adapted, always(adapted.bases, bridges))
    np.testing.assert_allclose(spelt, 1 / 3)
    assert (answer == 0).all()
    ends = [int(one.answer[0]) for one in asked]
    spelt, answer = written_out(adapted, always(adapted.bases, ends))
    assert (spelt == 0).all()
    np.testing.assert_allclose(answer, 1 / 3)


def test_recall_is_of_each_hop_under_its_own_adapters():
    """What always gives one answer of hop 1 recalls it there, and nothing of hop 2."""
    here = loud_library()
    tokens = [one.hops[0].answer.tolist()[0] for one in here.trials[1]]
    by_hop = [[always(here.bases, tokens)], [always(here.bases, [0] * 4)]]
    for pair in (0, 1):
        wanted = [
            share(one.hops[0], t) / 2 for one, t in zip(here.trials[pair], tokens, strict=True)
        ]
        assert recall(here, by_hop, 1.0, pair).tolist() == wanted
    both = np.mean([recall(here, by_hop, 1.0, pair) for pair in (0, 1)], axis=0)
    np.testing.assert_allclose(recall(here, by_hop, 1.0), both)
    assert (both > 0).all()
