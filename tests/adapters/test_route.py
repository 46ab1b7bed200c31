"""_route: softmax over the best few by a loop; what Arrow's router cannot see."""

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory.adapters import (
    Router,
    arrow_scores,
    forward,
    oracle_weights,
    response_scores,
    softmax_weights,
    subspace_scores,
    uniform_weights,
)
from loratheory.lowrank import LowRank, gaussian, orthonormal, total

DEVICE = array_api_strict.Device("device1")


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
    index = array_api_strict.asarray([1, 0, -1], device=DEVICE)
    assert oracle_weights(index, 2).device == DEVICE
    assert uniform_weights(array_api_strict.ones((3, 4), device=DEVICE), 2).device == DEVICE


def test_equal_weights_act_as_the_mean_and_the_oracle_as_one_adapter():
    rng = np.random.default_rng(1)
    updates, x = [gaussian(rng, 4, 3, 2) for _ in range(3)], rng.standard_normal((5, 3))
    mean = (total(updates) / 3).dense()
    assert np.allclose(forward(updates, x, uniform_weights(x, 3)), x @ mean.T)
    out = forward(updates, x, oracle_weights(np.array([2, 0, -1, 1, 2]), 3))
    for token, chosen in enumerate([2, 0, None, 1, 2]):
        expected = 0 * out[token] if chosen is None else updates[chosen] @ x[token]
        assert np.allclose(out[token], expected)


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


def test_wrong_input_is_refused_in_words():
    scores = arrow_scores([gaussian(np.random.default_rng(5), 3, 4, 1) for _ in range(2)])
    for make, message in [
        (lambda: Router(scores, top_k=0), "top_k is 0 in a library of 2"),
        (lambda: Router(scores, top_k=3), "top_k is 3 in a library of 2"),
        (lambda: Router(scores, temperature=0), "temperature is 0"),
        (lambda: Router(scores, temperature=-1.0), "temperature is -1.0"),
        (lambda: Router(scores, temperature=float("nan")), "temperature is nan"),
        (lambda: softmax_weights(np.ones((1, 2)), 3), "top_k is 3"),
        (lambda: Router(scores).weights(np.ones((1, 3))), "read 4 inputs"),
        (lambda: uniform_weights(np.ones((1, 2)), 0), "library of 0"),
        (lambda: oracle_weights(np.array([0, 2]), 2), "from 0 to 2 in a library of 2"),
        (lambda: oracle_weights(np.array([-2, 1]), 2), "from -2 to 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
