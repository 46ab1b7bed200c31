"""Scores, routers, gates and mixed outputs, token by token."""

import tracemalloc
from dataclasses import replace

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies import seeds, sides

from loratheory.adapters import (
    Router,
    arrow_scores,
    calibrate,
    calibrate_z,
    forward,
    response_scores,
    softmax_weights,
    standardised,
    subspace_scores,
)
from loratheory.lowrank import (
    LowRank,
    NotFiniteError,
    gaussian,
    orthonormal,
    total,
    with_spectrum,
)

# _shelf: outputs mixed after the product, by a second route, without the big array.


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


# _scores: three scores by dense routes, their blind spots, their symmetries.


ALL = [arrow_scores, subspace_scores, response_scores]


def shelf_of(rng, m, n, k=3):
    """Updates of ranks 0 to 3 with well separated singular values, over 12 decades."""
    scales = 10.0 ** rng.integers(-6, 7, k)
    ranks = rng.integers(0, min(m, n, 3) + 1, k)
    return [
        with_spectrum(rng, m, n, (s * 2.0 ** -np.arange(r)).tolist())
        for s, r in zip(scales, ranks, strict=True)
    ]


def test_hand_example():
    # reads e1 with strength 3 and e2 with strength 1: at (3, 4, 5) Arrow sees 3, the span 5
    low = LowRank(np.diag([3.0, 1.0]), np.eye(3)[:2])
    x = np.array([[3.0, 4.0, 5.0]])
    assert arrow_scores([low])(x) == pytest.approx(3.0)
    assert subspace_scores([low])(x) == pytest.approx(5.0)
    assert response_scores([low])(x) == pytest.approx(np.hypot(9, 4))


@given(seeds, sides, sides)
def test_scores_match_dense_routes(seed, m, n):
    rng = np.random.default_rng(seed)
    updates, x = shelf_of(rng, m, n), rng.standard_normal((4, n))
    for i, low in enumerate(updates):
        dense = low.dense() if low.width else np.zeros((m, n))
        size = np.linalg.norm(dense, 2)
        top = np.linalg.svd(dense)[2][0] if size else np.zeros(n)
        projector = np.linalg.pinv(dense / size) @ dense / size if size else np.zeros((n, n))
        close = {"rtol": 1e-9, "atol": 1e-9}
        assert np.allclose(arrow_scores(updates)(x)[:, i], np.abs(x @ top), **close)
        assert np.allclose(
            subspace_scores(updates)(x)[:, i], np.linalg.norm(x @ projector.T, axis=1), **close
        )
        assert np.allclose(
            response_scores(updates)(x)[:, i],
            np.linalg.norm(x @ dense.T, axis=1),
            rtol=1e-9,
            atol=1e-12 * size,
        )


@pytest.mark.parametrize("scores", ALL)
@given(seed=seeds)
def test_scores_do_not_depend_on_the_factorisation(scores, seed):
    rng = np.random.default_rng(seed)
    updates, x = shelf_of(rng, 6, 5), rng.standard_normal((4, 5))
    moved = [
        low.regauged(rng.standard_normal((low.width,) * 2) + 3 * np.eye(low.width))
        for low in updates
    ]
    wide = [LowRank(np.hstack([low.up, low.up]) / 2, np.vstack([low.down] * 2)) for low in moved]
    expected = scores(updates)(x)
    assert np.allclose(scores(moved)(x), expected, rtol=1e-6, atol=1e-6 * (1 + expected.max()))
    assert np.allclose(scores(wide)(x), expected, rtol=1e-6, atol=1e-6 * (1 + expected.max()))


@given(seeds)
def test_arrow_and_the_projection_ignore_strength_and_the_response_does_not(seed):
    rng = np.random.default_rng(seed)
    updates, x = shelf_of(rng, 6, 5), rng.standard_normal((4, 5))
    strong = [7 * low for low in updates]
    assert np.allclose(arrow_scores(strong)(x), arrow_scores(updates)(x), atol=1e-10)
    assert np.allclose(subspace_scores(strong)(x), subspace_scores(updates)(x), atol=1e-10)
    assert np.allclose(response_scores(strong)(x), 7 * response_scores(updates)(x), rtol=1e-10)


