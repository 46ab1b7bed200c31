"""_tokenizer: one that cannot read is none."""

import json

import pytest
from causal import network
from transformers import AutoTokenizer

from loratheory.pretrained._load import _tokenizer as tokenizer


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2", "gemma", "phi"])
def test_without_its_files_there_is_none_and_it_is_said(kind, tmp_path):
    network(kind).save_pretrained(tmp_path)
    made, notes = tokenizer(str(tmp_path), "it", {"local_files_only": True})
    assert made is None
    assert "it has no tokenizer that can be loaded: " in notes[0]


@pytest.mark.parametrize(
    "damaged",
    [
        "no JSON",
        "{}",
        json.dumps({"version": "1.0", "added_tokens": [], "model": {"type": "unheard of"}}),
    ],
)
def test_damaged_files_are_said_whatever_reading_them_raises(damaged, tmp_path):
    network("llama").save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(damaged)
    made, notes = tokenizer(str(tmp_path), "it", {"local_files_only": True})
    assert made is None
    assert "it has no tokenizer that can be loaded: " in notes[0]


def test_one_that_tells_sentences_apart_is_returned(monkeypatch):
    def _read(text):
        return {"input_ids": [len(text)]}

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: _read)
    assert tokenizer("anywhere", "it", {}) == (_read, ())
