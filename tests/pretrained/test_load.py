"""_load: a saved model comes back as it was, and everything else is refused in words."""

import json
import os
import subprocess
import sys

import pytest
import torch
from causal import TOKENS, logits, network, save_adapter
from safetensors.torch import load_file, save_file

from loratheory.pretrained import ModelError, _load, load

WATCHED = """
import socket
asked = []
socket.getaddrinfo = lambda *told, **_: asked.append(told) or 1 / 0
from loratheory.pretrained import load
model = load("my/model")
print(model.name, model.revision, len(asked))
"""
SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "small"
    network("llama").save_pretrained(folder)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """A folder of its own, to be damaged."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in saved.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def reconfigured(folder, **changed):
    """Change some keys of its config."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def test_it_comes_back_as_it_was(saved, capfd):
    model = load(saved)
    assert torch.equal(logits(model.network), logits(network("llama")))
    assert not model.network.training
    assert not any(weight.requires_grad for weight in model.network.parameters())
    assert (model.name, model.kind, model.revision) == (str(saved), "LlamaForCausalLM", "")
    assert model.tokenizer is None
    assert len(model.notes) == 1
    assert f"{saved} has no tokenizer" in model.notes[0]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", ["bfloat16", "float64", "auto"])
def test_the_type_is_chosen(saved, dtype):
    found = load(str(saved), dtype=dtype).network.dtype
    assert found == getattr(torch, dtype if dtype != "auto" else "float32")


def test_what_is_not_there_is_refused():
    with pytest.raises(ModelError, match="'float31': no such dtype; use one of float32, bfloat16"):
        load("a/b", dtype="float31")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="'cuda:1': PyTorch sees no GPU here"):
            load("a/b", device="cuda:1")
    for device in ("xpu", "cuda:x", "auto:1", "cpu:1"):
        with pytest.raises(ModelError, match=f"'{device}': no such device; use cpu, cuda, cuda:1"):
            load("a/b", device=device)


def test_a_gpu_beyond_those_there_are_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ModelError, match="'cuda:2': PyTorch sees 2 of them, from cuda:0; use one"):
        load("a/b", device="cuda:2")
    with pytest.raises(ModelError, match="not in the Hugging Face cache"):
        load("a/b", device="cuda:1")


def test_paths_to_nothing_or_to_something_else_are_refused(copy, tmp_path):
    for path, fact in [
        (tmp_path / "nowhere", "there is no such folder"),
        ("some/where/else", "there is no such folder"),
        (copy / "config.json", "this is a file"),
        (tmp_path, "holds no config.json"),
    ]:
        with pytest.raises(ModelError, match=fact):
            load(path)
    adapter = save_adapter(tmp_path / "adapter", "llama", seed=0)
    with pytest.raises(ModelError, match=r"this is an adapter.*attach loratheory\.read"):
        load(adapter)


def test_an_id_that_is_not_in_the_cache_is_not_fetched_unasked():
    with pytest.raises(ModelError, match=r"nobody/nothing: no such folder, and not in"):
        load("nobody/nothing")


def test_ids_are_handed_on_with_their_revision_where_the_network_is_asked(saved, monkeypatch):
    from transformers import AutoConfig

    asked = {}

    def no_network(place, **known):
        asked.update(known, place=place)
        message = "We couldn't connect to the hub.\nSee the manual."
        raise OSError(message)

    monkeypatch.setattr(AutoConfig, "from_pretrained", no_network)
    said = r"could not be fetched \(We couldn't connect to the hub\.\).*network, then call"
    with pytest.raises(ModelError, match=said):
        load("a/b", revision="v1", download=True)
    assert asked == {
        "place": "a/b",
        "revision": "v1",
        "local_files_only": False,
        "trust_remote_code": False,
    }
    with pytest.raises(ModelError):
        load("a/b", download=True)
    assert asked["revision"] == "main"
    with pytest.raises(ModelError):
        load(saved)
    assert asked["local_files_only"]


def test_pickled_weights_are_never_opened(copy):
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="holds no weights"):
        load(copy)
    (copy / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(ModelError, match="pickled, which can run any code; have them saved as"):
        load(copy)
    save_file({"one": torch.ones(1)}, copy / "other.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load(copy)


def test_quantised_models_are_refused(copy):
    reconfigured(copy, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    with pytest.raises(ModelError, match=r"stored quantised \(bitsandbytes\); load the"):
        load(copy)


def test_code_that_comes_with_a_model_is_never_run(copy):
    code = copy / "own.py"
    code.write_text(f"open({str(copy / 'ran')!r}, 'w')\n")
    reconfigured(
        copy,
        model_type="own",
        auto_map={"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    )
    with pytest.raises(ModelError, match="code of its own, which is never run"):
        load(copy)
    assert not (copy / "ran").exists()


def test_damage_is_refused_with_the_first_line_of_what_happened(copy):
    reconfigured(copy, model_type="unheard_of")
    with pytest.raises(ModelError, match=r"unheard_of.*; see that all files") as caught:
        load(copy)
    assert "\n" not in str(caught.value)
    reconfigured(copy, model_type="llama")
    os.truncate(copy / "model.safetensors", 100)
    with pytest.raises(ModelError, match="; see that all files of the model are there and whole"):
        load(copy)


@pytest.mark.parametrize("change", ["missing", "misshapen"])
def test_no_weight_is_left_random(copy, change):
    file, name = copy / "model.safetensors", "model.layers.1.self_attn.v_proj.weight"
    tensors = load_file(file)
    del tensors[name]
    if change == "misshapen":
        tensors[name] = torch.zeros(3, 3)
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"1 weights are missing or misshapen \(.*{name}"):
        load(copy)


def test_without_a_name_the_embedded_model_is_loaded_and_said_to_be_dequantised(saved, monkeypatch):
    monkeypatch.setattr(_load, "embedded", lambda: saved)
    model = load()
    assert model.name == "SmolLM2-135M-Instruct (Q4_1, dequantised)"
    assert "dequantised from 4 bits" in model.notes[0]
    assert model.network(TOKENS).logits.shape == (2, 5, 31)


def test_one_in_the_cache_is_loaded_without_a_look_at_the_network(tmp_path, saved):
    """`transformers` asks the hub whether an id is an adapter, and what else is there."""
    home = tmp_path / "hub" / "models--my--model"
    cached = home / "snapshots" / SHA
    cached.mkdir(parents=True)
    for file in saved.iterdir():
        (cached / file.name).write_bytes(file.read_bytes())
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(cached.name)
    asked = subprocess.run(
        [sys.executable, "-c", WATCHED], capture_output=True, text=True, check=False,
        env=os.environ | {"HF_HOME": str(tmp_path)},
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr[-2000:]
    assert asked.stdout.split() == ["my/model", SHA, "0"]


def test_errors_that_say_nothing_of_memory_stay_themselves(saved, monkeypatch):
    def _broken(*_, **__):
        raise RuntimeError(said)

    monkeypatch.setattr(_load, "_whole", _broken)
    said = "something else"
    with pytest.raises(RuntimeError, match="something else"):
        load(saved)
    said = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    monkeypatch.setattr(_load, "embedded", lambda: saved)
    for model in (saved, None):
        with pytest.raises(ModelError, match=r"memory ran out .*; load it with dtype='bfloat16'"):
            load(model)


@pytest.mark.accelerator
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")
def test_on_a_gpu_it_is_the_same(saved):
    model = load(saved, device="cuda")
    ours = model.network(TOKENS.cuda()).logits.cpu()
    assert torch.allclose(ours, logits(network("llama")), rtol=1e-3, atol=1e-3)