@pytest.mark.parametrize("scores", ALL)
def test_the_cosine_form_divides_by_the_length_of_the_token(scores):
    rng = np.random.default_rng(0)
    updates, x = shelf_of(rng, 6, 5), 9 * rng.standard_normal((4, 5))
    x[1] /= 1000
    length = np.linalg.norm(x, axis=1, keepdims=True)
    assert np.allclose(scores(updates, cosine=True)(x), scores(updates)(x) / length, rtol=1e-12)
    assert not scores(updates, cosine=True)(np.zeros((2, 5))).any()


def test_lengths_are_shifted_then_divided_by_the_spread():
    low = LowRank(np.diag([3.0, 1.0]), np.eye(3)[:2])
    moved = replace(subspace_scores([low]), shift=np.array([1.0]), spread=np.array([2.0]))
    assert moved(np.array([[3.0, 4.0, 5.0]])) == pytest.approx((5 - 1) / 2)


def test_arrow_is_blind_to_every_edited_key_but_the_strongest():
    """Orthonormal keys and answers, distinct strengths: the other keys score 0, not little."""
    rng = np.random.default_rng(1)
    strength = np.array([4.0, 3.0, 2.0, 1.0])
    keys = orthonormal(rng, 24, 12).T.reshape(3, 4, 24)
    updates = [LowRank(orthonormal(rng, 20, 4) * strength, own) for own in keys]
    arrow, span, answer = (make(updates)(keys.reshape(12, 24)) for make in ALL)
    own = np.repeat(np.eye(3), 4, axis=0)
    top = own * np.tile([1.0, 0.0, 0.0, 0.0], 3)[:, None]
    assert np.allclose(arrow, top, rtol=0, atol=1e-14)
    assert np.allclose(span, own, rtol=0, atol=1e-14)
    assert np.allclose(answer, own * np.tile(strength, 3)[:, None], rtol=0, atol=1e-13)


def test_arrow_takes_a_tiny_adapter_that_points_the_right_way():
    down = np.eye(3)
    tiny, large = LowRank(1e-9 * down[:, :1], down[:1]), LowRank(down[:, :1], down[1:2])
    x = np.array([[1.0, 0.9, 0.0]])
    assert np.argmax(arrow_scores([tiny, large])(x)) == 0
    assert np.argmax(response_scores([tiny, large])(x)) == 1


def test_power_iteration_misses_a_flat_spectrum_that_the_core_resolves():
    """PEFT's own prototype, 15 steps, on the spectrum 0.99^i."""
    peft = pytest.importorskip("peft.tuners.lora.arrow")
    from peft.tuners.lora.config import ArrowConfig

    config = ArrowConfig(rng_seed=0)
    config.task_adapter_names = []
    layer = peft.ArrowLoraLinearLayer(64, config)
    rng = np.random.default_rng(2)
    ours, theirs = [], []
    for _ in range(40):
        low = with_spectrum(rng, 64, 64, (0.99 ** np.arange(8)).tolist())
        top = np.linalg.svd(low.dense())[2][:1]
        single = low.map(lambda array: torch.asarray(array).float())
        ours.append(arrow_scores([low])(top).item())
        found = layer.top_right_singular_vec_from_BA(single.down, single.up).numpy()
        theirs.append(abs(found @ top[0]))
    assert min(ours) > 1 - 1e-12
    assert np.median(theirs) < 0.95


@pytest.mark.parametrize("scores", ALL)
def test_scores_are_the_same_everywhere(scores):
    rng = np.random.default_rng(3)
    updates, x = shelf_of(rng, 6, 5), rng.standard_normal((4, 5))
    expected = scores(updates, cosine=True)(x)
    room = 1e-12 * expected.max()
    on_torch = scores([low.map(torch.asarray) for low in updates], cosine=True)(torch.asarray(x))
    assert np.allclose(on_torch.numpy(), expected, rtol=1e-9, atol=room)
    there = [low.map(lambda a: array_api_strict.asarray(a, device=DEVICE)) for low in updates]
    strict = scores(there, cosine=True)(array_api_strict.asarray(x, device=DEVICE))
    back = strict.to_device(array_api_strict.Device("CPU_DEVICE"))
    assert np.allclose(np.asarray(back), expected, rtol=1e-9, atol=room)


