"""_ask: padding changes nothing, answers are first tokens after a space."""

import re
import zlib

import pytest
import torch
from causal import network
from letters import EXAMPLES, Letters, model

from loratheory.pretrained import Model, ModelError, batch, first_tokens, next_logits


class Marked:
    """A space is a mark before what follows, and one more is put before all: as Llama 2 reads."""

    def __call__(self, text, **_):
        """A number for each mark and what follows it."""
        pieces = re.findall("_[^_]*", "_" + text.replace(" ", "_"))
        return {"input_ids": [zlib.crc32(piece.encode()) for piece in pieces]}


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2", "phi"])
@pytest.mark.parametrize("size", [2, 64])
def test_prompts_in_a_batch_are_answered_as_alone(kind, size):
    base = model(kind)
    prompts = [prompt for prompt, _ in EXAMPLES]
    found = next_logits(base, prompts, size=size)
    for row, prompt in zip(found, prompts, strict=True):
        ids = torch.tensor([base.tokenizer(prompt)["input_ids"]])
        with torch.no_grad():
            wanted = base.network(ids).logits[0, -1]
        assert torch.allclose(row, wanted, rtol=1e-3, atol=1e-4)
    assert found.dtype == torch.float32


def test_a_batch_ends_where_its_prompts_end():
    told = batch(model(), ["abc", "d"])
    assert told["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert told["position_ids"].tolist() == [[0, 1, 2], [0, 0, 0]]
    assert told["input_ids"][0, -1] == Letters()("c")["input_ids"][0]


def test_answers_are_told_by_their_first_token():
    assert first_tokens(model(), ["xy", "y"]).tolist() == Letters()("xy")["input_ids"]


def test_a_tokenizer_that_puts_a_space_first_is_given_none():
    base = Model(network("llama"), Marked())
    found = first_tokens(base, ["Peru", "Cuba"]).tolist()
    assert found == [Marked()(f"born in {word}")["input_ids"][-1] for word in ("Peru", "Cuba")]


def test_answers_that_all_begin_alike_are_refused():
    assert len(set(first_tokens(model(), ["xy", "xz", "y"]).tolist())) == 2
    assert len(first_tokens(model(), ["xy", "xy"])) == 2
    with pytest.raises(ModelError, match="2 answers begin with one token; give some that"):
        first_tokens(model(), ["xy", "xz", "xy"])


def test_no_tokens_no_answer():
    with pytest.raises(ModelError, match="answer ' ': it has no token"):
        first_tokens(model(), ["abc", " "])
    with pytest.raises(ModelError, match="no token"):
        batch(model(), ["abc", " "])
    with pytest.raises(ModelError, match="no tokenizer"):
        next_logits(Model(network("llama")), ["abc"])
    with pytest.raises(ModelError, match="no tokenizer"):
        first_tokens(Model(network("llama")), ["abc"])
