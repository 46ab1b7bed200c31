"""Scores, routers, gates and mixed outputs, token by token, against dense routes and PEFT."""

import tracemalloc
from dataclasses import replace

import array_api_strict
import numpy as np
import pytest
import torch
from peft.tuners.lora.arrow import ArrowLoraLinearLayer
from peft.tuners.lora.config import ArrowConfig

from loratheory.adapters import (
    Router,
    arrow_scores,
    calibrate,
    calibrate_z,
    forward,
    response_norms,
    softmax_weights,
    standardised,
    subspace_scores,
)
from loratheory.lowrank import LowRank, NotFiniteError, gaussian, with_spectrum

DEVICE = array_api_strict.Device("device1")
MOVES = {
    "torch": (torch.asarray, lambda array: array.numpy()),
    "strict": (
        lambda array: array_api_strict.asarray(array, device=DEVICE),
        lambda array: np.asarray(array.to_device(array_api_strict.Device("CPU_DEVICE"))),
    ),
}
SCORES = [arrow_scores, subspace_scores, response_norms]


def library(seed, m=6, n=5, k=3):
    """Updates of ranks 0 to 3, well separated singular values, over twelve decades; a generator."""
    rng = np.random.default_rng(seed)
    scales, ranks = 10.0 ** rng.integers(-6, 7, k), rng.integers(0, min(m, n, 3) + 1, k)
    return [
        with_spectrum(rng, m, n, (s * 2.0 ** -np.arange(r)).tolist())
        for s, r in zip(scales, ranks, strict=True)
    ], rng


# Outputs mixed after the product.


@pytest.mark.parametrize("active", [0.2, 1.0])
def test_outputs_are_the_weighted_sum_of_dense_products(active):
    for seed in range(10):
        updates, rng = library(seed, *np.random.default_rng(seed).integers(1, 7, 3).tolist())
        k, (m, n) = len(updates), updates[0].shape
        count = int(rng.integers(0, 5))
        weights = rng.standard_normal((count, k)) * (rng.random((count, k)) < active)
        x = rng.standard_normal((count, n))
        dense = np.stack([low.dense() for low in updates])
        terms = np.einsum("tk,kmn,tn->tkm", weights, dense, x)
        room = 1e-13 * np.abs(terms).sum() * m + 1e-300
        found = forward(updates, x, weights)
        np.testing.assert_allclose(found, terms.sum(axis=1), rtol=0, atol=room)