def test_half_precision_is_scored_in_single():
    low = gaussian(np.random.default_rng(4), 4, 3, 2).map(lambda a: torch.asarray(a).bfloat16())
    x = torch.ones((2, 3), dtype=torch.bfloat16)
    seen = response_scores([low])(x)
    exact = low.map(torch.Tensor.double).dense()
    assert seen.dtype == torch.float32
    assert torch.allclose(seen[:, 0].double(), torch.linalg.norm(x.double() @ exact.T, dim=1))


@pytest.mark.parametrize("scores", ALL)
def test_wrong_input_is_refused_in_words_scores(scores):
    rng = np.random.default_rng(5)
    with pytest.raises(ValueError, match="empty library"):
        scores([])
    with pytest.raises(ValueError, match=r"widths \[4, 5\]"):
        scores([gaussian(rng, 3, 4, 1), gaussian(rng, 3, 5, 1)])
    with pytest.raises(ValueError, match=r"shape \(2, 5\), the updates read 4 inputs"):
        scores([gaussian(rng, 3, 4, 1)])(np.ones((2, 5)))


# _route: softmax over the best few by a loop; what Arrow's router cannot see.


def by_loop(scores, top_k, temperature):
    """Token by token, in plain Python."""
    rows = []
    for row in scores.tolist():
        best = sorted(range(len(row)), key=lambda i: (-row[i], i))[:top_k]
        share = {i: np.exp((row[i] - row[best[0]]) / temperature) for i in best}
        rows.append([share.get(i, 0.0) / sum(share.values()) for i in range(len(row))])
    return np.array(rows)


@given(seeds, st.integers(1, 6), st.sampled_from([0.01, 1.0, 100]))
def test_weights_are_a_softmax_over_the_best_few(seed, k, temperature):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 4, (5, k)) * rng.choice([1.0, 0.37])  # ties are common
    top_k = int(rng.integers(1, k + 1))
    weights = softmax_weights(scores, top_k, temperature)
    assert np.allclose(weights, by_loop(scores, top_k, temperature), rtol=1e-12)
    assert np.allclose(weights.sum(axis=1), 1.0)


def test_ties_keep_exactly_top_k_and_go_left():
    assert softmax_weights(np.ones((1, 4)), 2).tolist() == [[0.5, 0.5, 0.0, 0.0]]


def test_huge_scores_do_not_overflow():
    assert softmax_weights(np.array([[1e300, 1e300, 0.0]]), 3).tolist() == [[0.5, 0.5, 0.0]]


def test_every_backend_weighs_alike():
    scores = np.random.default_rng(0).standard_normal((6, 5))
    expected = softmax_weights(scores, 3, 0.5)
    assert np.allclose(softmax_weights(torch.asarray(scores), 3, 0.5).numpy(), expected)
    strict = softmax_weights(array_api_strict.asarray(scores, device=DEVICE), 3, 0.5)
    back = strict.to_device(array_api_strict.Device("CPU_DEVICE"))
    assert np.allclose(np.asarray(back), expected)


@pytest.mark.parametrize(("size", "facts"), [(4, 8), (8, 4)])
def test_arrow_routes_one_key_in_n_and_guesses_the_rest(size, facts):
    """Accuracy 1/N + (1 - 1/N)/E for small noise, where span and response make no error."""
    rng = np.random.default_rng(2)
    keys = orthonormal(rng, 64, size * facts).T.reshape(size, facts, 64)
    strength = 2.0 - np.arange(facts) / facts
    updates = [LowRank(orthonormal(rng, 40, facts) * strength, own) for own in keys]
    rounds = 60
    x = np.tile(keys.reshape(-1, 64), (rounds, 1)) + 1e-6 * rng.standard_normal(
        (rounds * size * facts, 64)
    )
    owner = np.tile(np.repeat(np.arange(size), facts), rounds)

    def accuracy(scores):
        return np.mean(Router(scores(updates)).weights(x)[np.arange(len(x)), owner])

    expected = 1 / facts + (1 - 1 / facts) / size
    assert accuracy(arrow_scores) == pytest.approx(expected, abs=5 * 0.5 / np.sqrt(len(x)))
    assert accuracy(subspace_scores) == 1.0
    assert accuracy(response_scores) == 1.0


