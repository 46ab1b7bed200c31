"""What `inspect` says of a module is what a dense decomposition says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds, sides

from loratheory.adapters import Adapter
from loratheory.diagnosis import kind_of, layer_of, spectra
from loratheory.lowrank import effective_rank, gaussian, stable_rank


@given(sides, sides, st.integers(0, 6), seeds)
def test_a_module_is_described_by_its_singular_values(m, n, r, seed):
    low = gaussian(np.random.default_rng(seed), m, n, r)
    (found,) = spectra(Adapter.of({"layers.3.q": low}))
    dense = np.linalg.svd(low.dense(), compute_uv=False)[: min(m, n, r)]
    np.testing.assert_allclose(found.sigma, dense, atol=1e-12)
    assert (found.module, found.outputs, found.inputs, found.width) == ("layers.3.q", m, n, r)
    assert found.rank == np.linalg.matrix_rank(low.dense())
    assert found.energy == pytest.approx((low.dense() ** 2).sum())
    assert found.stable_rank == pytest.approx(stable_rank(low))
    assert found.effective_rank == pytest.approx(effective_rank(low))


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
