"""_edits: where logits are linear in the adapters the theorem applies, elsewhere it is silent."""

import numpy as np
import pytest
import torch
from causal import network
from transformers import BatchEncoding

from loratheory.adapters import Adapter
from loratheory.lowrank import gaussian
from loratheory.pretrained import Model, ModelError
from loratheory.pretrained.check._edits import MOST, Asked, asked, of_chains, of_edits


def letters(text, return_tensors=None, **_):
    """A token a letter."""
    ids = [ord(letter) % 31 for letter in text.strip()]
    return BatchEncoding({"input_ids": torch.tensor([ids]) if return_tensors else ids})


@pytest.fixture(scope="module")
def model():
    return Model(network("llama").double(), letters)


def adapters(*names):
    rng = np.random.default_rng(0)
    shapes = {"lm_head": (31, 16), "model.layers.0.mlp.up_proj": (24, 16)}
    return [Adapter.of({name: gaussian(rng, *shapes[name], 2, 0.3)}) for name in names]


FACTS = {"one": {"abc": "x", "hello": "y"}, "two": {"dog": "z"}, "both": {"abcd": "k", "cat": "m"}}


def test_edits_of_the_head_obey_the_theorem(model):
    told = asked(model, adapters("lm_head", "lm_head"), FACTS, [0.5, 1.0])
    found = [*of_edits(("one", "two"), told)]
    assert [reading.outcome for reading in found] == ["tight"] * 6
    fact = told["one"][0]
    c, others = 0.5, 0.5 * (fact.alone[1] - fact.base)
    mixed = fact.base + c * (fact.alone[0] - fact.base) + others
    rival = np.delete(mixed, fact.target).max()
    assert found[0].value == pytest.approx(mixed[fact.target] - rival)
    assert found[0].about == "0.5 × one, fact 1"


def test_edits_below_the_head_are_outside_it_and_the_gap_is_told(model):
    told = asked(model, adapters(*["model.layers.0.mlp.up_proj"] * 2), FACTS, [0.5])
    found = [*of_edits(("one", "two"), told)]
    assert {reading.outcome for reading in found} == {"not applicable"}
    assert "% off what it adds alone" in found[0].note
    fact = told["one"][0]
    merged = fact.merged[0.5]
    assert found[0].value == pytest.approx(fact.lead(merged))


def test_each_prompt_is_answered_as_if_it_were_alone(model):
    told = asked(model, adapters("lm_head"), FACTS, [1.0])
    ids = letters("hello", return_tensors="pt").input_ids
    with torch.no_grad():
        exact = model.network(ids).logits[0, -1].numpy()
    assert np.allclose(told["one"][1].base, exact, atol=1e-10)
    assert told["one"][1].target == ord("y") % 31
    assert {group: len(facts) for group, facts in told.items()} == {"one": 2, "two": 1, "both": 2}


def test_strengths_and_chains_are_read_in_deficits():
    logits = np.array([[2.0, 0, 0], [-1, 3, 0], [1, 1.5, 0], [0, 4, 0]])
    fact = Asked(1, logits[0], (logits[1], logits[2]), {0.5: logits[3]})
    assert fact.strength(0) == (4 + 2) / 4
    assert fact.strength(1) == (0.5 + 2) / 4
    (found,) = of_chains(("one", "two"), {"one": [fact], "two": [fact], "both": [fact]})
    first, second = 0.5 * 1.5, 0.5 * 0.625
    assert found.bound == pytest.approx(first * second - max(0, 1 - first, first * (1 - second)))
    assert found.value == pytest.approx(4 / 2)
    assert "right on 1 of 1 chains, the base on 0" in found.note
    assert not [*of_chains(("one", "two"), {"one": [fact], "both": [fact]})]


def test_what_the_base_knew_already_has_no_prediction():
    """The strength of such an edit is infinite, and a margin made of it is no number."""
    logits = np.array([[2.0, 0, 0], [-1, 3, 0]])
    new, old = (Asked(i, logits[0], (logits[1],) * 2, {0.5: logits[1]}) for i in (1, 0))
    told = {"one": [old], "two": [new], "both": [new]}
    (found,) = of_chains(("one", "two"), told)
    assert found.bound is None
    assert found.value == pytest.approx(3 / 2)


def test_groups_without_facts_are_left_out(model):
    told = asked(model, adapters("lm_head"), FACTS | {"none": {}}, [1.0])
    assert told.keys() == FACTS.keys()


def test_many_facts_are_sampled_and_no_tokenizer_is_refused(model):
    many = {"one": {f"ab{i}": "x" for i in range(25)}}
    assert len(asked(model, adapters("lm_head"), many, [1.0])["one"]) <= MOST
    with pytest.raises(ModelError, match="no tokenizer"):
        asked(Model(model.network), adapters("lm_head"), FACTS, [1.0])
