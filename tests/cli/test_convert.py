"""convert and extract: what they write and what they say is lost, by a second road."""

import json
from pathlib import Path

import numpy as np
import pytest
from folders import MODULES, bytes_of, factors, folder, tensors

from loratheory.adapters import read

NAME = "lora_unet_double_blocks_0_img_attn_qkv"


@pytest.fixture
def flux(run):  # noqa: ARG001  it changes the folder
    """A file of kohya's with one fused map of Flux."""
    [(up, down)] = factors({NAME: (12, 4, 2)}).values()
    found = {f"{NAME}.lora_up.weight": up, f"{NAME}.lora_down.weight": down}
    found[f"{NAME}.alpha"] = np.asarray(6, np.float32)
    Path("flux.safetensors").write_bytes(bytes_of(found))
    return "flux.safetensors", 3 * up @ down


def test_convert_states_its_key_map(run, flux):
    file, dense = flux
    code, out, _ = run(
        "convert", file, "--to", "diffusers", "-o", "d.safetensors", "--json", "c.json"
    )
    assert code == 0
    assert "key map: 3 of 3 modules have other names" in out
    result = json.loads(Path("c.json").read_text())
    block, fused = "transformer.transformer_blocks.0.attn", "unet.double_blocks.0.img_attn.qkv"
    assert result["names"] == {f"{block}.to_{x}": [fused] for x in "qkv"}
    found = read("d.safetensors")
    for i, x in enumerate("qkv"):
        rows = found[f"{block}.to_{x}"].dense()
        np.testing.assert_allclose(rows, dense[4 * i : 4 * i + 4], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--to", "lycoris", "-o", "x.safetensors"], "--to lycoris: choose one of peft, kohya"),
        (["--to", "diffusers", "-o", "x"], "form of diffusers is one file; name it x.safetensors"),
        (["--to", "diffusers", "-o", "flux.safetensors"], "exists: choose another place"),
        (["-o", "x", "--part", "unet"], "has the parts transformer; choose one of them, not unet"),
        (["--to", "peft", "-o", "nowhere/x"], "there is no folder nowhere"),
        (["--subfolder", "deep", "-o", "x"], "holds no folder 'deep'"),
    ],
)
def test_convert_refuses_in_a_line_and_writes_nothing(words, says, run, flux):
    before = sorted(Path().iterdir())
    code, _, err = run("convert", flux[0], *words)
    assert code == 2
    assert says in err
    assert sorted(Path().iterdir()) == before


def test_convert_says_what_a_rank_loses(run):
    run("--version")
    place = folder("one", {"a": (12, 10, 6), "b": (9, 8, 5)})
    code, out, _ = run("convert", place, "--rank", 2, "-o", "two", "--json", "c.json")
    assert code == 0
    lost = energy = 0.0
    for module, low in read(place).items():
        sigma = np.linalg.svd(low.dense().astype(float), compute_uv=False)
        lost, energy = lost + (sigma[2:] ** 2).sum(), energy + (sigma**2).sum()
        assert np.linalg.matrix_rank(read("two")[module].dense(), 1e-4) == 2
    result = json.loads(Path("c.json").read_text())
    assert result["lost"] == pytest.approx(lost, rel=1e-5)
    assert result["energy"] == pytest.approx(energy, rel=1e-5)
    assert f"Lost at rank 2: {100 * (lost / energy) ** 0.5:.3g} % of the norm" in out


def test_convert_makes_a_plain_adapter_of_dora(run):
    run("--version")
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((12, 10)).astype("f4")
    magnitude = rng.uniform(1, 3, 12).astype("f4")
    [(up, down)] = factors({"a": (12, 10, 2)}).values()
    found = tensors({"a": (up, down)}) | {"base_model.model.a.lora_magnitude_vector": magnitude}
    place = folder("dora", {"a": (12, 10, 2)}, use_dora=True)
    (place / "adapter_model.safetensors").write_bytes(bytes_of(found))
    Path("base").mkdir()
    Path("base/model.safetensors").write_bytes(bytes_of({"a.weight": weight}))
    moved = weight + up @ down
    exact = moved * (magnitude / np.linalg.norm(moved, axis=1))[:, None] - weight
    words = ("convert", place, "--rank", 3, "-o", "plain")
    code, _, err = run(*words)
    assert (code, "give the base model's folder: base=… (--base)" in err) == (2, True)
    code, out, _ = run(*words, "--base", "base")
    assert code == 0
    left, sigma, right = np.linalg.svd(exact.astype(float), full_matrices=False)
    found = read("plain")["a"].dense()
    np.testing.assert_allclose(found, (left[:, :3] * sigma[:3]) @ right[:3], atol=1e-4)
    assert f"{100 * np.linalg.norm(sigma[3:]) / np.linalg.norm(sigma):.3g} % of the norm" in out


