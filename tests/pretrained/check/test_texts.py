"""_texts: prompts as the network takes them, and facts read from a file."""

import json

import pytest
import torch
from causal import network

from loratheory.pretrained import GENERIC, Model, ModelError
from loratheory.pretrained.check._texts import batches, facts_in


def test_without_a_tokenizer_random_tokens_stand_in_the_same_every_time():
    model = Model(network("llama"))
    one, two = (batches(model) for _ in range(2))
    assert len(one) == len(GENERIC)
    for first, second in zip(one, two, strict=True):
        assert torch.equal(first["input_ids"], second["input_ids"])
        assert model.network(**first).logits.shape == (1, 12, 31)


def test_prompts_go_through_the_tokenizer_one_by_one():
    class Told:
        input_ids = torch.tensor([[1, 2]])

    model = Model(network("llama"), lambda text, **_: Told if text == "a" else 1 / 0)
    assert batches(model, ["a"])[0]["input_ids"].tolist() == [[1, 2]]


def test_facts_are_read_as_they_stand(tmp_path):
    told = {"one": {"a": "b"}, "chains": {"c": "d", "e": "f"}}
    (tmp_path / "facts.json").write_text(json.dumps(told))
    assert facts_in(tmp_path / "facts.json") == told


@pytest.mark.parametrize("text", ["{", "[1]", '{"one": {}}', '{"one": {"a": 1}}', '{"one": "a"}'])
def test_anything_else_is_refused_with_what_to_write(tmp_path, text):
    file = tmp_path / "facts.json"
    file.write_text(text)
    with pytest.raises(ModelError, match=r'facts.json: .*write \{"adapter": \{"prompt"'):
        facts_in(file)


def test_facts_that_are_not_there_are_missed_by_name(tmp_path):
    with pytest.raises(ModelError, match=r"nope.json: it cannot be read .No such file"):
        facts_in(tmp_path / "nope.json")
