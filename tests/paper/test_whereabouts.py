"""Where adapters act, token by token and layer by layer, and what the states say."""

import pytest
import torch
from language import WORDS

from loratheory.evaluate.fact_sets import FEW
from loratheory.pretrained import attach, first_tokens, next_token_logits
from paper.studies.lm_order import whereabouts
from paper.studies.lm_order.whereabouts import Condition, QuestionSet


@pytest.fixture(scope="module")
def pair(both):
    """Adapters, forty times as strong, or two steps would show nothing."""
    return [
        type(one).of({name: low * 40.0 for name, low in one.items()}, one.info)
        for one in (both.adapter(hop, "standard, early-stopped") for hop in (0, 1))
    ]


@pytest.fixture(scope="module")
def asked(both):
    return QuestionSet.of(both.facts.two_hop, FEW["two_hop"], both.facts.first)


def inside(prompt, name):
    """Which words are the subject's: each word is a token of the small model."""
    return [name in word for word in prompt.split()]


def test_the_masks_are_the_tokens_of_the_subject_and_the_last(model, asked):
    found = []
    for part, masks in whereabouts.batches(model, asked):
        size = part["attention_mask"].sum(1).tolist()
        found += [m[-n:].tolist() for m, n in zip(masks["subject"], size, strict=True)]
        assert masks["subject"].sum(1).tolist() == [1] * len(size)
        assert masks["last"].int().argmax(1).tolist() == [masks["last"].shape[1] - 1] * len(size)
        assert masks["all"].all()
    assert found == [inside(*one) for one in zip(asked.prompts, asked.subjects, strict=True)]


@pytest.mark.parametrize(
    ("condition", "coefficients"),
    [
        (Condition(), ((1, 1), (1, 1))),
        (Condition(("below", "above")), ((1, 0), (0, 1))),
        (Condition(("above", "all")), ((0, 1), (1, 1))),
    ],
)
def test_layers_that_an_arm_leaves_out_do_not_act(condition, coefficients, model, pair, asked):
    with attach(model, pair) as acts:
        found = whereabouts.compute_logits(model, acts, asked, condition, split=1)
        acts.set([coefficients[layer] for layer in acts.layers])
        assert torch.allclose(found, next_token_logits(model, asked.prompts), atol=1e-4)


@pytest.mark.parametrize(
    "tokens",
    [
        ("subject", "all"),
        ("all", "last"),
    ],
)
def test_tokens_that_an_arm_leaves_out_are_the_bases(tokens, model, pair, asked):
    few = QuestionSet(asked.prompts[::17], asked.subjects[::17], asked.answers[::17])
    with attach(model, pair) as acts:
        everywhere = whereabouts.compute_logits(model, acts, few, Condition(), 1)
        found = whereabouts.compute_logits(model, acts, few, Condition(tokens=tokens), 1)
        again = whereabouts.compute_logits(model, acts, few, Condition(), 1)
    assert torch.equal(everywhere, again)
    wanted = []
    for prompt, name in zip(few.prompts, few.subjects, strict=True):
        length = len(prompt.split())
        last = [k == length - 1 for k in range(length)]
        kinds = {"all": [True] * length, "subject": inside(prompt, name), "last": last}
        weights = torch.tensor([kinds[each] for each in tokens]).T
        with attach(model, pair) as acting:
            acting.follow(lambda _, x, w=weights: w.to(x))
            wanted.append(next_token_logits(model, [prompt]))
    assert torch.allclose(found, torch.cat(wanted), atol=1e-4)
    assert not torch.allclose(found, everywhere, atol=1e-2)


def test_shares_are_counted_with_and_without_banned_words(model, asked):
    tokens = first_tokens(model, asked.answers)
    logits = torch.nn.functional.one_hot(tokens, WORDS).float()
    bridges = first_tokens(model, asked.bridges)
    rows = torch.arange(len(bridges))
    logits[rows[::2], bridges[::2]] = 2.0
    found = whereabouts.right(model, logits, asked)
    assert found == {"two_hop_vocabulary": 0.5, "two_hop": 1.0}
    banned = whereabouts.right(model, logits, asked, sorted({*asked.bridges}))
    assert banned == {"two_hop_vocabulary": 1.0, "two_hop": 1.0}


def test_the_lens_at_the_last_layer_is_what_the_model_says(model, asked):
    rows = whereabouts.lens(model, asked)
    assert len(rows) == 2
    logits = next_token_logits(model, asked.prompts)
    for words, name in ((asked.answers, "answer_at_last"), (asked.bridges, "bridge_at_last")):
        tokens = first_tokens(model, sorted({*words}))
        best = tokens[logits[:, tokens].argmax(1)]
        assert rows[-1][name] == (best == first_tokens(model, words)).double().mean().item()


@pytest.mark.parametrize(("name", "layers"), [("right halves", (0, 1)), ("wrong halves", (1, 0))])
def test_adapters_in_halves_change_no_other_layer(both, name, layers):
    for hop, layer in enumerate(layers):
        assert {int(module.split(".")[2]) for module in both.adapter(hop, name)} == {layer}
