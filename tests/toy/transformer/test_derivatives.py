"""_derivatives: written by hand, checked against finite differences and plain formulas."""

import torch
from torch.autograd import gradcheck

from loratheory.toy.transformer._derivatives import low_rank_image, unit_rms


def drawn(*shape, seed=0):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()
    return x.requires_grad_()


def test_rows_come_out_at_rms_one():
    unit = unit_rms(drawn(3, 4, 5) * 1e3)
    torch.testing.assert_close(unit.pow(2).mean(-1), torch.ones(3, 4).double())
    torch.testing.assert_close(unit_rms(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_the_norm_keeps_directions():
    x = drawn(3, 5)
    torch.testing.assert_close(
        unit_rms(x), x / x.pow(2).mean(-1, keepdim=True).sqrt(), rtol=1e-5, atol=0
    )


def test_the_norm_has_the_derivative_of_finite_differences():
    assert gradcheck(unit_rms, drawn(3, 4, 5))


def test_the_image_is_that_of_the_dense_update():
    x, up, down = drawn(2, 5, 4), drawn(2, 6, 3, seed=1), drawn(2, 3, 4, seed=2)
    dense = torch.einsum("emr,ern,etn->etm", up, down, x) * 0.7
    torch.testing.assert_close(low_rank_image(x, up, down, 0.7), dense)


def test_the_image_has_the_derivatives_of_finite_differences():
    given = drawn(2, 5, 4), drawn(2, 6, 3, seed=1), drawn(2, 3, 4, seed=2)
    assert gradcheck(lambda *factors: low_rank_image(*factors, 0.7), given)


def test_no_derivative_is_made_that_nobody_asked_for():
    x, up, down = drawn(1, 5, 4).detach(), drawn(1, 6, 3, seed=1), drawn(1, 3, 4, seed=2)
    low_rank_image(x, up, down, 2).sum().backward()
    assert x.grad is None
    assert up.grad.shape == up.shape
