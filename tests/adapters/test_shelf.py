"""_shelf: outputs mixed after the product, by a second route, without the big array."""

import tracemalloc

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from strategies import seeds, sides

from loratheory.adapters import forward
from loratheory.lowrank import LowRank, gaussian, total

DEVICE = array_api_strict.Device("device1")
BACKENDS = {
    "torch": torch.asarray,
    "strict": lambda array: array_api_strict.asarray(array, device=DEVICE),
}


def drawn(seed, m, n, k):
    """Updates of random ranks, zero and beyond full included; tokens; weights of both signs.

    Half of the draws have mostly zero weights.
    """
    rng = np.random.default_rng(seed)
    ranks = rng.integers(0, 4, k).tolist()
    updates = [gaussian(rng, m, n, r, 10.0 ** int(rng.integers(-6, 7))) for r in ranks]
    count = int(rng.integers(0, 5))
    weights = rng.standard_normal((count, k)) * (rng.random((count, k)) < rng.choice([0.2, 1.0]))
    return updates, rng.standard_normal((count, n)), weights


@given(seeds, sides, sides, sides)
def test_outputs_are_the_weighted_sum_of_dense_products(seed, m, n, k):
    updates, x, weights = drawn(seed, m, n, k)
    dense = np.stack([low.dense() for low in updates])
    terms = np.einsum("tk,kmn,tn->tkm", weights, dense, x)
    room = 1e-13 * np.abs(terms).sum() + 1e-300
    assert np.allclose(forward(updates, x, weights), terms.sum(axis=1), rtol=0, atol=room * m)


@given(seeds, sides, sides)
def test_equal_weights_act_as_the_sum_of_the_updates(seed, m, n):
    updates, x, _ = drawn(seed, m, n, 3)
    whole = (total(updates) @ x.T).T
    room = 1e-12 * sum(np.abs(low.up).sum() * np.abs(low.down).sum() for low in updates) + 1e-300
    assert np.allclose(forward(updates, x, np.ones((len(x), 3))), whole, rtol=0, atol=room * 10)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("active", [0.3, 1.0])
def test_outputs_are_the_same_everywhere(backend, active):
    rng = np.random.default_rng(0)
    updates = [gaussian(rng, 5, 4, r) for r in (1, 3, 2)]
    x, weights = rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
    weights *= rng.random((6, 3)) < active
    move = BACKENDS[backend]
    there = forward([low.map(move) for low in updates], move(x), move(weights))
    back = there if backend == "torch" else there.to_device(array_api_strict.Device("CPU_DEVICE"))
    assert np.allclose(np.asarray(back), forward(updates, x, weights), rtol=1e-13, atol=1e-13)


def test_half_precision_factors_are_computed_in_single():
    rng = np.random.default_rng(1)
    half = [gaussian(rng, 4, 3, 2).map(lambda a: torch.asarray(a).bfloat16()) for _ in range(2)]
    x = torch.asarray(rng.standard_normal((5, 3))).bfloat16()
    out = forward(half, x, torch.ones((5, 2), dtype=torch.bfloat16))
    exact = sum(low.map(torch.Tensor.double).dense() for low in half)
    assert out.dtype == torch.float32
    assert torch.allclose(out.double(), x.double() @ exact.T, rtol=1e-5, atol=1e-5)


def test_one_double_factor_makes_the_shelf_double():
    single = gaussian(np.random.default_rng(2), 3, 3, 1).map(lambda a: a.astype(np.float32))
    mixed = [single, LowRank(single.up.astype(float), single.down)]
    x = np.ones((1, 3), dtype=np.float32)
    assert forward(mixed, x, np.ones((1, 2))).dtype == np.float64
    assert forward([single, single], x, np.ones((1, 2))).dtype == np.float32


def test_no_array_of_tokens_by_adapters_by_outputs_is_made():
    rng = np.random.default_rng(3)
    t, k, m = 64, 16, 256
    updates = [gaussian(rng, m, m, 2) for _ in range(k)]
    x, weights = rng.standard_normal((t, m)), rng.standard_normal((t, k))
    tracemalloc.start()
    forward(updates, x, weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    factors_codes_outputs = 8 * (k * 2 * 2 * m + 3 * t * k * 2 + 2 * t * m)
    assert peak < factors_codes_outputs + 50_000 < 8 * t * k * m / 4


def test_idle_adapters_cost_nothing():
    """One adapter a token: their factors are not even copied."""
    rng = np.random.default_rng(6)
    t, k, m = 16, 64, 512
    updates = [gaussian(rng, m, m, 2) for _ in range(k)]
    x, weights = rng.standard_normal((t, m)), np.zeros((t, k))
    weights[:, 5] = 2.0
    tracemalloc.start()
    out = forward(updates, x, weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.allclose(out, 2 * x @ updates[5].dense().T)
    assert peak < 8 * 6 * t * m < 8 * k * 2 * 2 * m


def test_wrong_input_is_refused_in_words():
    rng = np.random.default_rng(4)
    updates = [gaussian(rng, 3, 4, 2) for _ in range(2)]
    x, weights = np.ones((5, 4)), np.ones((5, 2))
    for bad, message in [
        (([], x, weights), "empty library"),
        (([updates[0], gaussian(rng, 3, 5, 2)], x, weights), r"widths \[4, 5\]"),
        (([updates[0], gaussian(rng, 2, 4, 2)], x, weights), r"outputs of widths \[2, 3\]"),
        ((updates, np.ones((5, 5)), weights), r"shape \(5, 5\).*read 4 inputs"),
        ((updates, x, np.ones((5, 3))), r"weights have shape \(5, 3\), not \(5, 2\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            forward(*bad)
