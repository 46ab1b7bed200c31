"""Prompts as batches, first tokens of answers, and what is no prompt."""

import re
import zlib

import pytest
import torch
from language import Letters

from loratheory.pretrained import Model, ModelError, first_tokens, next_token_logits
from loratheory.pretrained.metrics import batch


class Marked:
    """A space is a mark before what follows, and one more is put before all: as Llama 2 reads."""

    def __call__(self, text, **_):
        """A number for each mark and what follows it."""
        pieces = re.findall("_[^_]*", "_" + text.replace(" ", "_"))
        return {"input_ids": [zlib.crc32(piece.encode()) for piece in pieces]}


def test_a_batch_ends_where_its_prompts_end(base):
    made = batch(base(), ["abc", "d"])
    assert made["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert made["position_ids"].tolist() == [[0, 1, 2], [0, 0, 0]]
    assert made["input_ids"][:, -1].tolist() == Letters()("cd")["input_ids"]
    assert next_token_logits(base(double=True), ["abc"]).dtype == torch.float32


def test_answers_are_told_by_their_first_token_after_one_space(base):
    assert first_tokens(base(), ["xy", "y"]).tolist() == Letters()("xy")["input_ids"]
    model = Model(base().network, Marked())
    wanted = [Marked()(f"born in {word}")["input_ids"][-1] for word in ("Peru", "Cuba")]
    assert first_tokens(model, ["Peru", "Cuba"]).tolist() == wanted


def test_what_cannot_be_asked_is_refused(base):
    assert len(set(first_tokens(base(), ["xy", "xz", "y"]).tolist())) == 2
    assert len(first_tokens(base(), ["xy", "xy"])) == 2
    with pytest.raises(ModelError, match="2 answers begin with one token; give some that"):
        first_tokens(base(), ["xy", "xz", "xy"])
    with pytest.raises(ModelError, match="answer '': it has no token"):
        first_tokens(base(), ["abc", " "])
    with pytest.raises(ModelError, match="prompt '': it has no token"):
        batch(base(), ["abc", " "])
    for ask in (next_token_logits, first_tokens):
        with pytest.raises(ModelError, match="it has no tokenizer; load it from a folder"):
            ask(Model(base().network), ["abc"])
