"""A small random network that reads words, each a token of its own: what stands in for a model."""

import zlib

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from loratheory.evaluate import fact_adapters
from loratheory.pretrained import Model, Training
from loratheory.pretrained.models import GENERIC
from paper.studies._shared import language
from paper.studies.lm_methods import facts

VOCABULARY = 4001


class Words:
    """Every word is one token, told by its spelling."""

    pad_token_id = 0

    def __call__(self, text, **_):
        """The number of each word; a word like N7 is a number itself."""
        return {"input_ids": [_number(word) for word in text.split()]}

    def decode(self, ids, **_):
        """Words that are read as these numbers."""
        return "".join(f" N{int(number)}" for number in ids)


def _number(word):
    return (
        int(word[1:])
        if word[0] == "N" and word[1:].isdigit()
        else 1 + zlib.crc32(word.encode()) % 3999
    )


def small_model(layers=10, seed=0):
    """Ten layers, so that tenths of the depth are layers."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    network = LlamaForCausalLM(config).eval().requires_grad_(False)
    return Model(network, Words(), "small")


def small(patch, folder, layers=10):
    """Let the small model be loaded, its adapters trained for three steps, gates on little."""

    def _short(layers=None, **how):
        return Training(layers=layers, **{"steps": 3, "batch": 4, **how})

    patch.setenv("LORATHEORY_CACHE", str(folder))
    patch.setattr("loratheory.pretrained.load_model", lambda *_, **__: small_model(layers))
    patch.setattr("loratheory.pretrained.train.Training", _short)
    patch.setattr(facts, "Training", _short)
    patch.setattr(language, "GENERIC", GENERIC[:2])


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two authors on the small model, whose trainings take two steps and share one cache."""
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"), 2)
        patch.setattr(fact_adapters.Recipe, "training", Training(steps=2, batch=4, enough=0.0))
        yield fact_adapters.publishers(small_model(2), 101)


@pytest.fixture(scope="module")
def model(both):
    return both.model