@pytest.mark.parametrize("idle", [False, True])
def test_no_array_of_tokens_by_adapters_by_outputs_is_made(idle):
    """And where one adapter a token acts, the factors of the others are not even copied."""
    rng = np.random.default_rng(3)
    t, k, m = (16, 64, 512) if idle else (64, 32, 256)
    updates = [gaussian(rng, m, m, 2) for _ in range(k)]
    x, weights = rng.standard_normal((t, m)), rng.standard_normal((t, k))
    if idle:
        weights[:] = 2.0 * (np.arange(k) == 5)
    tracemalloc.start()
    out = forward(updates, x, weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 6 * t * m < 8 * t * k * m / 4
    if idle:
        np.testing.assert_allclose(out, 2 * x @ updates[5].dense().T)


def test_narrow_types_are_computed_in_single_and_one_double_factor_makes_all_double():
    rng = np.random.default_rng(1)
    half = [gaussian(rng, 4, 3, 2).map(lambda a: torch.asarray(a).bfloat16()) for _ in range(2)]
    x, exact = torch.ones((5, 3), dtype=torch.bfloat16), [a.map(torch.Tensor.double) for a in half]
    out = forward(half, x, torch.ones((5, 2), dtype=torch.bfloat16))
    assert out.dtype == response_norms(half)(x).dtype == torch.float32
    assert torch.allclose(out.double(), x.double() @ sum(a.dense() for a in exact).T, rtol=1e-5)
    single = gaussian(rng, 3, 3, 1).map(np.float32)
    mixed, x = [single, LowRank(single.up.astype(float), single.down)], np.ones((1, 3), "f4")
    assert forward(mixed, x, np.ones((1, 2))).dtype == np.float64
    assert forward([single, single], x, np.ones((1, 2))).dtype == np.float32


# Three scores, their blind spots, their symmetries.


def test_scores_by_hand():
    # reads e1 with strength 3 and e2 with strength 1: at (3, 4, 5) Arrow sees 3, the span 5
    low, x = LowRank(np.diag([3.0, 1.0]), np.eye(3)[:2]), np.array([[3.0, 4.0, 5.0]])
    assert arrow_scores([low])(x) == pytest.approx(3.0)
    assert subspace_scores([low])(x) == pytest.approx(5.0)
    assert response_norms([low])(x) == pytest.approx(np.hypot(9, 4))
    moved = replace(subspace_scores([low]), shift=np.array([1.0]), spread=np.array([2.0]))
    assert moved(x) == pytest.approx((5 - 1) / 2)


@pytest.mark.parametrize("scores", SCORES)
def test_scores_match_dense_routes_in_every_gauge(scores):
    for seed in range(4):
        updates, rng = library(seed)
        x, expected = rng.standard_normal((4, 5)), []
        for low in updates:
            dense = low.dense() if low.width else np.zeros((6, 5))
            size = np.linalg.norm(dense, 2) or 1.0
            unit = dense / size
            top = np.linalg.svd(unit)[2][0] * (low.width > 0)
            seen = {
                arrow_scores: np.abs(x @ top),
                subspace_scores: np.linalg.norm(x @ (np.linalg.pinv(unit) @ unit).T, axis=1),
                response_norms: size * np.linalg.norm(x @ unit.T, axis=1),
            }
            expected.append(seen[scores])
        expected = np.stack(expected, axis=1)
        moved = [
            low.regauged(rng.standard_normal((low.width,) * 2) + 3 * np.eye(low.width))
            for low in updates
        ]
        twice = [LowRank(np.hstack([a.up] * 2) / 2, np.vstack([a.down] * 2)) for a in moved]
        for written in (updates, moved, twice):
            found = scores(written)(x)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
        larger = scores([7 * low for low in updates])(x)
        factor = 7 if scores is response_norms else 1
        np.testing.assert_allclose(larger, factor * expected, rtol=1e-6, atol=1e-9)
        assert not scores(updates)(np.zeros((2, 5))).any()


# Softmax over the best few.


def by_loop(scores, top_k, temperature):
    """Token by token, in plain Python."""
    rows = []
    for row in scores.tolist():
        best = sorted(range(len(row)), key=lambda i: (-row[i], i))[:top_k]
        share = {i: np.exp((row[i] - row[best[0]]) / temperature) for i in best}
        rows.append([share.get(i, 0.0) / sum(share.values()) for i in range(len(row))])
    return np.array(rows)


def test_weights_are_a_softmax_over_the_best_few():
    rng = np.random.default_rng(0)
    for k in range(1, 7):
        for temperature in (0.01, 1.0, 100):
            scores = rng.integers(-3, 4, (5, k)) * 0.37  # ties are common
            top_k = int(rng.integers(1, k + 1))
            found = softmax_weights(scores, top_k, temperature)
            np.testing.assert_allclose(found, by_loop(scores, top_k, temperature), rtol=1e-12)
    assert softmax_weights(np.ones((1, 4)), 2).tolist() == [[0.5, 0.5, 0.0, 0.0]]
    assert softmax_weights(np.array([[1e300, 1e300, 0.0]]), 3).tolist() == [[0.5, 0.5, 0.0]]


def test_a_router_agrees_with_the_layer_of_peft_given_exact_prototypes():
    rng, names = np.random.default_rng(4), [f"task_{i}" for i in range(4)]
    updates = [gaussian(rng, 7, 6, 2).map(lambda a: torch.asarray(a).float()) for _ in names]
    scores, config = arrow_scores(updates), ArrowConfig(top_k=2, router_temperature=0.7)
    config.task_adapter_names = names
    layer = ArrowLoraLinearLayer(6, config)
    layer.register_buffer("prototypes", scores.codes, persistent=False)
    down, up = ({name: torch.nn.Linear(*s, bias=False) for name in names} for s in ((6, 2), (2, 7)))
    for name, low in zip(names, updates, strict=True):
        down[name].weight.data, up[name].weight.data = low.down, low.up
    x = torch.asarray(rng.standard_normal((5, 6))).float()
    with torch.no_grad():
        theirs = layer(x, down, up, torch.nn.Identity(), dict.fromkeys(names, 1.0))
    ours = forward(updates, x, Router(scores, top_k=2, temperature=0.7).weights(x))
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)


# Gates: false alarms by count, full strength, independence.


def lengths(updates, x):
    return np.stack([np.linalg.norm(x @ low.dense().T, axis=1) for low in updates], axis=1)