def models(rng, layers=2):
    """Two models of one shape: maps, an embedding, a convolution and a norm; and what changed."""
    shapes = {f"layers.{i}.proj.weight": (8, 6) for i in range(layers)}
    shapes |= {"embed_tokens.weight": (9, 6), "conv.weight": (5, 4, 3, 3), "norm.weight": (6,)}
    base = {key: rng.standard_normal(shape).astype("f4") for key, shape in shapes.items()}
    change = {key: rng.standard_normal(shape).astype("f4") for key, shape in shapes.items()}
    change["layers.0.proj.weight"] *= 0
    return base, change


def test_extract_keeps_the_leading_part_of_every_map(run):
    run("--version")
    base, change = models(np.random.default_rng(0))
    tuned = {key: base[key] + change[key] for key in base}
    change = {key: tuned[key].astype(float) - base[key] for key in base}
    for name, weights in (("base", base), ("tuned", tuned)):
        Path(name).mkdir()
        Path(name, "model.safetensors").write_bytes(bytes_of(weights))
    code, out, _ = run("extract", "base", "tuned", "--rank", 3, "-o", "out", "--json", "e.json")
    assert code == 0
    adapter, lost = read("out"), 0.0
    assert {*adapter} == {"layers.1.proj", "embed_tokens", "conv"}
    assert adapter.info.embeddings == {"embed_tokens"}
    assert adapter.info.kernels == {"conv": (4, 3, 3)}
    assert "norm.weight" in out
    for module, low in adapter.items():
        exact = change[f"{module}.weight"]
        exact = exact.T if module == "embed_tokens" else exact.reshape(len(exact), -1)
        left, sigma, right = np.linalg.svd(exact, full_matrices=False)
        lost += (sigma[3:] ** 2).sum()
        np.testing.assert_allclose(low.dense(), (left[:, :3] * sigma[:3]) @ right[:3], atol=1e-5)
    assert json.loads(Path("e.json").read_text())["lost"] == pytest.approx(lost, rel=1e-6)


def test_extract_refuses_what_cannot_be_compared(run):
    run("--version")
    base, change = models(np.random.default_rng(0))
    wide = {key: np.concatenate([array, array]) for key, array in base.items()}
    for name, weights in (("base", base), ("same", base), ("wide", wide), ("two", base)):
        Path(name).mkdir()
        Path(name, "model.safetensors").write_bytes(bytes_of(weights))
    Path("two", "model.safetensors").rename("two/one.safetensors")
    Path("two", "other.safetensors").write_bytes(bytes_of(change))
    for tuned, says in (
        ("same", "no map differs from base; nothing to extract"),
        ("wide", "has shape [16, 6], that of base [8, 6]; give two models of one shape"),
        ("two", "holds 2 safetensors files and no index; name the one file that is the model"),
        ("nowhere", "there is no such folder or file; name the model's folder"),
    ):
        code, _, err = run("extract", "base", tuned, "--rank", 2, "-o", "out")
        assert (code, says in err) == (2, True), err
        assert not Path("out").exists()


def test_merge_keeps_a_form_and_needs_a_choice_for_heads(run, flux):
    file, dense = flux
    code, _, err = run("merge", file, file, "-o", "merged")
    assert (code, "form of kohya is one file; name it merged.safetensors" in err) == (2, True)
    code, _, _ = run("merge", file, file, "--method", "sum", "-o", "merged.safetensors")
    assert code == 0
    [low] = read("merged.safetensors").values()
    np.testing.assert_allclose(low.dense(), 2 * dense, rtol=1e-5, atol=1e-5)
    heads = [np.full((2, 4), value, np.float32) for value in (1, 3)]
    for name, head in zip(("one", "two"), heads, strict=True):
        place = folder(name, modules_to_save=["score"], task_type="SEQ_CLS")
        weights = place / "adapter_model.safetensors"
        found = tensors(factors(MODULES))
        weights.write_bytes(bytes_of(found | {"base_model.model.score.weight": head}))
    code, _, err = run("merge", "one", "two", "-o", "heads")
    assert (code, "(score.weight): choose others" in err) == (2, True)
    assert "--others" in err
    for choice, value in (("first", 1), ("mean", 2)):
        code, _, _ = run("merge", "one", "two", "-o", "heads", "--others", choice, "--force")
        assert code == 0
        head = read("heads").info.others["score.weight"]
        assert (head.load() == value).all()
        assert json.loads(Path("heads/adapter_config.json").read_text())["modules_to_save"] == [
            "score"
        ]
    code, out, _ = run("inspect", "heads")
    assert (code, "a tensor takes the place of the base's own ('score.weight')" in out) == (0, True)
