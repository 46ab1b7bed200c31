"""_load: a saved model comes back as it was, and everything else is refused in words."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from causal import TOKENS, logits, network, save_adapter
from safetensors.torch import load_file, save_file

from loratheory.pretrained import ModelError, _load, load
from loratheory.pretrained._model import spent

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
    with pytest.raises(ModelError, match=r"unheard_of.*; see that config.json") as caught:
        load(copy)
    assert "\n" not in str(caught.value)
    reconfigured(copy, model_type="llama")
    os.truncate(copy / "model.safetensors", 100)
    with pytest.raises(ModelError, match=r"; see that config\.json and all other files"):
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


DAMAGED = {
    "deep JSON": lambda home: (home / "config.json").write_text("[" * 100_000),
    "no object": lambda home: (home / "config.json").write_text("[1]"),
    "no JSON": lambda home: (home / "config.json").write_text("{"),
    "no heads": lambda home: reconfigured(home, num_attention_heads=0),
    "five heads": lambda home: reconfigured(home, num_attention_heads=5),
    "width in words": lambda home: reconfigured(home, hidden_size="wide"),
    "width below zero": lambda home: reconfigured(home, hidden_size=-16),
    "unknown activation": lambda home: reconfigured(home, hidden_act="shout"),
    "unknown dtype": lambda home: reconfigured(home, dtype="float99"),
    "unknown rope": lambda home: reconfigured(home, rope_parameters={"rope_type": "hemp"}),
    "layers in words": lambda home: reconfigured(home, num_hidden_layers="two"),
    "a width of millions": lambda home: reconfigured(home, hidden_size=10**8),
    "layers without end": lambda home: reconfigured(home, num_hidden_layers=10**6),
    "a vocabulary of billions": lambda home: reconfigured(home, vocab_size=10**9),
    "no vocabulary": lambda home: reconfigured(home, vocab_size=0),
    "layers below zero": lambda home: reconfigured(home, num_hidden_layers=-1),
    "no weights": lambda home: os.truncate(home / "model.safetensors", 0),
    "half the weights": lambda home: os.truncate(home / "model.safetensors", 9000),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_whatever_is_wrong_with_the_files_is_said_in_a_line_with_a_remedy(copy, damage):
    DAMAGED[damage](copy)
    with pytest.raises(ModelError, match=r"; see that config\.json and all other files") as caught:
        load(copy)
    assert str(caught.value).startswith(f"{copy}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["bert", "t5", "vit"])
def test_models_that_do_not_predict_the_next_token_are_told_so(copy, kind):
    what = {"bert": "an encoder", "t5": "an encoder with a decoder", "vit": "no language model"}
    (copy / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(ModelError, match=rf"it is {what[kind]} \({kind}\), not a decoder"):
        load(copy)


def test_a_damaged_default_model_names_the_folder_to_delete(copy, monkeypatch):
    monkeypatch.setattr(_load, "embedded", lambda: copy)
    os.truncate(copy / "model.safetensors", 9000)
    with pytest.raises(ModelError, match=f"delete the folder {copy}: the next call unpacks it"):
        load()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"vocab_size": 10**9}, r"asks for [\d,]{14,} numbers, its files hold [\d,]{5,6};"),
        ({"num_hidden_layers": 10**6}, "asks for 1000000 layers, its files hold 21 tensors;"),
    ],
)
def test_what_the_files_cannot_fill_is_never_made(copy, changed, said):
    reconfigured(copy, **changed)
    with pytest.raises(ModelError, match=said):
        load(copy)


def test_weights_that_the_config_leaves_out_are_noted(copy):
    reconfigured(copy, num_hidden_layers=1)
    note = load(copy).notes[0]
    assert note.startswith(f"9 weights of {copy} have no place in its config (model.layers.1.")


class Refused(Exception):
    """Of a kind that nobody foresaw."""


@pytest.mark.parametrize(
    ("error", "here", "said"),
    [
        (MemoryError("9 bytes"), True, r"memory ran out \(9 bytes\); load it with dtype="),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), True,
            r"memory ran out .*; load it with dtype='bfloat16'",
        ),
        (torch.OutOfMemoryError("CUDA out of memory"), True, "memory ran out"),
        (ValueError("set trust_remote_code"), True, "code of its own, which is never run"),
        (Refused("red\ngreen"), True, r"cannot be loaded \(Refused red\); see that config"),
        (KeyError(), True, r"cannot be loaded \(KeyError\)"),
        (OSError("no weights\nmanual"), False, r"could not be fetched \(no weights\); check its"),
    ],
)  # fmt: skip
def test_what_to_do_follows_from_what_happened(saved, monkeypatch, error, here, said):
    from transformers import AutoConfig

    def _fails(*_, **__):
        raise error

    monkeypatch.setattr(AutoConfig, "from_pretrained", _fails)
    with pytest.raises(ModelError, match=said):
        load(saved if here else "a/b", download=not here)


def test_memory_that_numpy_or_torch_cannot_get_is_spent_and_other_errors_are_not():
    for work in (lambda: np.ones(1 << 60, np.int8), lambda: torch.ones(1 << 60, dtype=torch.int8)):
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            work()
        assert spent(caught.value)
    assert not spent(RuntimeError("shapes do not fit"))
    assert not spent(ValueError("memory"))


@pytest.mark.accelerator
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")
def test_on_a_gpu_it_is_the_same(saved):
    model = load(saved, device="cuda")
    ours = model.network(TOKENS.cuda()).logits.cpu()
    assert torch.allclose(ours, logits(network("llama")), rtol=1e-3, atol=1e-3)
