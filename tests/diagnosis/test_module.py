"""One module: the spectrum of an adapter, and several adapters against dense arithmetic."""

import numpy as np
import pytest

from loratheory.adapters import Adapter
from loratheory.diagnosis import examine_module, kind_of, layer_of, spectra
from loratheory.lowrank import LowRank, gaussian, orthonormal, with_spectrum

# One module of a library: every number against its dense definition.


@pytest.mark.parametrize("seed", range(6))
def test_cross_talk_is_the_largest_foreign_answer_to_a_unit_key(seed):
    rng = np.random.default_rng(seed)
    updates = [gaussian(rng, 6, 8, 2) for _ in range(3)]
    found = examine_module("q", updates)
    frames = [np.linalg.qr(u.down.T)[0] for u in updates]
    answers = {
        (i, j): np.linalg.norm(updates[j].dense() @ frames[i], 2)
        / np.linalg.norm(updates[i].dense(), 2)
        for i in range(3)
        for j in range(3)
        if i != j
    }
    assert found.crosstalk == pytest.approx(max(answers.values()))
    assert answers[found.pair] == pytest.approx(found.crosstalk)
    i, j = found.pair
    cosine = np.linalg.norm(frames[i].T @ frames[j], 2)
    ratio = np.linalg.norm(updates[j].dense(), 2) / np.linalg.norm(updates[i].dense(), 2)
    assert found.row_cosine == pytest.approx(cosine)
    assert found.ceiling == pytest.approx(cosine * ratio)
    assert found.crosstalk <= found.ceiling + 1e-12


@pytest.mark.parametrize("seed", range(6))
def test_floors_descend_to_the_disagreement(seed):
    rng = np.random.default_rng(seed)
    updates = [gaussian(rng, 9, 8, 2) for _ in range(3)]
    dense = np.stack([u.dense() for u in updates])
    energy, sigma = (dense**2).sum() / 3, np.linalg.svd(dense.mean(axis=0), compute_uv=False)
    floors = examine_module("q", updates).floors
    assert [rank for rank, _ in floors] == [1, 2, 4, 6]
    for rank, floor in floors:
        expected = (dense.var(axis=0).sum() + (sigma[rank:] ** 2).sum()) / energy
        assert floor == pytest.approx(expected)


def test_equal_adapters_agree_and_orthogonal_ones_do_not_meet():
    rng = np.random.default_rng(0)
    low, frame = with_spectrum(rng, 8, 8, [3.0, 1.0]), orthonormal(rng, 8, 4)
    same, turned = (examine_module("q", [low, LowRank(low.up, c * low.down)]) for c in (1, -1))
    assert same.floors[-1][1] == pytest.approx(0, abs=1e-14)
    assert same.row_cosine == same.prototype_cosine == pytest.approx(1)
    assert turned.prototype_cosine == pytest.approx(1)
    apart = examine_module("q", [LowRank(low.up, frame[:, s].T) for s in np.split(np.arange(4), 2)])
    assert apart.crosstalk == pytest.approx(0, abs=1e-14)
    assert apart.floors[-1][1] == pytest.approx(0.5)


def test_arrow_numbers_are_those_of_the_spectrum():
    rng = np.random.default_rng(1)
    found = examine_module("q", [with_spectrum(rng, 9, 8, [2.0, 1.0]), gaussian(rng, 9, 8, 1)])
    assert found.ranks == (2, 1)
    assert found.arrow_gap == pytest.approx((0.5, 1.0))
    assert found.arrow_blind == pytest.approx((0.2, 0.0))
    assert found.gauge_gap is None


def test_the_gauge_gap_is_the_distance_of_two_dense_factor_means():
    rng = np.random.default_rng(6)
    updates = [gaussian(rng, 40, 30, 3, scale) for scale in (1.0, 5.0, 2.0)]
    stored, balanced = (
        sum(low.up for low in forms) @ sum(low.down for low in forms)
        for forms in (updates, [low.balanced() for low in updates])
    )
    size = max(np.linalg.norm(stored), np.linalg.norm(balanced))
    gap = np.linalg.norm(stored - balanced) / size
    assert examine_module("q", updates).gauge_gap == pytest.approx(gap)


# What `inspect` says of a module is what a dense decomposition says.


@pytest.mark.parametrize("shape", [(6, 5, 2), (2, 6, 6), (3, 1, 1), (4, 4, 0)])
def test_a_module_is_described_by_its_singular_values(shape):
    low = gaussian(np.random.default_rng(0), *shape)
    (found,) = spectra(Adapter.of({"layers.3.q": low}))
    dense = np.linalg.svd(low.dense(), compute_uv=False)[: min(shape)]
    np.testing.assert_allclose(found.sigma, dense, atol=1e-12)
    described = (found.outputs, found.inputs, found.width, found.rank)
    assert described == (*shape, np.linalg.matrix_rank(low.dense()))
    assert found.module == "layers.3.q"
    assert found.energy == pytest.approx((low.dense() ** 2).sum())
    assert found.spectral == low.spectral_norm
    assert (found.stable_rank, found.effective_rank) == (low.stable_rank, low.effective_rank)


@pytest.mark.parametrize(
    ("name", "layer", "kind"),
    [
        ("model.layers.12.self_attn.q_proj", 12, "model.layers.*.self_attn.q_proj"),
        ("transformer.h.0.attn.c_attn", 0, "transformer.h.*.attn.c_attn"),
        ("model.layers.3.mlp.experts.7.w1", 3, "model.layers.*.mlp.experts.*.w1"),
        ("lm_head", None, "lm_head"),
        (f"layers.{'9' * 5000}.q", None, "layers.*.q"),
        ("block2.conv1x1", None, "block2.conv1x1"),
    ],
)
def test_names_tell_layer_and_kind(name, layer, kind):
    assert layer_of(name) == layer
    assert kind_of(name) == kind
