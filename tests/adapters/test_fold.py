"""A base with an adapter folded in, against PEFT's own merge and the adapter attached."""

import json
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from causal import CONFIGS, TARGETS, deltas, logits, network, peft_logits, quiet, save_adapter
from folders import bytes_of, changed, factors, folder
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from loratheory.adapters import Adapter, AdapterError, converted, folded, merge, read
from loratheory.lowrank import LowRank

INSIDE = {
    kind: [name for name in targets if name not in ("embed_tokens", "lm_head", "wte")]
    if isinstance(targets, list)
    else targets
    for kind, targets in TARGETS.items()
}
CASES = {kind: (kind, INSIDE[kind]) for kind in CONFIGS} | {
    "both ends": ("llama", ["q_proj", "embed_tokens", "lm_head"]),
}


def saved(place, kind, dtype=torch.float32, **how):
    """The folder of a base."""
    network(kind).to(dtype).save_pretrained(place, **how)
    return place


def again(place, dtype=torch.float32):
    """What transformers makes of a folder, every weight found."""
    model, report = AutoModelForCausalLM.from_pretrained(
        place, dtype=dtype, output_loading_info=True
    )
    assert not any(report.values())
    return model.eval()


@pytest.mark.parametrize("case", CASES)
def test_the_folder_answers_as_peft_with_the_adapter_on_and_merged(case, tmp_path):
    kind, targets = CASES[case]
    base = saved(tmp_path / "base", kind, max_shard_size="4KB")
    place = save_adapter(tmp_path / "adapter", kind, target_modules=targets)
    lost = folded(read(place), base, tmp_path / "out")
    assert max(lost.values()) < 1e-5
    found = logits(again(tmp_path / "out"))
    with quiet():
        merged = PeftModel.from_pretrained(network(kind), place).eval().merge_and_unload()
    for wanted in (logits(merged), peft_logits(kind, [place])):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=2e-4)
    assert (found - logits(network(kind))).abs().max() > 0.1  # the adapter does something
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "base", "out"]