def growing(rng, k=3):
    return [gaussian(rng, 8, 12, 2, 10.0**j) for j in range(k)]


def test_gates_are_order_statistics_or_z_scores_of_dense_responses():
    for seed in range(2):
        rng = np.random.default_rng(seed)
        updates, base = growing(rng), rng.standard_normal((99, 12))
        x = rng.standard_normal((30, 12)) * 2
        seen, fresh = lengths(updates, base), lengths(updates, x)
        on = fresh > np.sort(seen, axis=0)[89]  # ceil(100 * 0.9) = 90th of 99
        np.testing.assert_array_equal(calibrate(updates, base, budget=0.3).weights(x), on)
        for z in (0.5, 3):
            on = (fresh - seen.mean(axis=0)) / seen.std(axis=0) > z
            weights = calibrate_z(updates, base, z=z).weights(x)
            np.testing.assert_array_equal(weights, on)
            for j in range(3):  # adapters do not share
                alone = calibrate_z([updates[j]], base, z=z).weights(x)
                np.testing.assert_array_equal(alone[:, 0], weights[:, j])
        scores, other = standardised(response_norms(updates), base), 5 * x
        np.testing.assert_allclose(scores(base).mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(scores(base).std(axis=0), 1)
        same = standardised(response_norms(updates), base[:1].repeat(7, 0))
        assert np.abs(same(base)).max() < 1e6
        again = standardised(response_norms(updates), other)(base)
        np.testing.assert_allclose(standardised(scores, other)(base), again)


def test_a_silent_adapter_stays_off():
    silent = [LowRank(np.zeros((3, 1)), np.ones((1, 40)))]
    base = np.random.default_rng(6).standard_normal((200, 40))
    for gates in (calibrate(silent, base), calibrate_z(silent, base)):
        assert not gates.weights(base).any()


@pytest.mark.parametrize("backend", MOVES)
def test_everything_is_the_same_in_other_libraries(backend):
    rng, (there, back) = np.random.default_rng(8), MOVES[backend]
    updates = [*growing(rng), gaussian(rng, 8, 12, 0)]
    base, x = rng.standard_normal((99, 12)), 2 * rng.standard_normal((20, 12))
    moved = [low.map(there) for low in updates]
    for scores in SCORES:
        one, other = (scores(low) for low in (updates, moved))
        np.testing.assert_allclose(back(other(there(x))), one(x), rtol=1e-9, atol=1e-12)
        one, other = (Router(score, 2, 0.5) for score in (one, other))
        np.testing.assert_allclose(back(other.weights(there(x))), one.weights(x), rtol=1e-9)
    kinds = [rng.standard_normal((20, 4))]
    for make in (calibrate, calibrate_z):
        kinds.append(make(updates, base).weights(x))
        np.testing.assert_array_equal(back(make(moved, there(base)).weights(there(x))), kinds[-1])
    for weights in kinds:
        found = back(forward(moved, there(x), there(weights)))
        np.testing.assert_allclose(found, forward(updates, x, weights), rtol=1e-12, atol=1e-12)


def test_wrong_input_is_refused_in_words():
    rng = np.random.default_rng(4)
    updates, base = [gaussian(rng, 3, 4, 2) for _ in range(2)], rng.standard_normal((58, 4))
    calibrate(updates, base[:39])  # 39 = 2 / 0.05 - 1 is enough
    nan = base.copy()
    nan[3, 1] = np.nan
    refusals = [
        *((lambda k=k: softmax_weights(np.ones((1, 2)), k), f"top_k is {k} in a") for k in (0, 3)),
        *((lambda t=t: softmax_weights(np.ones((1, 2)), 1, t), f"temperature is {t}")
          for t in (0, -1.0, float("nan"))),
        (lambda: calibrate(updates, base[:38]), r"38 activations .* at least 39"),
        *((lambda b=b: calibrate(updates, base, budget=b), "budget of")
          for b in (0, 1, -0.1, float("nan"))),
        (lambda: calibrate_z(updates, base[:1]), "at least 2"),
        (lambda: forward(updates, base, np.ones((58, 3))), r"shape \(58, 3\), not \(58, 2\)"),
    ]  # fmt: skip
    for refused, message in refusals:
        with pytest.raises(ValueError, match=message):
            refused()
    for make in (lambda: calibrate(updates, nan, budget=0.2), lambda: calibrate_z(updates, nan)):
        with pytest.raises(NotFiniteError, match=r"activations holds nan at position \[3, 1\]"):
            make()