def test_arrow_makes_no_error_on_adapters_of_one_fact():
    """The control of the blind spot: rank 1."""
    rng = np.random.default_rng(3)
    keys = orthonormal(rng, 16, 5).T
    updates = [LowRank(rng.standard_normal((8, 1)), key[None]) for key in keys]
    x = keys + 0.01 * rng.standard_normal(keys.shape)
    assert np.array_equal(Router(arrow_scores(updates)).weights(x), np.eye(5))


def test_a_router_agrees_with_the_layer_of_peft_given_exact_prototypes():
    peft = pytest.importorskip("peft.tuners.lora.arrow")
    from peft.tuners.lora.config import ArrowConfig

    rng = np.random.default_rng(4)
    names = [f"task_{i}" for i in range(4)]
    updates = [gaussian(rng, 7, 6, 2).map(lambda a: torch.asarray(a).float()) for _ in names]
    scores = arrow_scores(updates)
    config = ArrowConfig(top_k=2, router_temperature=0.7)
    config.task_adapter_names = names
    layer = peft.ArrowLoraLinearLayer(6, config)
    layer.register_buffer("prototypes", scores.codes, persistent=False)
    linear = torch.nn.Linear
    down = {name: linear(6, 2, bias=False) for name in names}
    up = {name: linear(2, 7, bias=False) for name in names}
    for name, low in zip(names, updates, strict=True):
        down[name].weight.data, up[name].weight.data = low.down, low.up
    x = torch.asarray(rng.standard_normal((5, 6))).float()
    with torch.no_grad():
        theirs = layer(x, down, up, torch.nn.Identity(), dict.fromkeys(names, 1.0))
    ours = forward(updates, x, Router(scores, top_k=2, temperature=0.7).weights(x))
    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_wrong_input_is_refused_in_words_route():
    scores = arrow_scores([gaussian(np.random.default_rng(5), 3, 4, 1) for _ in range(2)])
    for make, message in [
        (lambda: Router(scores, top_k=0), "top_k is 0 in a library of 2"),
        (lambda: Router(scores, top_k=3), "top_k is 3 in a library of 2"),
        (lambda: Router(scores, temperature=0), "temperature is 0"),
        (lambda: Router(scores, temperature=-1.0), "temperature is -1.0"),
        (lambda: Router(scores, temperature=float("nan")), "temperature is nan"),
        (lambda: softmax_weights(np.ones((1, 2)), 3), "top_k is 3"),
        (lambda: Router(scores).weights(np.ones((1, 3))), "read 4 inputs"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()


# _gates: false alarms by count, full strength, independence.


def shelf_of_gates(rng, k=3, n=12):
    return [gaussian(rng, 8, n, 2, 10.0**j) for j in range(k)]


def test_false_alarms_meet_the_budget():
    """One fresh activation per calibration, 800 times: binomial, to one in a billion."""
    rng = np.random.default_rng(0)
    updates, trials, count, budget = shelf_of_gates(rng), 800, 59, 0.1
    fired = np.zeros(3)
    for _ in range(trials):
        x = rng.standard_t(3, (count + 1, 12))  # heavy tails: no law is assumed
        fired += calibrate(updates, x[:-1], budget=budget).weights(x[-1:])[0]
    exact = 2 / (count + 1)  # place 58 of 59: beaten by a fresh one with probability 2/60
    assert exact <= budget / 3
    low, high = stats.binom.ppf([1e-9, 1 - 1e-9], trials, exact)
    assert np.all((low <= fired) & (fired <= high))


def test_the_shelf_together_stays_within_the_budget():
    rng = np.random.default_rng(1)
    updates = shelf_of_gates(rng, k=8)
    gates = calibrate(updates, rng.standard_normal((4000, 12)), budget=0.2)
    fresh = gates.weights(rng.standard_normal((4000, 12)))
    any_fires = int(fresh.any(axis=1).sum())
    assert any_fires <= stats.binom.ppf(1 - 1e-9, 4000, 0.2) + 5 * np.sqrt(4000 * 0.2)
    assert any_fires >= 0.4 * 0.2 * 4000  # not idle either


@given(seeds)
def test_a_gate_is_an_order_statistic_of_its_own_responses(seed):
    """By another road: dense responses, sorted by hand."""
    rng = np.random.default_rng(seed)
    updates, base = shelf_of_gates(rng), rng.standard_normal((99, 12))
    x = rng.standard_normal((20, 12)) * 2
    weights = calibrate(updates, base, budget=0.3).weights(x)
    for j, low in enumerate(updates):
        seen = np.sort(np.linalg.norm(base @ low.dense().T, axis=1))
        on = np.linalg.norm(x @ low.dense().T, axis=1) > seen[89]  # ceil(100 * 0.9) = 90th of 99
        assert np.array_equal(weights[:, j], on.astype(float))


@given(seeds)
def test_gates_are_on_at_full_strength_or_off_and_do_not_share(seed):
    rng = np.random.default_rng(seed)
    updates, base = shelf_of_gates(rng), rng.standard_normal((100, 12))
    x = 3 * rng.standard_normal((30, 12))
    weights = calibrate_z(updates, base, z=1).weights(x)
    assert set(np.unique(weights)) <= {0.0, 1.0}
    assert {0, 2} <= set(weights.sum(axis=1)) | {0, 2}
    for j in range(3):
        alone = calibrate_z([updates[j]], base, z=1).weights(x)
        assert np.array_equal(alone[:, 0], weights[:, j])


def test_two_adapters_that_know_one_key_are_both_on_and_the_base_token_is_left_alone():
    rng = np.random.default_rng(2)
    keys = orthonormal(rng, 40, 5).T
    updates = [LowRank(orthonormal(rng, 30, 3), keys[a : a + 3]) for a in (0, 2)]
    base = rng.standard_normal((500, 40)) / np.sqrt(40)
    gates = calibrate(updates, base, budget=0.02)
    assert gates.weights(keys).tolist() == [[1, 0], [1, 0], [1, 1], [0, 1], [0, 1]]
    out = forward(updates, keys, gates.weights(keys))
    assert np.allclose(out[2], updates[0] @ keys[2] + updates[1] @ keys[2])
    assert np.allclose(out[0], updates[0] @ keys[0])


def test_softmax_of_the_same_scores_halves_what_gates_leave_whole():
    """The control: weights on a simplex cannot leave two adapters at full strength."""
    rng = np.random.default_rng(3)
    keys = orthonormal(rng, 40, 1).T
    updates = [LowRank(orthonormal(rng, 30, 1), keys) for _ in range(2)]
    weights = Router(response_scores(updates), top_k=2).weights(keys)
    assert np.allclose(weights, 0.5)


def test_calibrating_on_the_edited_prompts_themselves_switches_the_adapter_off():
    """The control: the threshold then sits where the edits answer."""
    rng = np.random.default_rng(4)
    keys = orthonormal(rng, 40, 4).T
    updates = [LowRank(orthonormal(rng, 30, 4), keys)]
    base, own = rng.standard_normal((400, 40)) / np.sqrt(40), np.tile(keys, (100, 1))
    assert calibrate(updates, base, budget=0.05).weights(keys).all()
    assert not calibrate(updates, own + 0.01 * base, budget=0.05).weights(keys).all()


@given(seeds)
def test_standardised_scores_have_mean_zero_and_deviation_one_whatever_went_before(seed):
    rng = np.random.default_rng(seed)
    updates, base = shelf_of_gates(rng), rng.standard_normal((50, 12))
    scores = standardised(response_scores(updates), base)
    assert np.allclose(scores(base).mean(axis=0), 0, atol=1e-9)
    assert np.allclose(scores(base).std(axis=0), 1)
    other = rng.standard_normal((50, 12)) * 5
    twice = standardised(scores, other)
    assert np.allclose(twice(base), standardised(response_scores(updates), other)(base))


def test_z_gates_open_where_the_z_score_is_above():
    rng = np.random.default_rng(5)
    updates, base = shelf_of_gates(rng), rng.standard_normal((200, 12))
    x = 2 * rng.standard_normal((40, 12))
    seen = np.stack([np.linalg.norm(base @ low.dense().T, axis=1) for low in updates], axis=1)
    here = np.stack([np.linalg.norm(x @ low.dense().T, axis=1) for low in updates], axis=1)
    for z in (0.5, 3):
        on = (here - seen.mean(axis=0)) / seen.std(axis=0) > z
        assert np.array_equal(calibrate_z(updates, base, z=z).weights(x), on.astype(float))


def test_the_standardised_best_is_the_adapter_that_stands_out_not_the_loudest():
    rng = np.random.default_rng(6)
    keys = orthonormal(rng, 40, 2).T
    quiet, loud = LowRank(np.ones((3, 1)), keys[:1]), LowRank(100 * np.ones((3, 1)), keys[1:])
    base = rng.standard_normal((200, 40)) / np.sqrt(40)
    x = keys[:1] + 0.1 * keys[1:]
    scores = response_scores([quiet, loud])
    assert Router(scores).weights(x).tolist() == [[0, 1]]
    assert Router(standardised(scores, base)).weights(x).tolist() == [[1, 0]]


def test_a_silent_adapter_stays_off():
    updates = [LowRank(np.zeros((3, 1)), np.ones((1, 4)))]
    base = np.random.default_rng(7).standard_normal((50, 4))
    assert not calibrate(updates, base).weights(base).any()
    assert not calibrate_z(updates, base).weights(base).any()
    assert np.isfinite(standardised(subspace_scores(updates), base)(base)).all()


def test_gates_are_the_same_everywhere():
    rng = np.random.default_rng(8)
    updates, base = shelf_of_gates(rng), rng.standard_normal((99, 12))
    x = 2 * rng.standard_normal((20, 12))
    for make in (calibrate, calibrate_z):
        expected = make(updates, base).weights(x)
        there = make([low.map(torch.asarray) for low in updates], torch.asarray(base))
        assert np.array_equal(there.weights(torch.asarray(x)).numpy(), expected)

        def strict(array):
            return array_api_strict.asarray(array, device=DEVICE)

        there = make([low.map(strict) for low in updates], strict(base))
        back = there.weights(strict(x)).to_device(array_api_strict.Device("CPU_DEVICE"))
        assert np.array_equal(np.asarray(back), expected)


def test_wrong_input_is_refused_in_words_gates():
    rng = np.random.default_rng(9)
    updates, base = shelf_of_gates(rng), rng.standard_normal((58, 12))
    calibrate(updates, np.vstack([base, base[:1]]), budget=0.05)  # 59 = 3 / 0.05 - 1 is enough
    with pytest.raises(ValueError, match=r"58 activations .* at least 59"):
        calibrate(updates, base, budget=0.05)
    for budget in (0, 1, -0.1, float("nan")):
        with pytest.raises(ValueError, match="budget of"):
            calibrate(updates, base, budget=budget)
    with pytest.raises(ValueError, match="empty library"):
        calibrate([], base)
    with pytest.raises(ValueError, match="read 12 inputs"):
        calibrate(updates, np.ones((100, 11)))
    with pytest.raises(ValueError, match="at least 2"):
        calibrate_z(updates, base[:1])
    base[3, 4] = np.nan
    for make in (lambda: calibrate(updates, base, budget=0.2), lambda: calibrate_z(updates, base)):
        with pytest.raises(NotFiniteError, match=r"activations holds nan at position \[3, 4\]"):
            make()
