"""What we read is what PEFT does: its own dense updates, module by module."""

import json
import tracemalloc

import numpy as np
import pytest
from folders import MODULES, bytes_of, factors, folder, settings, tensors
from tiny import adapted, deltas, gpt2, llama, quiet

from loratheory.adapters import AdapterError, read

SETTINGS = {
    "plain": {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj", "down_proj"]},
    "rank-stabilised, patterns": {
        "r": 4,
        "lora_alpha": 6,
        "use_rslora": True,
        "rank_pattern": {"layers.1.self_attn.q_proj": 7, r".*\.v_proj": 2},
        "alpha_pattern": {"^model.layers.0.self_attn.q_proj": 11},
        "target_modules": ["q_proj", "v_proj"],
    },
    "embeddings": {
        "r": 3,
        "lora_alpha": 5,
        "target_modules": ["embed_tokens", "lm_head", "k_proj"],
    },
    "every linear map": {"r": 2, "lora_alpha": 3, "target_modules": "all-linear"},
}


def agree(peft, path, name="default", rtol=1e-6):
    adapter, expected = read(path), deltas(peft, name)
    assert set(adapter) == set(expected)
    for module, dense in expected.items():
        low = adapter[module]
        assert adapter.shapes[module] == low.shape == dense.shape
        close = np.linalg.norm(low.dense().astype(float) - dense)
        assert close <= rtol * np.linalg.norm(dense)
    return adapter


@pytest.mark.parametrize("kind", SETTINGS)
def test_updates_are_those_of_peft_on_a_llama(kind, tmp_path):
    peft = adapted(llama(), **SETTINGS[kind])
    with quiet():
        peft.save_pretrained(tmp_path)
    adapter = agree(peft, tmp_path)
    assert adapter.info.embeddings == {"model.embed_tokens"} & set(adapter)
    assert len(adapter.info.notes) == (2 if kind == "embeddings" else 0)


def test_updates_are_those_of_peft_on_transposed_weights(tmp_path):
    peft = adapted(gpt2(), r=3, lora_alpha=4, fan_in_fan_out=True, target_modules=["c_attn", "wte"])
    with quiet():
        peft.save_pretrained(tmp_path)
    adapter = agree(peft, tmp_path)
    assert adapter.shapes["transformer.h.0.attn.c_attn"] == (96, 32)
    assert adapter.shapes["transformer.wte"] == (32, 61)
    assert adapter.info.config["fan_in_fan_out"] is True


def test_an_adapter_saved_under_a_name_lies_below(tmp_path):
    peft = adapted(llama(), name="task_b", r=4, target_modules=["q_proj"])
    with quiet():
        peft.save_pretrained(tmp_path)
    with pytest.raises(AdapterError, match=r"holds no adapter_config.json; name .*task_b"):
        read(tmp_path)
    agree(peft, tmp_path / "task_b", "task_b")


def test_bfloat16_is_read_exactly(tmp_path):
    """PEFT multiplies in bfloat16; its factors, multiplied in float64, are the truth."""
    import torch

    peft = adapted(llama(), dtype=torch.bfloat16, r=4, lora_alpha=8, target_modules=["q_proj"])
    with quiet():
        peft.save_pretrained(tmp_path)
    adapter = read(tmp_path)
    assert adapter.info.dtype == "bfloat16"
    for key, layer in peft.base_model.model.named_modules():
        if key in adapter:
            up, down = (x["default"].weight.detach().double() for x in (layer.lora_B, layer.lora_A))
            low = adapter[key].map(lambda x: x.astype(float))
            assert np.array_equal(low.dense(), 2.0 * (up @ down).numpy())


@pytest.mark.parametrize("label", [None, "default", "mine", "0"])
def test_keys_with_an_adapter_name_mean_the_same_and_are_noted_where_peft_wants_it(label, tmp_path):
    pairs = factors(MODULES | {"embed": (5, 9, 2)})
    found = tensors(pairs, ["embed"], label)
    folder(tmp_path, target_modules=None)
    (tmp_path / "adapter_model.safetensors").write_bytes(bytes_of(found))
    adapter = read(tmp_path)
    assert adapter.info.embeddings == {"embed"}
    assert [*adapter] == ["embed", *MODULES]
    wanted = f"PEFT loads them only with adapter_name='{label}'"
    assert any(wanted in note for note in adapter.info.notes) is (label in ("mine", "0"))
    for name, (up, down) in pairs.items():
        assert np.array_equal(adapter[name].up, up)
        assert np.array_equal(adapter[name].down, down)


def test_shards_are_one_adapter(tmp_path):
    found = tensors(factors(MODULES))
    whole, parts = folder(tmp_path / "whole"), folder(tmp_path / "parts")
    (parts / "adapter_model.safetensors").unlink()
    places = {key: f"adapter_model-{i % 3}.safetensors" for i, key in enumerate(found)}
    for name in places.values():
        shard = {key: found[key] for key in found if places[key] == name}
        (parts / name).write_bytes(bytes_of(shard))
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (parts / "adapter_model.safetensors.index.json").write_text(json.dumps(index))
    one, other = read(whole), read(parts)
    assert [*one] == [*other]
    assert all(np.array_equal(one[name].dense(), other[name].dense()) for name in one)


def test_modules_come_in_natural_order(tmp_path):
    names = [f"model.layers.{i}.{x}" for i in (0, 2, 10, 100) for x in ("k", "q")]
    modules = dict.fromkeys(reversed(names), (2, 2, 1))
    assert [*read(folder(tmp_path, modules))] == names


def test_the_dtype_is_that_of_the_widest_tensor(tmp_path):
    pairs = factors(MODULES, dtype="float16")
    first = next(iter(pairs))
    pairs[first] = (pairs[first][0].astype("f8"), pairs[first][1])
    (folder(tmp_path) / "adapter_model.safetensors").write_bytes(bytes_of(tensors(pairs)))
    adapter = read(tmp_path)
    assert adapter.info.dtype == "float64"
    kinds = [adapter[name].down.dtype.name for name in adapter]
    assert kinds == ["float64", "float32"]


def test_a_copy_of_the_base_weight_is_set_aside_and_reported(tmp_path):
    modules = {"embed": (3, 7, 2), "head": (7, 3, 2)}
    found = tensors(factors(modules), ["embed"])
    for name in modules:
        found[f"base_model.model.{name}.base_layer.weight"] = np.ones((7, 3), np.float32)
    (folder(tmp_path, modules) / "adapter_model.safetensors").write_bytes(bytes_of(found))
    adapter = read(tmp_path)
    assert [*adapter] == ["embed", "head"]
    assert len(adapter.info.notes) == 2
    note = "embed.base_layer.weight' is a base weight, taken for a copy of that of embed: it is set"
    assert note in adapter.info.notes[0]


def test_nothing_is_loaded_before_it_is_asked_for(tmp_path):
    folder(tmp_path, {f"m{i}": (4000, 4000, 16) for i in range(6)})
    tracemalloc.start()
    adapter = read(tmp_path)
    opened = tracemalloc.get_traced_memory()[1]
    for name in adapter:
        adapter[name]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    one = 2 * 4000 * 16 * 4
    assert opened < one
    assert peak < 4 * one


def test_links_of_the_hub_cache_are_followed(tmp_path):
    blobs, home = tmp_path / "blobs", tmp_path / "snapshots" / "1a2b"
    blobs.mkdir()
    folder(home)
    for number, file in enumerate(sorted(home.iterdir())):
        file.rename(blobs / str(number))
        file.symlink_to(f"../../blobs/{number}")
    assert [*read(home)] == [*MODULES]


def test_links_inside_the_folder_are_followed(tmp_path):
    folder(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    file.rename(tmp_path / "kept.safetensors")
    file.symlink_to("kept.safetensors")
    assert [*read(tmp_path)] == [*MODULES]


def test_a_folder_may_be_named_by_string_and_read_twice(tmp_path):
    folder(tmp_path)
    one, other = read(str(tmp_path)), read(tmp_path)
    assert one.info == other.info
    assert settings(MODULES)["base_model_name_or_path"] == one.info.base == "tiny"