def test_a_merge_of_two_is_folded_module_by_module(tmp_path):
    base = saved(tmp_path / "base", "qwen2")
    places = [save_adapter(tmp_path / str(i), "qwen2", seed=i) for i in range(2)]
    both = merge([read(place) for place in places], "sum")
    folded(both, base, tmp_path / "out")
    wanted = peft_logits("qwen2", places)
    torch.testing.assert_close(logits(again(tmp_path / "out")), wanted, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_every_weight_keeps_its_type_and_is_the_nearest_number_to_the_sum(dtype, tmp_path):
    base = saved(tmp_path / "base", "llama", dtype)
    place = save_adapter(tmp_path / "adapter", "llama")
    lost = folded(read(place), base, tmp_path / "out")
    before, after = (load_file(f / "model.safetensors") for f in (base, tmp_path / "out"))
    with quiet():
        tuned = PeftModel.from_pretrained(network("llama").double(), place).eval()
    updates = deltas(tuned)
    assert {*updates} == {*lost}
    assert before.keys() == after.keys()
    for key, weight in before.items():
        update = updates.get(key.removesuffix(".weight"))
        if update is None:
            assert torch.equal(after[key], weight)
            continue
        exact = weight.double() + torch.from_numpy(update)
        assert after[key].dtype == dtype
        wrong = (after[key].double() - exact).norm() / np.linalg.norm(update)
        assert lost[key.removesuffix(".weight")] == pytest.approx(float(wrong), rel=0.02, abs=1e-7)
        spacing = torch.finfo(dtype).eps * exact.abs().clamp(min=torch.finfo(dtype).tiny)
        assert ((after[key].double() - exact).abs() <= 0.51 * spacing + 1e-7).all()


def test_what_is_not_the_model_stays_behind(tmp_path):
    base = saved(tmp_path / "base", "llama")
    kept = {"tokenizer.json", "LICENSE", "chat_template.jinja", "merges.txt"}
    left = {"pytorch_model.bin", "modeling_own.py", "flax.msgpack", "pytorch_model.bin.index.json"}
    for name in kept | left:
        (base / name).write_text("{}")
    (base / "onnx").mkdir()
    (base / "onnx" / "config.json").write_text("{}")
    adapter = read(save_adapter(tmp_path / "adapter", "llama"))
    folded(adapter, base, tmp_path / "out")
    there = {file.name for file in base.glob("*")} - left - {"onnx"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == there
    assert kept < there
    for name in there - {"model.safetensors"}:
        assert (tmp_path / "out" / name).read_bytes() == (base / name).read_bytes()


def test_names_without_their_first_part_are_found(tmp_path):
    """As in GPT-2's own files, and as a base without a head is saved."""
    network("gpt2").transformer.save_pretrained(tmp_path / "base")
    place = save_adapter(tmp_path / "adapter", "gpt2", target_modules=INSIDE["gpt2"])
    folded(read(place), tmp_path / "base", tmp_path / "out")
    torch.testing.assert_close(
        logits(again(tmp_path / "out")), peft_logits("gpt2", [place]), rtol=1e-4, atol=2e-4
    )


def test_memory_stays_near_one_weight(tmp_path):
    shape, layers = (200, 300), 30
    weights = {f"layers.{i}.proj.weight": np.ones(shape, "f4") for i in range(layers)}
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model.safetensors").write_bytes(bytes_of(weights))
    del weights
    adapter = read(
        folder(tmp_path / "one", {f"layers.{i}.proj": (*shape, 2) for i in range(layers)})
    )
    tracemalloc.start()
    folded(adapter, tmp_path / "base", tmp_path / "out")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * 8 * shape[0] * shape[1] < 30 * 4 * shape[0] * shape[1]
    low = adapter["layers.29.proj"]
    found = load_file(tmp_path / "out" / "model.safetensors")["layers.29.proj.weight"]
    np.testing.assert_allclose(found, 1 + low.up @ low.down, rtol=1e-5, atol=1e-5)


def test_a_pipeline_is_folded_network_by_network(tmp_path):
    rng = np.random.default_rng(0)
    blocks = [f"transformer_blocks.0.attn.to_{x}.weight" for x in "qkv"]
    weights = {name: rng.standard_normal((4, 4)).astype("f4") for name in blocks}
    home = tmp_path / "base"
    for name in ("transformer", "vae", "scheduler"):
        (home / name).mkdir(parents=True)
        (home / name / "config.json").write_text("{}")
    (home / "model_index.json").write_text("{}")
    (home / "transformer" / "diffusion_pytorch_model.safetensors").write_bytes(bytes_of(weights))
    still = bytes_of({"conv.weight": np.ones((2, 2), "f4")})
    (home / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(still)
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    [(up, down)] = factors({name: (12, 4, 2)}).values()
    kohya = {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}
    (tmp_path / "flux.safetensors").write_bytes(bytes_of(kohya))
    adapter, _ = converted(read(tmp_path / "flux.safetensors"), "diffusers")
    folded(adapter, home, tmp_path / "out")
    found = load_file(tmp_path / "out" / "transformer" / "diffusion_pytorch_model.safetensors")
    for i, block in enumerate(blocks):
        wanted = weights[block] + (up @ down)[4 * i : 4 * i + 4]
        np.testing.assert_allclose(found[block], wanted, rtol=1e-5, atol=1e-5)
    assert (tmp_path / "out/vae/diffusion_pytorch_model.safetensors").read_bytes() == still
    assert (tmp_path / "out/scheduler/config.json").exists()


def test_a_convolution_and_a_bias_are_added_to_their_own_tensors(tmp_path):
    rng = np.random.default_rng(0)
    base = {"conv.weight": (5, 4, 3, 3), "lin.weight": (4, 6), "lin.bias": (4,)}
    base = {key: rng.standard_normal(shape).astype("f4") for key, shape in base.items()}
    (tmp_path / "model.safetensors").write_bytes(bytes_of(base))
    (tmp_path / "config.json").write_text("{}")
    draw = rng.standard_normal
    lows = {
        "conv": LowRank(draw((5, 2)), draw((2, 36))),
        "lin": LowRank(draw((4, 2)), draw((2, 6))),
        "lin.lora_B.bias": LowRank(draw((4, 1)), np.ones((1, 1))),
    }
    adapter = Adapter.of(lows)
    out = tmp_path / "out"
    folded(replace(adapter, info=replace(adapter.info, kernels={"conv": (4, 3, 3)})), tmp_path, out)
    found = load_file(out / "model.safetensors")
    for key, name in zip(base, lows, strict=True):
        wanted = base[key] + (lows[name].up @ lows[name].down).reshape(base[key].shape)
        np.testing.assert_allclose(found[key], wanted, rtol=1e-5, atol=1e-5)


def _no_such_module(base, adapter):
    (base / "model.safetensors").write_bytes(bytes_of({"a.weight": np.ones((2, 2), "f4")}))
    return adapter


def _packed(base, adapter):
    key = "model.layers.0.self_attn.q_proj.weight"
    (base / "model.safetensors").write_bytes(
        bytes_of({key: np.ones((16, 16), "int8"), "norm.weight": np.ones(16, "f4")})
    )
    return adapter


def _other_shape(base, adapter):
    find = re.compile(r"q_proj\.weight$")
    weights = load_file(base / "model.safetensors")
    weights = {k: x[:, :9].contiguous() if find.search(k) else x for k, x in weights.items()}
    found = {key: x.numpy() for key, x in weights.items()}
    (base / "model.safetensors").write_bytes(bytes_of(found))
    return adapter


def _too_large(base, adapter):
    network("llama").half().save_pretrained(base)
    return adapter.map(lambda factor: factor * np.float32(1e3))


def _of_a_head(base, adapter):  # noqa: ARG001
    return read(save_adapter(base.parent / "head", "llama", modules_to_save=["lm_head"]))


REFUSED = {
    "no such module": (_no_such_module, "the base has no 'model.layers.0.self_attn.q_proj.weight'"),
    "packed": (_packed, "in floating-point numbers, to which it adds"),
    "another shape": (_other_shape, "has shape [16, 9], the update of"),
    "too large": (_too_large, "is too large for float16"),
    "a head": (_of_a_head, "puts 'lm_head.weight' in place of the base's own tensor"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_folded_is_refused_and_nothing_is_left(case, tmp_path):
    change, says = REFUSED[case]
    base = saved(tmp_path / "base", "llama")
    adapter = read(save_adapter(tmp_path / "adapter", "llama", target_modules=["q_proj"]))
    adapter = change(base, adapter)
    before = {path.name for path in tmp_path.iterdir()}
    with pytest.raises(AdapterError, match=re.escape(says)):
        folded(adapter, base, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("targets", [["embed_tokens"], ["q_proj", "lm_head"]])
def test_one_end_of_tied_weights_is_refused(targets, tmp_path):
    base = saved(tmp_path / "base", "tied")
    place = save_adapter(tmp_path / "adapter", "tied", target_modules=targets)
    says = "embedding and head are one tensor|the base has no 'lm_head.weight'"
    with pytest.raises(AdapterError, match=says):
        folded(read(place), base, tmp_path / "out")


def test_a_stop_on_the_way_leaves_nothing(tmp_path):
    base = saved(tmp_path / "base", "llama")
    adapter = read(save_adapter(tmp_path / "adapter", "llama"))
    seen = []

    def _stop(name):
        seen.append(name)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folded(adapter, base, tmp_path / "out", _stop)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(AdapterError, match="exists already; name another folder"):
        folded(adapter, base, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "base", "out"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]


def test_the_command_folds_a_merge_into_the_base_that_it_names(tmp_path, monkeypatch, capsys):
    from loratheory.cli import app  # the command loads what it needs when it runs

    monkeypatch.chdir(tmp_path)
    saved(Path("base"), "llama")
    save_adapter(Path("one"), "llama", target_modules=["q_proj"])
    changed(Path("one/adapter_config.json"), base_model_name_or_path="base")

    def _run(*words):
        with pytest.raises(SystemExit) as end:
            app([*map(str, words)])
        out = capsys.readouterr()
        return end.value.code, out.out + out.err

    code, out = _run("convert", "one", "--to", "model", "-o", "tuned", "--json", "j.json")
    assert (code, "Rounding to the base's types lost at most" in out) == (0, True), out
    torch.testing.assert_close(
        logits(again("tuned")), peft_logits("llama", ["one"]), rtol=1e-4, atol=2e-4
    )
    assert 0 < json.loads(Path("j.json").read_text())["rounding"] < 1e-5
    for words, says in (
        (["one", "--to", "model", "-o", "tuned"], "tuned exists"),
        (["one", "--to", "model", "-o", "x", "--force"], "replaces nothing"),
        (["one", "--to", "model", "-o", "x", "--dtype", "float32"], "keeps the base's types"),
        (["one", "--to", "model", "-o", "x", "--base", "nowhere"], "no such folder"),
        (["one", "--to", "model", "-o", "x", "--base", "my/base"], "nothing is fetched unasked"),
    ):
        code, out = _run("convert", *words)
        assert (code, says in out) == (2, True), out
    Path("best").mkdir()
    Path("best/route.json").write_text("{}")
    code, out = _run("convert", "best", "--to", "model", "-o", "x")
    assert (code, "is a route of `loratheory advise`" in out) == (2, True), out
    assert not Path("x").exists()
