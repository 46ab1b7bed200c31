"""Single files of kohya's scripts and of diffusers: names as these have them, the same function."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from causal import quiet
from folders import MODULES, bytes_of, factors, folder, tensors
from peft import PeftModel
from safetensors.numpy import load_file, save_file
from torch.nn.functional import conv2d

from loratheory.adapters import Adapter, AdapterError, Info, converted, merge, read, write
from loratheory.adapters._names import placed
from loratheory.lowrank import gaussian

# What diffusers 0.42.1's own conversion makes of kohya's names; see tests/data/README.md.
NAMES = json.loads((Path(__file__).parent.parent / "data" / "names.json").read_text())


def kohya(path, shapes, alpha=3.0, seed=0, dtype="float32"):
    """A file as kohya's scripts write it: up, down and alpha of each module, by kohya's name."""
    rng, found = np.random.default_rng(seed), {}
    for name, (up, down) in shapes.items():
        found[f"{name}.lora_up.weight"] = rng.standard_normal(up).astype(dtype)
        found[f"{name}.lora_down.weight"] = rng.standard_normal(down).astype(dtype)
        if alpha is not None:
            found[f"{name}.alpha"] = np.asarray(alpha, dtype)
    path.write_bytes(bytes_of(found))
    return found


def named(key):
    """The module that a key of a single file belongs to."""
    _, part, found = placed(key)
    return part + found.module


def modules_in(file):
    """The modules of a file of kohya's form, as it names them."""
    return {key.partition(".lora_up")[0] for key in load_file(file) if "lora_up" in key}


def flat(names, width=4):
    """Small linear maps of these names; those of attention to text are as wide as SDXL's."""
    return {
        name: ((width, 2), (2, 2048 if "attn2_to_k" in name or "attn2_to_v" in name else width))
        for name in names
    }


@pytest.mark.parametrize("model", ["sd", "sdxl", "encoders"])
def test_every_name_is_that_of_diffusers_and_leads_back(model, tmp_path):
    table, file = NAMES[model], tmp_path / "x.safetensors"
    found = kohya(file, flat(table))
    adapter = read(file)
    out, sources = converted(adapter, "diffusers")
    assert {*out} == {*table.values()}
    for key, module in table.items():
        up, down = (found[f"{key}.lora_{half}.weight"] for half in ("up", "down"))
        np.testing.assert_allclose(out[module].dense(), 1.5 * (up @ down), rtol=1e-5, atol=1e-5)
        assert sources[module] == (named(f"{key}.alpha"),)
    if model != "sd":  # its 2048 inputs, of which this file has some, would say SDXL
        back, _ = converted(out, "kohya")
        write(back, tmp_path / "back.safetensors")
        keys = modules_in(tmp_path / "back.safetensors")
        assert keys == {key.replace("lora_te_", "lora_te1_") for key in table}


WIDTH = 4
FLUX = {
    name: ((entry["outputs"] * WIDTH, 2), (2, entry["inputs"] * WIDTH))
    for name, entry in NAMES["flux"].items()
}


def test_what_flux_fuses_is_split_as_diffusers_does_and_fused_again(tmp_path):
    found = kohya(tmp_path / "flux.safetensors", FLUX)
    adapter = read(tmp_path / "flux.safetensors")
    out, _ = converted(adapter, "diffusers")
    count = 0
    for name, entry in NAMES["flux"].items():
        dense = 1.5 * (found[f"{name}.lora_up.weight"] @ found[f"{name}.lora_down.weight"])
        for module, (start, stop) in entry["rows"].items():
            rows = dense[start * WIDTH : stop * WIDTH]
            np.testing.assert_allclose(out[module].dense(), rows, rtol=1e-5, atol=1e-5)
            count += 1
    assert count == len(out) == 20
    back, sources = converted(out, "kohya")
    assert {*back} == {*adapter}
    assert len(sources["unet.single_blocks.17.linear1"]) == 4
    for module, low in adapter.items():
        assert back[module].width == low.width  # its parts share their first factor
        np.testing.assert_allclose(back[module].dense(), low.dense(), rtol=1e-5, atol=1e-5)
    apart = {m: low for m, low in out.items() if not m.endswith(("attn.to_k", "proj_mlp"))}
    moved = {m: low.map(np.copy) for m, low in apart.items()}
    moved["transformer.transformer_blocks.3.attn.to_v"].down[:] *= 2.0  # no longer shared
    fused, _ = converted(Adapter.of(moved, out.info), "kohya")
    assert fused["unet.double_blocks.3.img_attn.qkv"].width == 4
    again, _ = converted(fused, "diffusers")
    for module, low in out.items():
        expected = moved[module].dense() if module in moved else np.zeros(low.shape)
        np.testing.assert_allclose(again[module].dense(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "up", "down"),
    [
        ("lora_unet_double_blocks_0_img_attn_qkv", (9, 2), (2, 4)),  # three times four
        ("lora_unet_double_blocks_0_img_mlp_fc1", (16, 2), (2, 4)),  # of another model
        ("lora_unet_single_blocks_0_linear1", (36, 2), (2, 4)),
    ],
)
def test_what_is_not_flux_has_no_image(name, up, down, tmp_path):
    kohya(tmp_path / "x.safetensors", {name: (up, down)})
    with pytest.raises(AdapterError, match=r"Flux's has|no exact image"):
        converted(read(tmp_path / "x.safetensors"), "diffusers")


