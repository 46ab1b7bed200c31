"""Marks: counted by hand for what always says the same, and logits read one by one."""

from functools import cache as once

import numpy as np
import pytest
import torch
from reused import always, cache, dense_logits, loud, small, taught, update

from loratheory.experiments.bench.answers import (
    accuracies,
    accuracy,
    answer_margins,
    margin,
    scores,
)
from loratheory.tasks.two_hop import every, plain

__all__ = ["cache"]


@once
def shelf():
    return loud(taught())


def share(prompts, token):
    return np.mean([answer == token for answer in prompts.answer.tolist()])


def test_scores_are_the_logits_at_the_last_place_asked():
    here = shelf()
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


def test_padded_facts_are_read_where_their_answer_is_due():
    here = small((101,))
    world = here.worlds[0]
    facts = plain(world, every(world, start=0, hops=1))
    one, padded = scores(here, [facts]), scores(here, [facts.padded(4)])
    np.testing.assert_allclose(one, padded, atol=1e-5)


def test_a_lead_is_over_the_best_of_the_others():
    found = np.array([[[1.0, 5.0, 3.0], [2.0, 2.0, -1.0]], [[0.0, 0.0, 7.0], [-3.0, -4.0, -5.0]]])
    answer = np.array([[1, 0], [0, 2]])
    assert margin(found, answer).tolist() == [[2.0, 0.0], [-7.0, -2.0]]
    assert found[0, 0, 1] == 5.0


def test_a_tie_is_not_right():
    here = shelf()
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


def test_accuracy_is_the_share_of_positive_leads():
    here = shelf()
    prompts = [one.other_questions for one in here.trials[1]]
    tokens = [one.answer.tolist()[e] for e, one in enumerate(prompts)]
    found = accuracy(here.bases, prompts, always(here.bases, tokens))
    assert found.tolist() == [share(p, t) for p, t in zip(prompts, tokens, strict=True)]
    assert (answer_margins(here.bases, prompts, always(here.bases, tokens)) > 0).mean(
        axis=1
    ).tolist() == found.tolist()


QUESTIONS = {"two_hop": "questions", "other_two_hop": "other_questions"}


@pytest.mark.parametrize("kind", ["two_hop", "hop_1", "hop_2", "other_hops", "other_two_hop"])
def test_the_marks_of_what_always_says_one_answer_are_counted_by_hand(kind):
    here = shelf()

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
    here = shelf()
    right = [one.questions.answer.tolist()[0] for one in here.trials[0]]
    found = accuracies(here, [always(here.bases, right), always(here.bases, [0] * 4)])
    once_each = [share(one.questions, t) / 2 for one, t in zip(here.trials[0], right, strict=True)]
    assert found["two_hop"].tolist() == once_each
    assert found["hop_2"].tolist() == once_each
    assert found["hop_1"].tolist() == [0.0] * 4


def test_a_shortcut_gives_the_edited_answers_to_other_subjects():
    here = shelf()
    tokens = [[one.questions.answer.tolist()[0] for one in pair] for pair in here.trials]
    found = accuracies(here, [always(here.bases, of) for of in tokens])
    for e in range(4):
        by_hand = [share(here.trials[p][e].shortcut, tokens[p][e]) for p in range(2)]
        assert found["shortcut"][e] == np.mean(by_hand) > 0
        subjects = [here.trials[p][e].shortcut.tokens[:, 0].tolist() for p in range(2)]
        assert not set(subjects[0]) & set(here.trials[0][e].questions.tokens[:, 0].tolist())


def test_chance_is_that_of_one_answer_always_given():
    here = shelf()
    found = accuracies(here, [None, None])
    for e in range(4):
        by_hand = []
        for p in range(2):
            answers = here.trials[p][e].questions.answer.tolist()
            by_hand.append(max(answers.count(a) for a in answers) / len(answers))
        assert found["chance"][e] == np.mean(by_hand)
