"""_scores: three scores by dense routes, their blind spots, their symmetries."""

from dataclasses import replace

import array_api_strict
import numpy as np
import pytest
import torch
from hypothesis import given
from strategies import seeds, sides

from loratheory.adapters import arrow_scores, response_scores, subspace_scores
from loratheory.lowrank import LowRank, gaussian, orthonormal, regauge, with_spectrum

ALL = [arrow_scores, subspace_scores, response_scores]
DEVICE = array_api_strict.Device("device1")


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
        regauge(low, rng.standard_normal((low.width,) * 2) + 3 * np.eye(low.width))
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
def test_wrong_input_is_refused_in_words(scores):
    rng = np.random.default_rng(5)
    with pytest.raises(ValueError, match="empty library"):
        scores([])
    with pytest.raises(ValueError, match=r"widths \[4, 5\]"):
        scores([gaussian(rng, 3, 4, 1), gaussian(rng, 3, 5, 1)])
    with pytest.raises(ValueError, match=r"shape \(2, 5\), the updates read 4 inputs"):
        scores([gaussian(rng, 3, 4, 1)])(np.ones((2, 5)))
