"""What PEFT itself makes of a folder, and what we read, merge and write: the same numbers."""

import numpy as np
import pytest
import torch
from causal import adapted, deltas, loaded, logits, network, quiet
from folders import changed
from peft import LoraConfig, PeftModel, get_peft_model

from loratheory.adapters import Adapter, AdapterError, merge, read, write
from loratheory.lowrank import from_dense, gaussian

# Each kind of adapter, read, written and merged, against PEFT's updates and its forward pass.


KINDS = {  # a model and what is trained on it
    "plain": ("llama", {"r": 4, "target_modules": ["q_proj", "down_proj", "lm_head"]}),
    "rank-stabilised, patterns": (
        "llama",
        {
            "r": 4,
            "use_rslora": True,
            "rank_pattern": {"layers.1.self_attn.q_proj": 7, r".*\.v_proj": 2},
            "alpha_pattern": {"^model.layers.0.self_attn.q_proj": 11},
            "target_modules": ["embed_tokens", "q_proj", "v_proj"],
        },
    ),
    "embeddings": ("llama", {"r": 3, "target_modules": ["embed_tokens", "lm_head", "k_proj"]}),
    "every linear map": ("llama", {"r": 2, "target_modules": "all-linear"}),
    "transposed weights": (
        "gpt2",
        {
            "r": 3,
            "rank_pattern": {"h.0.attn.c_attn": 5},
            "target_modules": ["c_attn", "c_proj", "wte"],
            "fan_in_fan_out": True,
        },
    ),
    "a tied head": (
        "tied",
        {
            "r": 3,
            "target_modules": ["embed_tokens", "lm_head", "q_proj"],
            "ensure_weight_tying": True,
        },
    ),
    "bfloat16": ("llama", {"r": 4, "dtype": torch.bfloat16, "target_modules": ["q_proj"]}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_merged_and_written_is_what_peft_has(kind, tmp_path):
    base, config = KINDS[kind]
    peft = adapted(network(base), lora_alpha=6, **config)
    with quiet():
        peft.save_pretrained(tmp_path / "theirs")
    adapter, expected = read(tmp_path / "theirs"), deltas(peft)
    assert set(adapter) == set(expected)
    rtol = 2**-7 if kind == "bfloat16" else 1e-6
    for module, dense in expected.items():
        low = adapter[module].dense().astype(float)
        assert adapter.shapes[module] == low.shape == dense.shape
        assert np.linalg.norm(low - dense) <= rtol * np.linalg.norm(dense)
    assert adapter.info.embeddings == {"model.embed_tokens", "transformer.wte"} & set(adapter)
    assert adapter.info.dtype == ("bfloat16" if kind == "bfloat16" else "float32")
    if kind == "embeddings":  # PEFT stores copies of their base weights
        assert ["is set aside" in note for note in adapter.info.notes] == [True, True]
    half = merge([adapter, adapter], "cat", weights=[0.75, 0.25])
    theirs, bare = logits(loaded(network(base), tmp_path / "theirs")), logits(network(base))
    assert float(abs(theirs - bare).max()) > 1e-2
    for name, own in (("read", adapter), ("merged", half)):
        write(own, tmp_path / name, dtype="float32")
        ours = loaded(network(base), tmp_path / name)
        assert set(deltas(ours)) == set(expected)
        room = 2e-5 * float(abs(theirs).max())
        assert float(abs(logits(ours) - theirs).max()) < room


@pytest.mark.parametrize("name", ["ties", "magnitude"])
def test_of_pefts_namesakes_those_with_svd_are_ours_and_the_plain_ones_are_not(name):
    targets = {"r": 4, "lora_alpha": 4, "target_modules": ["q_proj"]}
    peft = adapted(network("llama"), **targets)
    peft.add_adapter("other", LoraConfig(**targets, init_lora_weights=False))
    adapters = [
        Adapter.of({m: from_dense(dense, 4) for m, dense in deltas(peft, label).items()})
        for label in ("default", "other")
    ]
    ours = merge(adapters, name, density=0.5, rank=8)
    theirs = {"ties": "ties", "magnitude": "magnitude_prune"}[name]
    for kind, near in ((f"{theirs}_svd", True), (theirs, False)):
        options = {"combination_type": kind, "density": 0.5}
        options |= {"svd_rank": 8} if near else {}
        peft.base_model.add_weighted_adapter(["default", "other"], [1.0, 1.0], kind, **options)
        for module, dense in deltas(peft, kind).items():
            gap = np.linalg.norm(ours[module].dense() - dense) / np.linalg.norm(dense)
            assert gap < 1e-4 if near else gap > 0.2


def test_bfloat16_is_read_exactly(tmp_path):
    """PEFT multiplies in bfloat16; its factors, multiplied in float64, are the truth."""
    peft = adapted(
        network("llama"), dtype=torch.bfloat16, r=4, lora_alpha=8, target_modules=["q_proj"]
    )
    with quiet():
        peft.save_pretrained(tmp_path)
    adapter = read(tmp_path)
    for key, layer in peft.base_model.model.named_modules():
        if key in adapter:
            up, down = (x["default"].weight.detach().double() for x in (layer.lora_B, layer.lora_A))
            low = adapter[key].map(lambda x: x.astype(float))
            np.testing.assert_array_equal(low.dense(), 2.0 * (up @ down).numpy())


def test_an_adapter_saved_under_a_name_lies_below(tmp_path):
    peft = adapted(network("llama"), name="task_b", r=4, target_modules=["q_proj"])
    with quiet():
        peft.save_pretrained(tmp_path)
    with pytest.raises(AdapterError, match=r"holds no adapter_config.json; name .*task_b"):
        read(tmp_path)
    assert set(read(tmp_path / "task_b")) == set(deltas(peft, "task_b"))


def test_names_that_end_like_others_keep_their_own_rank(tmp_path):
    """`b` is the end of `a.b`, and `a.b` would match `aXb` as a regular expression."""
    ranks = {"b": 3, "a.b": 2, "c.a.b": 1, "aXb": 1, "d": 2, "c.d": 3}

    class Net(torch.nn.Module):
        """A linear map under each of the names."""

        def __init__(self):
            super().__init__()
            for name in ranks:
                *path, last = name.split(".")
                place = self
                for part in path:
                    if not hasattr(place, part):
                        place.add_module(part, torch.nn.Module())
                    place = getattr(place, part)
                place.add_module(last, torch.nn.Linear(4, 4))

    rng = np.random.default_rng(0)
    adapter = Adapter.of({name: gaussian(rng, 4, 4, r) for name, r in ranks.items()})
    write(adapter, tmp_path / "x")
    found = deltas(loaded(Net(), tmp_path / "x"))
    assert set(found) == set(ranks)
    for name, dense in found.items():
        np.testing.assert_allclose(dense, adapter[name].dense(), rtol=1e-6, atol=1e-6)


# Tensors that PEFT leaves out.


EVERY = ["q_proj", "k_proj", "down_proj"]


def renamed(change):
    """An edit of the tensors' keys in a folder."""

    def edit(folder):
        from safetensors.numpy import load_file, save_file

        file = folder / "adapter_model.safetensors"
        save_file({change(key): value for key, value in load_file(file).items()}, file)

    return edit


def config(**values):
    """An edit of the configuration in a folder."""
    return lambda folder: changed(folder / "adapter_config.json", **values)


EDITS = {  # how the folder is changed after training, and how many of its six modules PEFT ignores
    "an expression": (config(target_modules=r".*\.1\..*(q|down)_proj"), 4),
    "an expression with a flag": (config(target_modules=r"(?i).*\.1\..*(Q|down)_proj"), 4),
    "names": (config(target_modules=["q_proj"]), 4),
    "layers": (config(layers_to_transform=[1]), 3),
    "one layer": (config(layers_to_transform=0, layers_pattern="layers"), 3),
    "layers of two kinds": (config(layers_to_transform=[1], layers_pattern=["h", "layers"]), 3),
    "layers elsewhere": (config(layers_to_transform=[7]), 6),
    "whole names pass layers": (
        config(
            layers_to_transform=[1],
            target_modules=["model.layers.0.self_attn.q_proj", "down_proj"],
        ),
        4,
    ),
    "no layers named": (config(layers_to_transform=[]), 0),
    "excluded": (config(exclude_modules=["layers.0.self_attn.q_proj", "down_proj"]), 3),
    "excluded by expression": (config(exclude_modules=r".*\.0\..*"), 3),
    "one key without prefix": (
        renamed(lambda key: key.removeprefix("base_model.model.") if ".0.mlp" in key else key),
        1,
    ),
    "no key with prefix": (renamed(lambda key: key.removeprefix("base_model.model.")), 6),
    "keys with the adapter's name": (
        renamed(lambda key: key.replace(".weight", ".default.weight")),
        0,
    ),
    "digits in a pattern": (config(alpha_pattern={r"layers\.(?!0)\d+\..*": 20}), 0),
    "unknown keys": (config(use_magic={"strength": 3}, plain=False), 0),
}


@pytest.mark.parametrize("name", EDITS)
def test_tensors_that_peft_ignores_are_ignored_and_named(name, tmp_path):
    edit, ignored = EDITS[name]
    trained = adapted(network("llama"), r=3, lora_alpha=5, target_modules=EVERY)
    with quiet():
        trained.save_pretrained(tmp_path)
    every = set(deltas(trained))
    edit(tmp_path)
    if ignored == len(every):
        with pytest.raises(AdapterError, match="PEFT would load none of its 6 modules"):
            read(tmp_path)
        return
    with quiet():
        expected = deltas(PeftModel.from_pretrained(network("llama"), tmp_path))
    expected = {module: dense for module, dense in expected.items() if abs(dense).max() > 0}
    adapter = read(tmp_path)
    assert set(adapter) == set(expected)
    assert len(every - set(adapter)) == ignored
    for module, dense in expected.items():
        np.testing.assert_allclose(adapter[module].dense(), dense, rtol=1e-5, atol=1e-6)
    notes = " ".join(adapter.info.notes)
    assert (f"PEFT ignores the tensors of {ignored} module" in notes) is bool(ignored)
    assert ("keys unknown here ('use_magic')" in notes) is (name == "unknown keys")


# An attention block of torch's own.


def attention():
    """A network whose attention is torch's own block, with an adapter on it."""

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = torch.nn.MultiheadAttention(8, 2, batch_first=True)
            self.out = torch.nn.Linear(8, 5)

        def forward(self, x):
            return self.out(self.attn(x, x, x)[0])

    torch.manual_seed(0)
    return Net().eval()


@pytest.mark.parametrize("rule", ["as it is", "iso"])
def test_an_attention_block_of_torch_answers_the_same_with_what_we_wrote(rule, tmp_path):
    """PEFT adapts its output projection under the block's name, with the block's rank."""
    with quiet():
        trained = get_peft_model(
            attention(), LoraConfig(r=2, lora_alpha=6, target_modules=["attn", "out"])
        )
        draws = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for key, weight in trained.named_parameters():
                if "lora_" in key:
                    weight.copy_(torch.randn(weight.shape, generator=draws))
            if rule == "iso":  # ranks that differ: one of the projection's directions vanishes
                trained.base_model.model.attn.base_layer.out_proj.lora_B["default"].weight[:, 1] = 0
        trained.eval().save_pretrained(tmp_path / "theirs")
    adapter = read(tmp_path / "theirs")
    assert [*adapter] == ["attn", "attn.base_layer.out_proj", "out"]
    if rule == "iso":
        adapter = merge([adapter], "iso")
        assert adapter["attn.base_layer.out_proj"].width == 1
    write(adapter, tmp_path / "ours")
    x = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(2))
    with quiet(), torch.no_grad():
        ours = PeftModel.from_pretrained(attention(), tmp_path / "ours").eval()
        plain = attention()
        plain.attn.in_proj_weight += torch.tensor(adapter["attn"].dense()).float()
        plain.attn.out_proj.weight += torch.tensor(
            adapter["attn.base_layer.out_proj"].dense()
        ).float()
        plain.out.weight += torch.tensor(adapter["out"].dense()).float()
        expected = plain(x)
        if rule == "as it is":
            np.testing.assert_allclose(trained(x), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ours(x), expected, rtol=1e-4, atol=1e-5)
        assert float(abs(expected - attention()(x)).max()) > 1e-2
