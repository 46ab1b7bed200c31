"""_texts: prompts as the network takes them."""

import torch
from causal import network

from loratheory.pretrained import GENERIC, Model
from loratheory.pretrained._ask import one_by_one as batches


def test_without_a_tokenizer_random_tokens_stand_in_the_same_every_time():
    model = Model(network("llama"))
    one, two = (batches(model, GENERIC) for _ in range(2))
    assert len(one) == len(GENERIC)
    for first, second in zip(one, two, strict=True):
        assert torch.equal(first["input_ids"], second["input_ids"])
        assert model.network(**first).logits.shape == (1, 12, 31)


def test_prompts_go_through_the_tokenizer_one_by_one():
    class Told:
        input_ids = torch.tensor([[1, 2]])

    model = Model(network("llama"), lambda text, **_: Told if text == "a" else 1 / 0)
    assert batches(model, ["a"])[0]["input_ids"].tolist() == [[1, 2]]
