"""What PEFT itself makes of a folder, and what we read: the same modules, the same numbers."""

import json

import numpy as np
import pytest
from tiny import adapted, deltas, llama, outputs, quiet

from loratheory.adapters import AdapterError, read, write

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

    def edit(folder):
        file = folder / "adapter_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return edit


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
    from peft import PeftModel

    edit, ignored = EDITS[name]
    trained = adapted(llama(), r=3, lora_alpha=5, target_modules=EVERY)
    with quiet():
        trained.save_pretrained(tmp_path)
    every = set(deltas(trained))
    edit(tmp_path)
    if ignored == len(every):
        with pytest.raises(AdapterError, match="PEFT would load none of its 6 modules"):
            read(tmp_path)
        return
    with quiet():
        expected = deltas(PeftModel.from_pretrained(llama(), tmp_path))
    expected = {module: dense for module, dense in expected.items() if abs(dense).max() > 0}
    adapter = read(tmp_path)
    assert set(adapter) == set(expected)
    assert len(every - set(adapter)) == ignored
    for module, dense in expected.items():
        np.testing.assert_allclose(adapter[module].dense(), dense, rtol=1e-5, atol=1e-6)
    notes = " ".join(adapter.info.notes)
    assert (f"PEFT ignores the tensors of {ignored} module" in notes) is bool(ignored)
    assert ("keys unknown here ('use_magic')" in notes) is (name == "unknown keys")


def test_a_head_tied_to_an_embedding_answers_the_same_with_what_we_wrote(tmp_path):
    from peft import PeftModel

    kinds = {"target_modules": ["embed_tokens", "lm_head", "q_proj"], "ensure_weight_tying": True}
    trained = adapted(llama(tie_word_embeddings=True), r=3, lora_alpha=5, **kinds)
    with quiet():
        trained.save_pretrained(tmp_path / "theirs")
    adapter = read(tmp_path / "theirs")
    np.testing.assert_allclose(
        adapter["lm_head"].dense(), adapter["model.embed_tokens"].dense().T, rtol=1e-5, atol=1e-6
    )
    write(adapter, tmp_path / "ours")
    with quiet():
        models = [
            PeftModel.from_pretrained(llama(tie_word_embeddings=True), tmp_path / name).eval()
            for name in ("theirs", "ours")
        ]
    theirs, ours = (outputs(model) for model in models)
    assert float(abs(theirs - outputs(llama(tie_word_embeddings=True))).max()) > 1e-2
    assert float(abs(theirs - ours).max()) < 2e-5 * float(abs(theirs).max())


def attention():
    """A network whose attention is torch's own block, with an adapter on it."""
    import torch

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
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model

    from loratheory.adapters import merge

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
