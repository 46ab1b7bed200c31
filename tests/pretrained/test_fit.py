"""_fit: the wrong model is named with what would match; another base is only mentioned."""

import warnings

import numpy as np
import pytest
from causal import VOCABULARY, network

from loratheory.adapters import Adapter, AdapterError, Info
from loratheory.lowrank import LowRank
from loratheory.pretrained import Model, ModelError, OtherBaseWarning, attached
from loratheory.pretrained._fit import fitted

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def llama():
    return network("llama")


def adapter(shapes, embeddings=(), base="", revision=None):
    """Zeros of these shapes."""
    modules = {name: LowRank(np.zeros((m, 1)), np.zeros((1, n))) for name, (m, n) in shapes.items()}
    info = Info("mine", base, embeddings=frozenset(embeddings), config={"revision": revision})
    return Adapter.of(modules, info)


def test_what_fits_is_returned_with_its_places(llama):
    one = adapter({"lm_head": (VOCABULARY, 16)}, base="a")
    two = adapter({"model.layers.1.self_attn.k_proj": (8, 16)}, base="b")
    together, places = fitted(Model(llama), [one, two])
    assert [*places] == ["lm_head", "model.layers.1.self_attn.k_proj"]
    assert places["lm_head"].module is llama.lm_head
    assert together.adapters == (one, two)


def test_absent_modules_are_listed_with_their_closest_relatives(llama):
    names = [f"layers.{i}.self_attn.{part}_proj" for i in (0, 1) for part in "qkv"]
    with pytest.raises(ModelError) as caught:
        fitted(Model(llama), [adapter(dict.fromkeys([*names, "lm_head"], (16, 16)))])
    text = str(caught.value)
    assert text.startswith("mine: 6 of its 7 modules are not in LlamaForCausalLM (")
    for name in names[:3]:
        assert f"{name}, closest is model.{name}" in text
    assert "…" in text
    assert names[3] not in text
    assert "rename its modules" in text
    assert "experts" not in text


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("base.decoder.1.mlp.up_proj", "model.layers.1.mlp.up_proj"),
        ("transformer.h.1.k_proj", "model.layers.1.self_attn.k_proj"),
        ("head", "lm_head"),
    ],
)
def test_the_longest_common_ending_is_the_closest(llama, name, closest):
    with pytest.raises(ModelError, match=f"{name}, closest is {closest}\\)"):
        fitted(Model(llama), [adapter({name: (16, 16)})])


def test_experts_kept_in_one_tensor_are_explained():
    name = "model.layers.0.mlp.experts.0.down_proj"
    with pytest.raises(ModelError, match="experts kept in one tensor are not linear maps"):
        fitted(Model(network("mixtral")), [adapter({name: (16, 24)})])


def test_a_model_without_maps_says_so():
    from torch import nn

    with pytest.raises(ModelError, match="closest is nothing: it has no maps"):
        fitted(Model(nn.LayerNorm(3)), [adapter({"q": (2, 2)})])


def test_wrong_shapes_are_listed(llama):
    names = [f"model.layers.{i}.mlp.{part}_proj" for i in (0, 1) for part in ("up", "down")]
    with pytest.raises(ModelError) as caught:
        fitted(Model(llama), [adapter(dict.fromkeys(names, (16, 24)))])
    text = str(caught.value)
    assert "2 of its 4 modules have another shape in LlamaForCausalLM" in text
    assert "model.layers.0.mlp.up_proj is (24, 16), not (16, 24)" in text
    assert "…" not in text


@pytest.mark.parametrize(
    ("name", "shape", "embeddings", "kind"),
    [
        ("model.embed_tokens", (16, VOCABULARY), (), "an embedding"),
        ("lm_head", (VOCABULARY, 16), ("lm_head",), "a linear map"),
    ],
)
def test_embeddings_and_linear_maps_are_told_apart(llama, name, shape, embeddings, kind):
    with pytest.raises(ModelError, match=f"are of another kind in .*{name} is {kind}"):
        fitted(Model(llama), [adapter({name: shape}, embeddings)])


def test_no_adapter_and_adapters_of_two_sizes_are_refused(llama):
    with pytest.raises(AdapterError):
        fitted(Model(llama), [])
    small = adapter({"lm_head": (2, 2)})
    with pytest.raises(ModelError, match="another shape"):
        fitted(Model(llama), [adapter({"lm_head": (VOCABULARY, 16)}), small])


@pytest.mark.parametrize(
    ("base", "revision", "name", "commit", "said"),
    [
        ("a/small", None, "a/small", "", ""),
        ("a/Small", None, "/models/small/", "", ""),
        ("", None, "a/small", "", ""),
        ("a/small", None, "", "", ""),
        ("a/small", None, "a/large", "", "mine was trained on a/small, this is a/large: names"),
        ("a/small", SHA, "a/small", SHA, ""),
        ("a/small", SHA[:7], "a/small", SHA, ""),
        ("a/small", "main", "a/small", SHA, ""),
        ("a/small", "fedcba9", "a/small", SHA, f"trained on revision fedcba9, this is {SHA}"),
        ("a/small", "fedcba9", "a/small", "", ""),
        ("a/small", None, "a/small", SHA, ""),
    ],
)
def test_another_base_or_revision_is_mentioned(llama, base, revision, name, commit, said):
    model = Model(llama, name=name, revision=commit)
    one = adapter({"lm_head": (VOCABULARY, 16)}, base=base, revision=revision)
    if said:
        with pytest.warns(OtherBaseWarning, match=said):
            attached(model, [one]).remove()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attached(model, [one]).remove()
