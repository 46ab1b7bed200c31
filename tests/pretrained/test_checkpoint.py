"""_checkpoint: whole or not there, small once all is over."""

import os

import numpy as np
import pytest
import torch
from letters import EXAMPLES, model
from safetensors import safe_open

from loratheory.pretrained import ModelError, Training, trained
from loratheory.pretrained._trainable import keep, resumed, trainable

SMALL = Training(rank=2, batch=3, steps=3, enough=0.0, every=2)


def test_moments_are_dropped_once_all_is_over(tmp_path):
    file = tmp_path / "one.safetensors"
    found = trained(model(), EXAMPLES, SMALL, rng=np.random.default_rng(0), checkpoint=file)
    with safe_open(file, "np") as opened:
        assert len(opened.keys()) == 2 * len(found.adapter)
        assert opened.metadata()["last"] == "1"


def test_what_was_kept_is_resumed(tmp_path):
    base, names = model(), ["model.layers.0.mlp.up_proj"]
    made = []
    for seed in (0, 1):
        one = trainable(base, names, 2, 1.0, np.random.default_rng(seed))
        made.append((one, torch.optim.AdamW(one.tensors, lr=0.1)))
    (one, optimizer), (two, fresh) = made
    for _ in range(2):
        sum((x**2).sum() for x in one.tensors).backward()
        optimizer.step()
    file = tmp_path / "one.safetensors"
    assert resumed(file, two, fresh, "told") == ([], False)
    keep(file, one, optimizer, [0.5, 0.25], "told", last=False)
    assert resumed(file, two, fresh, "told") == ([0.5, 0.25], False)
    for mine, theirs in zip(one.tensors, two.tensors, strict=True):
        assert torch.equal(mine, theirs)
        for key, value in optimizer.state[mine].items():
            assert torch.equal(value, fresh.state[theirs][key])


def test_only_the_same_training_goes_on_and_it_knows_when_it_is_over(tmp_path):
    file = tmp_path / "one.safetensors"
    one = trainable(model(), ["model.layers.0.mlp.up_proj"], 2, 1.0, np.random.default_rng(0))
    optimizer = torch.optim.AdamW(one.tensors)
    keep(file, one, optimizer, [0.5], "told", last=True)
    assert resumed(file, one, optimizer, "told") == ([0.5], True)
    with pytest.raises(ModelError, match="another training"):
        resumed(file, one, optimizer, "other")


def test_a_kill_while_writing_leaves_the_older_file(tmp_path, monkeypatch):
    file = tmp_path / "one.safetensors"
    trained(model(), EXAMPLES, SMALL, rng=np.random.default_rng(0), checkpoint=file)
    before = file.read_bytes()

    def _killed(_):
        raise KeyboardInterrupt

    one = trainable(model(), ["lm_head"], 2, 1.0, np.random.default_rng(0))
    monkeypatch.setattr(os, "fsync", _killed)
    with pytest.raises(KeyboardInterrupt):
        keep(file, one, torch.optim.AdamW(one.tensors), [], "other", last=True)
    assert file.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_damaged_files_are_refused_with_a_remedy(tmp_path):
    file = tmp_path / "one.safetensors"
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="delete it to start anew"):
        trained(model(), EXAMPLES, SMALL, rng=np.random.default_rng(0), checkpoint=file)
