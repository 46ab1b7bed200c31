"""_step: passes add up, and what stops a step is named."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from letters import EXAMPLES, SMALL, draws, model

from loratheory.pretrained import TrainingError, _train, trained
from loratheory.pretrained._ask import first_tokens
from loratheory.pretrained._train import order, step
from loratheory.pretrained._trainable import targets, trainable


def test_passes_change_the_result_by_rounding_only():
    how = replace(SMALL, batch=5)
    whole, parts = (
        trained(model(), EXAMPLES, replace(how, accumulate=count), rng=draws()) for count in (1, 2)
    )
    np.testing.assert_allclose(whole.losses, parts.losses, rtol=1e-3)
    for name in whole.adapter:
        one, two = whole.adapter[name].dense(), parts.adapter[name].dense()
        np.testing.assert_allclose(one, two, rtol=0.01, atol=1e-4)


def test_a_step_starts_from_no_gradient_and_ends_with_a_clipped_one():
    base, how = model(), replace(SMALL, clip=0.01)
    one = trainable(base, targets(base, None, ()), 2, 3.0, draws())
    still, found = torch.optim.SGD(one.tensors, lr=0.0), []
    answers = first_tokens(base, [answer for _, answer in EXAMPLES])
    with one.acting():
        for _ in range(2):
            step(base, one, still, EXAMPLES, answers, [0, 2, 4], how)
            found.append(torch.cat([factor.grad.flatten() for factor in one.tensors]))
    assert torch.equal(*found)
    assert found[0].norm().item() == pytest.approx(0.01, rel=1e-3)


def test_a_base_that_could_be_trained_gets_no_gradient():
    base = model()
    base.network.requires_grad_(True)
    trained(base, EXAMPLES, SMALL, rng=draws())
    assert all(weight.grad is None for weight in base.network.parameters())


def test_a_gradient_that_is_not_finite_stops_it_too(monkeypatch):
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(torch.inf))
    with pytest.raises(TrainingError, match="after 0 steps the gradient is not finite"):
        trained(model(), EXAMPLES, SMALL, rng=draws())


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory: 9 bytes")],
)
def test_spent_memory_says_what_to_lower(error, monkeypatch):
    def _spent(*_):
        raise error

    monkeypatch.setattr(_train, "last_logits", _spent)
    with pytest.raises(TrainingError, match="at 2 prompts a pass: raise accumulate from 2"):
        trained(model(), EXAMPLES, replace(SMALL, accumulate=2), rng=draws())


def test_other_errors_of_the_network_stay_themselves(monkeypatch):
    def _other(*_):
        message = "shapes do not fit"
        raise RuntimeError(message)

    monkeypatch.setattr(_train, "last_logits", _other)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        trained(model(), EXAMPLES, SMALL, rng=draws())


def test_the_series_holds_every_example_once_a_round():
    long = order(3, 5, 0, 23)
    assert [order(3, 5, start, 4) for start in (0, 4, 8)] == [long[i : i + 4] for i in (0, 4, 8)]
    assert all(sorted(long[i : i + 5]) == [0, 1, 2, 3, 4] for i in range(0, 20, 5))
    assert long[:5] != long[5:10]


def test_half_precision_is_for_gpus_alone(monkeypatch):
    told = []
    real = torch.autocast

    def _seen(kind, dtype, *, enabled):
        told.append((kind, dtype, enabled))
        return real("cpu", dtype, enabled=False)

    monkeypatch.setattr(torch, "autocast", _seen)
    base = model()
    trained(base, EXAMPLES, replace(SMALL, steps=1), rng=draws())
    assert told == [("cpu", torch.bfloat16, False)]
