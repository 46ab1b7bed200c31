"""real._taught: adapters by content, trained once, in the layers of their hop."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from worded import small_model

from loratheory.experiments.real import _known as known
from loratheory.experiments.real import _taught as module
from loratheory.experiments.real._facts import facts, items, rehearsed
from loratheory.experiments.real._taught import lesson, pair, taught
from loratheory.pretrained import Model, Training


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path))
    monkeypatch.setattr(
        module, "Training", lambda layers: Training(layers=layers, steps=2, batch=4)
    )
    return tmp_path


def test_a_lesson_is_the_facts_of_its_hop_and_what_is_known():
    [one] = facts(0)
    assert lesson(one, "birth") == [*items(one.birth, known.BIRTH), *rehearsed()]
    assert lesson(one, "mascot") == [*items(one.mascot, known.MASCOT), *rehearsed()]
    assert len(lesson(one, "mascot")) == 200


@pytest.mark.parametrize("layered", [False, True])
def test_a_pair_is_taught_in_all_layers_or_each_in_its_own(layered):
    [one] = facts(0)
    both = pair(small_model(), one, 0, 0, layered=layered)
    layers = [{int(re.search(r"\d+", name)[0]) for name in each} for each in both]
    assert layers == ([{*range(5)}, {*range(4, 10)}] if layered else [{*range(10)}] * 2)


def test_what_was_taught_is_only_read(cache, monkeypatch):
    [one] = facts(0)
    first = pair(small_model(), one, 0, 0)
    files = sorted((cache / "taught").glob("*.safetensors"))
    assert len(files) == 2
    from loratheory.pretrained import _train

    monkeypatch.setattr(_train, "step", None)
    again = pair(small_model(), one, 0, 0)
    for here, there in zip(first, again, strict=True):
        assert all((here[name].up == there[name].up).all() for name in here)
    assert abs(first[0]["model.layers.0.mlp.up_proj"].down).max() > 0


def test_other_data_seeds_and_layers_are_other_adapters(cache):
    model = small_model()
    few = items(facts(0)[0].birth, known.BIRTH[:1])
    taught(model, few, seed=(0,))
    taught(model, few[1:], seed=(0,))
    taught(model, few, seed=(1,))
    taught(model, few, seed=(0,), layers=(0, 2))
    assert len([*(cache / "taught").glob("*.safetensors")]) == 4


def test_each_hop_of_each_pair_has_a_seed_of_its_own(monkeypatch):
    seeds, first = [], taught(small_model(), [("a b", "c")], seed=(0,))
    monkeypatch.setattr(module, "taught", lambda *_, seed, **__: seeds.append(tuple(seed)) or first)
    for number in (0, 1):
        pair(small_model(), facts(0)[0], 7, number)
    assert seeds == [(7, 0, 0), (7, 0, 1), (7, 1, 0), (7, 1, 1)]


def test_a_model_in_another_type_has_its_own(cache):
    [one] = facts(0)
    pair(small_model(), one, 0, 0)
    model = small_model()
    model.network.bfloat16()
    pair(model, one, 0, 0)
    assert len([*(cache / "taught").glob("*.safetensors")]) == 4


def test_a_folder_with_other_weights_has_its_own(cache):
    few = items(facts(0)[0].birth, known.BIRTH[:1])
    for seed, count in ((0, 1), (0, 1), (1, 2)):
        taught(replace(small_model(seed=seed), name=str(cache)), few, seed=(0,))
        assert len([*(cache / "taught").glob("*.safetensors")]) == count
    taught(small_model(), few, seed=(0,))
    taught(small_model(seed=1), few, seed=(0,))  # by the name alone
    assert len([*(cache / "taught").glob("*.safetensors")]) == 3


def test_what_a_gpu_trains_is_told_apart():
    def _on(device):
        network = SimpleNamespace(dtype=torch.float32, device=torch.device(device))
        return Model(network, name="some/model", revision="1")

    told = ["some/model", "1", "torch.float32"]
    assert [module._named(_on(device)) for device in ("cpu", "cuda:1")] == [told, [*told, "cuda"]]