CONVOLUTIONS = {
    "lora_unet_down_blocks_0_attentions_0_proj_in": ((6, 2, 1, 1), (2, 5, 1, 1)),
    "lora_unet_down_blocks_0_resnets_0_conv1": ((6, 2, 1, 1), (2, 5, 3, 3)),
    "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q": ((6, 2), (2, 5)),
}


@pytest.mark.parametrize("alpha", [7.0, None])
def test_kohyas_convolutions_answer_as_its_own_module_does(alpha, tmp_path):
    """LoRAModule.forward of sd-scripts: base + up(down(x)) * alpha / rank (networks/lora.py)."""
    found = kohya(tmp_path / "x.safetensors", CONVOLUTIONS, alpha)
    adapter = read(tmp_path / "x.safetensors")
    assert adapter.info.kernels == {
        "unet.down_blocks.0.attentions.0.proj_in": (5, 1, 1),
        "unet.down_blocks.0.resnets.0.conv1": (5, 3, 3),
    }
    draws = torch.Generator().manual_seed(0)
    for name, (_, down) in CONVOLUTIONS.items():
        up, first = (torch.tensor(found[f"{name}.lora_{half}.weight"]) for half in ("up", "down"))
        dense = torch.tensor(adapter[named(f"{name}.alpha")].dense())
        if len(down) == 4:
            x = torch.randn(2, 5, 7, 7, generator=draws)
            theirs = conv2d(conv2d(x, first, padding=down[2] // 2, stride=2), up)
            ours = conv2d(x, dense.reshape(6, *down[1:]), padding=down[2] // 2, stride=2)
        else:
            x = torch.randn(4, 5, generator=draws)
            theirs, ours = x @ first.T @ up.T, x @ dense.T
        theirs = theirs * (3.5 if alpha else 1.0)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert ["have no alpha" in note for note in adapter.info.notes] == ([] if alpha else [True])


def test_a_convolution_between_two_of_extent_one_is_one_convolution(tmp_path):
    """LyCORIS' LoCon with a Tucker core: up(mid(down(x)))."""
    rng, name = np.random.default_rng(0), "lora_unet_up_blocks_3_resnets_0_conv2"
    shapes = {"up": (6, 3, 1, 1), "mid": (3, 3, 3, 3), "down": (3, 5, 1, 1)}
    found = {
        f"{name}.lora_{part}.weight": rng.standard_normal(shape).astype("f4")
        for part, shape in shapes.items()
    }
    file = tmp_path / "x.safetensors"
    file.write_bytes(bytes_of(found | {f"{name}.alpha": np.asarray(6, np.float32)}))
    adapter = read(file)
    up, mid, down = (torch.tensor(found[f"{name}.lora_{part}.weight"]) for part in shapes)
    x = torch.randn(2, 5, 7, 7, generator=torch.Generator().manual_seed(0))
    theirs = 2 * conv2d(conv2d(conv2d(x, down), mid, padding=1, stride=2), up)
    module = "unet.up_blocks.3.resnets.0.conv2"
    assert adapter[module].width == 3
    kernel = torch.tensor(adapter[module].dense()).reshape(6, 5, 3, 3)
    torch.testing.assert_close(conv2d(x, kernel, padding=1, stride=2), theirs, rtol=1e-4, atol=1e-4)
    write(adapter, tmp_path / "y.safetensors")
    again = read(tmp_path / "y.safetensors")
    np.testing.assert_allclose(again[module].dense(), adapter[module].dense(), rtol=1e-5, atol=1e-5)


class Part(torch.nn.Module):
    """A network with the names of a part of Stable Diffusion's UNet."""

    def __init__(self):
        super().__init__()
        block = torch.nn.Module()
        block.attentions = torch.nn.ModuleList([torch.nn.Module()])
        block.attentions[0].proj_in = torch.nn.Conv2d(5, 6, 1)
        block.resnets = torch.nn.ModuleList([torch.nn.Module()])
        block.resnets[0].conv1 = torch.nn.Conv2d(5, 6, 3, padding=1)
        self.down_blocks = torch.nn.ModuleList([block])

    def forward(self, x):
        """What both convolutions answer."""
        block = self.down_blocks[0]
        return block.attentions[0].proj_in(x) + block.resnets[0].conv1(x)


def test_a_part_of_kohyas_file_is_an_adapter_that_peft_loads(tmp_path):
    found = kohya(tmp_path / "x.safetensors", dict([*CONVOLUTIONS.items()][:2]), 7.0)
    adapter = read(tmp_path / "x.safetensors")
    part, _ = converted(adapter, "peft")
    write(part, tmp_path / "peft")
    torch.manual_seed(0)
    net = Part().eval()
    x = torch.randn(2, 5, 7, 7)
    with torch.no_grad(), quiet():
        expected = net(x)
        for name, (_, down) in [*CONVOLUTIONS.items()][:2]:
            up, first = (
                torch.tensor(found[f"{name}.lora_{half}.weight"]) for half in ("up", "down")
            )
            expected += 3.5 * conv2d(conv2d(x, first, padding=down[2] // 2), up)
        theirs = PeftModel.from_pretrained(net, tmp_path / "peft").eval()(x)
    torch.testing.assert_close(theirs, expected, rtol=1e-4, atol=1e-4)
    back, _ = converted(read(tmp_path / "peft"), "diffusers", "unet")
    assert {*back} == {*adapter}
    assert back.info.kernels == adapter.info.kernels
    with pytest.raises(
        AdapterError, match=r"do not say to which part of a pipeline; .*--part unet"
    ):
        converted(read(tmp_path / "peft"), "diffusers")


SAME = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
WRITTEN_BEFORE = {
    "now": ("unet.{}.attn1.to_q.lora_A.weight", "unet.{}.attn1.to_q.lora_B.weight"),
    "with a name": (
        "unet.{}.attn1.to_q.lora_A.mine.weight",
        "unet.{}.attn1.to_q.lora_B.mine.weight",
    ),
    "0.22": ("unet.{}.attn1.to_q.lora.down.weight", "unet.{}.attn1.to_q.lora.up.weight"),
    "0.17": (
        "unet.{}.attn1.processor.to_q_lora.down.weight",
        "unet.{}.attn1.processor.to_q_lora.up.weight",
    ),
    "0.14": ("{}.attn1.processor.to_q_lora.down.weight", "{}.attn1.processor.to_q_lora.up.weight"),
}


@pytest.mark.parametrize("version", WRITTEN_BEFORE)
def test_files_of_every_diffusers_are_read(version, tmp_path):
    [(up, down)] = factors({"x": (6, 4, 2)}).values()
    block = "mid_block.attentions.0.transformer_blocks.0"
    keys = [key.format(block) for key in WRITTEN_BEFORE[version]]
    found = {keys[0]: down, keys[1]: up, f"{SAME}.alpha": np.asarray(4, np.float32)}
    (tmp_path / "x.safetensors").write_bytes(bytes_of(found))
    adapter = read(tmp_path / "x.safetensors")
    assert [*adapter] == [SAME]
    np.testing.assert_array_equal(adapter[SAME].up, 2 * up)


def test_old_text_encoders_have_the_names_of_the_network():
    keys = ("self_attn.to_out_lora", "self_attn.q_proj.lora_linear_layer", "self_attn.to_k_lora")
    for key, name in zip(keys, ("out_proj", "q_proj", "k_proj"), strict=True):
        module = named(f"text_encoder.text_model.encoder.layers.0.{key}.down.weight")
        assert module == f"text_encoder.text_model.encoder.layers.0.self_attn.{name}"


def test_the_configuration_in_the_header_gives_scales(tmp_path):
    pairs = factors({"to_q": (6, 4, 2), "to_k": (6, 4, 2)})
    found = tensors(pairs, prefix="transformer.transformer_blocks.0.attn.")
    config = {
        "r": 2,
        "lora_alpha": 8,
        "alpha_pattern": {"attn.to_k": 2},
        "target_modules": ["to_q", "to_k"],
    }
    text = json.dumps({f"transformer.{key}": value for key, value in config.items()})
    save_file(found, tmp_path / "x.safetensors", metadata={"lora_adapter_metadata": text})
    scales = read(tmp_path / "x.safetensors").info.scales
    assert {name.rpartition(".")[2]: scale for name, scale in scales.items()} == {
        "to_q": 4.0,
        "to_k": 1.0,
    }


def test_files_are_merged_into_a_file_of_their_form_and_model(tmp_path):
    for i in (1, 2):
        kohya(tmp_path / f"{i}.safetensors", FLUX, alpha=float(i), seed=i)
    one, two = (read(tmp_path / f"{i}.safetensors") for i in (1, 2))
    write(merge([one, two], "svd", rank=3, weights=[1, 0.5]), tmp_path / "merged.safetensors")
    merged = read(tmp_path / "merged.safetensors")
    assert modules_in(tmp_path / "merged.safetensors") == {*FLUX}
    for module in one:
        left, sigma, right = np.linalg.svd(one[module].dense() + 0.5 * two[module].dense())
        best = (left[:, :3] * sigma[:3]) @ right[:3]
        np.testing.assert_allclose(merged[module].dense(), best, rtol=1e-3, atol=1e-4)
    out, _ = converted(one, "diffusers")
    with pytest.raises(AdapterError, match=r"other names .* bring them to one form first"):
        merge([one, out], "mean")
    with pytest.raises(
        AdapterError, match=r"form of kohya is one file; name it merged\.safetensors"
    ):
        write(one, tmp_path / "merged")
    with pytest.raises(AdapterError, match="parts of a pipeline, PEFT's to one network"):
        write(one, tmp_path / "merged", form="peft")


UNKNOWN = {  # models of which no table here knows, and parts beside them
    "Wan in ComfyUI": ["diffusion_model.blocks.0.self_attn.q", "diffusion_model.blocks.0.ffn.0"],
    "Wan in diffusers": ["transformer.blocks.0.attn1.to_q", "transformer.blocks.1.ffn.net.0.proj"],
    "Flux in ComfyUI": [
        "diffusion_model.double_blocks.0.img_attn.qkv",
        "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1",
    ],
    "SD 3 of kohya's": [
        "lora_unet_joint_blocks_0_x_block_attn_qkv",
        "lora_te3_encoder_block_0_layer_0_x",
    ],
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_model_that_no_table_knows_keeps_its_keys(name, tmp_path):
    halves = ("lora_down", "lora_up") if "kohya" in name else ("lora_A", "lora_B")
    shapes = {halves[0]: (2, 4), halves[1]: (12, 2)}
    found = {
        f"{m}.{half}.weight": np.ones(shapes[half], "f4") for m in UNKNOWN[name] for half in halves
    }
    if "kohya" in name:
        found |= {f"{module}.alpha": np.asarray(2, np.float32) for module in UNKNOWN[name]}
    (tmp_path / "x.safetensors").write_bytes(bytes_of(found))
    adapter = read(tmp_path / "x.safetensors")
    write(merge([adapter, adapter], "svd", rank=1), tmp_path / "y.safetensors")
    assert load_file(tmp_path / "y.safetensors").keys() == found.keys()
    if name.startswith(("Wan in C", "SD 3")):
        with pytest.raises(AdapterError, match="no table leads from the names"):
            converted(adapter, "kohya" if "Wan" in name else "diffusers")


def test_pefts_tensors_in_one_file_are_read_with_a_note_on_their_scale(tmp_path):
    found = tensors(factors(MODULES))
    (tmp_path / "x.safetensors").write_bytes(bytes_of(found))
    adapter = read(tmp_path / "x.safetensors")
    assert [*adapter] == [*MODULES]
    assert (
        "2 of 2 modules (model.layers.0.q_proj, …) have no alpha: it is taken"
        in adapter.info.notes[0]
    )
    write(adapter, tmp_path / "y.safetensors")
    assert load_file(tmp_path / "y.safetensors").keys() == found.keys()
    write(adapter, tmp_path / "folder")
    assert [*read(tmp_path / "folder" / "adapter_model.safetensors")] == [*MODULES]


def test_a_network_named_as_a_part_of_a_pipeline_is_none(tmp_path):
    """GPT-2's modules begin with `transformer.`, and so may patterns of ranks and scales."""
    modules = {"transformer.h.0.attn.c_attn": (6, 4, 2), "transformer.h.1.attn.c_attn": (6, 4, 3)}
    adapter = read(folder(tmp_path / "x", modules, alpha_pattern={r"^transformer\.h\.1\..*": 12}))
    assert [*adapter.info.scales.values()] == [1.5, 4.0]
    (tmp_path / "y.safetensors").write_bytes(bytes_of(tensors(factors(modules))))
    write(read(tmp_path / "y.safetensors"), tmp_path / "again")
    assert [*read(tmp_path / "again")] == [*modules]


def test_a_rank_beyond_a_half_keeps_its_alpha(tmp_path):
    low = gaussian(np.random.default_rng(0), 300, 300, 259)
    info = Info(naming="diffusers", dtype="bfloat16")
    write(Adapter.of({SAME: low}, info), tmp_path / "x.safetensors", form="kohya")
    again = read(tmp_path / "x.safetensors")[SAME].dense()
    assert np.linalg.norm(again - low.dense()) < 2**-7 * low.norm


# Places.


def test_a_subfolder_is_named_or_found(tmp_path):
    folder(tmp_path / "repo" / "step-2")
    assert [*read(tmp_path / "repo", subfolder="step-2")] == [*MODULES]
    with pytest.raises(AdapterError, match="holds no folder 'step-3'"):
        read(tmp_path / "repo", subfolder="step-3")
    for name in ("..", "/etc", "step-2/../.."):
        with pytest.raises(AdapterError, match="leads out of it; name a folder below"):
            read(tmp_path / "repo", subfolder=name)


def test_an_id_comes_from_the_cache_or_from_the_hub_where_that_is_asked_for(tmp_path, monkeypatch):
    """The hub is a stand-in that keeps a cache as the real one does."""
    snapshot = tmp_path / "cache" / "models--me--mine" / "snapshots" / "1a"
    asked = []

    def fetch(name, *, revision, allow_patterns, local_files_only):
        asked.append((name, revision, local_files_only, allow_patterns))
        if local_files_only and not snapshot.exists():
            raise FileNotFoundError(name)
        if not snapshot.exists():
            home = folder(snapshot / "deep")
            blob = tmp_path / "cache" / "models--me--mine" / "blobs" / "ff"
            blob.parent.mkdir()
            (home / "adapter_model.safetensors").rename(blob)
            (home / "adapter_model.safetensors").symlink_to("../../../blobs/ff")
            kohya(snapshot / "one.safetensors", CONVOLUTIONS)
        return str(snapshot)

    def single(name, file, *, revision, local_files_only):
        home = fetch(
            name, revision=revision, allow_patterns=file, local_files_only=local_files_only
        )
        return f"{home}/{file}"

    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", single)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AdapterError, match=r"none in the Hugging Face cache; .*--download"):
        read("me/mine", subfolder="deep")
    adapter = read("me/mine", subfolder="deep", revision="v2", download=True)
    assert [*adapter] == [*MODULES]
    assert adapter.info.name == "me/mine/deep"
    assert asked[-1][:3] == ("me/mine", "v2", False)
    assert not any(pattern.endswith((".bin", "*")) for pattern in asked[-1][3])
    assert all(pattern.startswith("deep/") for pattern in asked[-1][3])
    assert len(read("me/mine/one.safetensors")) == 3
    folder(tmp_path / "me" / "mine")  # what lies on the disk comes first
    assert len(read("me/mine")) == len(MODULES)
    count = len(asked)
    assert read("me/mine").info.name == "me/mine"
    assert len(asked) == count


# Files nobody should trust.


def ones(*shape):
    return np.ones(shape, "f4")


def spoilt(**changes):
    """Kohya's file of one module with some tensors replaced; None takes one away."""
    name = "lora_unet_mid_block_attentions_0_proj_in"
    found = {
        "lora_up.weight": ones(6, 2), "lora_down.weight": ones(2, 5),
        "alpha": np.asarray(1, np.float32),
    }  # fmt: skip
    found |= {key.replace("_weight", ".weight"): value for key, value in changes.items()}
    return {f"{name}.{key}": value for key, value in found.items() if value is not None}


HOSTILE = {
    "no tensors": ({}, "holds no tensor"),
    "half missing": (spoilt(lora_up_weight=None), "has alpha and lora_A exactly"),
    "ranks apart": (spoilt(lora_up_weight=ones(6, 3)), "[6, 3] different ranks"),
    "a vector": (spoilt(lora_up_weight=ones(12)), "[12] must be (r, inputs)"),
    "no outputs": (spoilt(lora_up_weight=ones(0, 2)), "[0, 2] none empty"),
    "a kernel on one side": (spoilt(lora_down_weight=ones(2, 5, 3, 3)), "must be (r,"),
    "a kernel behind": (
        spoilt(lora_down_weight=ones(2, 5, 1, 1), lora_up_weight=ones(6, 2, 3, 3)),
        "convolution must have extent 1",
    ),
    "a kernel in groups": (
        spoilt(lora_down_weight=ones(4, 5, 3, 3), lora_up_weight=ones(6, 2, 1, 1)),
        "convolution in groups",
    ),
    "a core that does not fit": (
        spoilt(lora_mid_weight=ones(3, 2, 3, 3)), "lora_mid [3, 2, 3, 3] does not fit",
    ),
    "alpha of nothing": (spoilt(alpha=np.asarray(0, np.float32)), "alpha is 0 kohya rank"),
    "alpha of several": (spoilt(alpha=np.ones(2, np.float32)), "[2] alpha must be one number"),
    "alpha infinite": (spoilt(alpha=np.asarray(np.inf, np.float32)), "alpha inf at position"),
    "LoHa": (spoilt(hada_w1_a=ones(2, 2)), "hada_w1_a LoHa export a LoRA"),
    "LoKr": (spoilt(lokr_w1=ones(2, 2)), "lokr_w1 LoKr export a LoRA"),
    "OFT": (spoilt(oft_blocks=ones(2, 2)), "oft_blocks rotates the base"),
    "a difference": (spoilt(diff=ones(6, 5)), "whole difference extract"),
    "LyCORIS' DoRA": (spoilt(dora_scale=ones(6, 1)), "dora_scale two rules"),
    "no beginning": (
        {"up.lora_down.weight": ones(2, 5)}, "begins as no form does lora_unet_ known",
    ),
    "two forms": (
        spoilt() | {"unet.a.lora_A.weight": ones(2, 5)}, "two forms keep one",
    ),
    "two adapters": (
        {f"unet.{m}.lora_{h}.{m}.weight": ones(2, 2) for m in "ab" for h in "AB"},
        "two adapters keep one",
    ),
    "DoRA": (
        {"unet.a.lora_A.weight": ones(2, 5), "unet.a.lora_B.weight": ones(6, 2),
         "unet.a.lora_magnitude_vector": ones(6)},
        "DoRA rescales the base --base",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_is_refused_with_fact_and_remedy(name, tmp_path):
    found, words = HOSTILE[name]
    file = tmp_path / "x.safetensors"
    file.write_bytes(bytes_of(found))
    with pytest.raises(AdapterError) as caught:
        read(file)
    message = str(caught.value)
    for word in words.split():
        assert word in message, message
    assert message.startswith(str(file))
    assert "; " in message


def test_a_whole_number_may_be_alpha_and_nothing_else(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(bytes_of(spoilt(alpha=np.asarray(4, np.int32))))
    assert [*read(tmp_path / "x.safetensors").info.scales.values()] == [2.0]
    (tmp_path / "y.safetensors").write_bytes(
        bytes_of(spoilt(lora_up_weight=np.ones((6, 2), np.int32)))
    )
    with pytest.raises(AdapterError, match="dtype is 'I32'"):
        read(tmp_path / "y.safetensors")


@pytest.mark.parametrize("ending", [".bin", ".pt", ".ckpt"])
def test_pickled_files_are_never_opened(ending, tmp_path):
    (tmp_path / f"x{ending}").write_bytes(b"\x80")
    with pytest.raises(AdapterError, match="pickled, which can run any code; have it saved as"):
        read(tmp_path / f"x{ending}")
