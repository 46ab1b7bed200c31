"""Accuracies counted by hand for what always says the same; logits and passes one by one."""

from functools import cache as once

import numpy as np
import pytest
import torch
from synthetic import always, dense_logits, enlarged, trained_library, update

from loratheory.tasks.prompts import stacked
from loratheory.toy.transformer import Pass, logits
from paper.studies._shared.answers import (
    accuracies,
    accuracy,
    margin,
    one_pass,
    scores,
    second_pass,
    two_step,
)
from paper.studies._shared.library import activate, add, rule
from paper.studies._shared.models import tensor


@once
def library():
    return enlarged(trained_library())


def share(prompts, token):
    return np.mean([answer == token for answer in prompts.answer.tolist()])


def first_answers(pair):
    """The answer of the first two-hop question of each replica."""
    return [one.questions.answer.tolist()[0] for one in pair]


@pytest.mark.parametrize("kind", ["questions", "shortcut"])
def test_scores_are_the_logits_at_the_last_place_asked(kind):
    adapter = library().pairs[0][0]
    prompts = [getattr(one, kind) for one in library().trials[0]]
    found = scores(library().bases, prompts, adapter)
    for e, one in enumerate(prompts):
        dense = dense_logits(
            library().bases, prompts, e, lambda name, _, e=e: update(adapter, name, e)
        ).numpy()
        for row, place in enumerate(one.position.tolist()):
            np.testing.assert_allclose(found[e, row], dense[row, place], rtol=0, atol=2e-3)


def test_a_margin_is_over_the_best_of_the_others_and_a_tie_is_not_right():
    found = np.array([[[1.0, 5.0, 3.0], [2.0, 2.0, -1.0]], [[0.0, 0.0, 7.0], [-3.0, -4.0, -5.0]]])
    assert margin(found, np.array([[1, 0], [0, 2]])).tolist() == [[2.0, 0.0], [-7.0, -2.0]]
    assert found[0, 0, 1] == 5.0
    prompts = [one.questions for one in library().trials[0]]
    answer = torch.tensor([one.answer.tolist() for one in prompts])

    def _tie(site, x):
        if site.module != "head":
            return None
        bias = torch.full((4, x.shape[1], library().bases.config.vocabulary), -1e9)
        bias[..., :2] = 1e9
        bias[torch.arange(4)[:, None], :, answer] = 1e9
        return bias

    assert accuracy(library().bases, prompts, _tie).tolist() == [0.0] * 4


ASKED = {
    "two_hop": lambda one: [one.questions],
    "hop_1": lambda one: [one.hops[0]],
    "hop_2": lambda one: [one.hops[1]],
    "other_hops": lambda one: list(one.other_hops),
    "other_two_hop": lambda one: [one.other_questions],
}


@pytest.mark.parametrize("kind", ASKED)
def test_the_accuracies_of_what_always_says_one_answer_are_counted_by_hand(kind):
    trials, asked = library().trials, ASKED[kind]
    tokens = [[asked(one)[-1].answer.tolist()[0] for one in pair] for pair in trials]
    found = accuracies(library(), [always(library().bases, of) for of in tokens])
    assert list(found) == [
        "two_hop", "hop_1", "hop_2", "other_hops", "other_two_hop", "chance"
    ]  # fmt: skip
    for e in range(4):
        by_hand, chance = [], []
        for pair, said in zip(trials, tokens, strict=True):
            by_hand.append(np.mean([share(part, said[e]) for part in ASKED[kind](pair[e])]))
            answers = pair[e].questions.answer.tolist()
            chance.append(max(answers.count(a) for a in answers) / len(answers))
        assert found[kind][e] == pytest.approx(np.mean(by_hand))
        assert found["chance"][e] == np.mean(chance)
    assert (found[kind] > 0).all()


def test_only_the_pair_asked_counts_and_pairs_are_averaged():
    right = first_answers(library().trials[0])
    active = [always(library().bases, right), always(library().bases, [0] * 4)]
    found = accuracies(library(), active)
    each = zip(library().trials[0], right, strict=True)
    assert found["two_hop"].tolist() == [share(one.questions, t) / 2 for one, t in each]
    assert found["hop_2"].tolist() == found["two_hop"].tolist()
    assert found["hop_1"].tolist() == [0.0] * 4


@pytest.fixture(scope="module")
def asked():
    """Tokens of the first pair's questions, and the sum of all adapters."""
    tokens = tensor(stacked([one.questions for one in library().trials[0]]).tokens)
    return tokens, activate(library(), rule("sum"))[0]


def test_hop_by_hop_each_answer_is_the_next_subject(asked):
    (tokens, adapt), bases = asked, library().bases
    with torch.inference_mode():
        found = two_step(bases, tokens, adapt)
        single = tokens[..., :2].clone()
        first = logits(bases.config, bases.weights, single, adapt)
        torch.testing.assert_close(found[:, :, :2], first)
        assert torch.equal(two_step(bases, single, adapt), one_pass(bases, single, adapt))
        for e in range(tokens.shape[0]):
            model = {n: w[e // 2 : e // 2 + 1] for n, w in bases.weights.items()}
            alone = [a.of(slice(e, e + 1)) for a in library().adapters]
            for row in range(tokens.shape[1]):
                bridge = int(first[e, row, 1].argmax())
                question = torch.tensor([[[bridge, int(tokens[e, row, 2])]]])
                one = logits(bases.config, model, question, add(alone, [1.0] * len(alone)))
                torch.testing.assert_close(found[e, row, 2], one[0, 0, 1], rtol=1e-4, atol=1e-4)


def test_put_back_states_replace_embeddings_but_the_last(asked):
    tokens, adapt = asked
    config, weights = library().bases.config, library().bases.weights
    with torch.inference_mode():
        found = second_pass(library().bases, tokens, adapt)
        run = Pass(config, weights, adapt, tokens.shape[0])
        begin = run.embedded(tokens)
        x = run.layer(begin, 0, 0, 3).unflatten(1, (-1, 3)).clone()
        x[:, :, 2] = begin.unflatten(1, (-1, 3))[:, :, 2]
        x = x.flatten(1, 2)
        for loop in range(2):
            x = run.layer(x, loop, 0, 3)
        wanted = run.decode(x, 1).unflatten(1, tokens.shape[1:])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
