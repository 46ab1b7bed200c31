"""_attention: sums over distances equal softmax attention under an explicit mask."""

import pytest
import torch
import torch.nn.functional as F
from decoders import rope, visible

from loratheory.toy.transformer import Config
from loratheory.toy.transformer._attention import attended, rotated


def drawn(length, width=12, sequences=5):
    generator = torch.Generator().manual_seed(length)
    draw = [torch.randn(sequences, length, width, generator=generator) for _ in range(3)]
    return [x.double() * 2 for x in draw]


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("window", [None, 1, 2, 4, 9])
@pytest.mark.parametrize("position", ["none", "rope"])
def test_it_is_softmax_attention_under_the_mask(length, window, position):
    config = Config(vocabulary=3, width=12, heads=3, window=window, position=position)
    given = drawn(length)
    query, key, value = (x.unflatten(-1, (3, 4)).transpose(1, 2) for x in given)
    if position == "rope":
        query, key = rope(query), rope(key)
    plain = F.scaled_dot_product_attention(query, key, value, attn_mask=visible(length, window))
    ours = attended(config, *given)
    torch.testing.assert_close(ours, plain.transpose(1, 2).flatten(2), rtol=1e-10, atol=1e-12)


def test_rotation_shows_the_distance_alone():
    """Equal vectors at all places: a score depends on how far apart they are."""
    query, key = (x.unflatten(-1, (3, 4)) for x in drawn(6)[:2])
    query, key = (rotated(x[:1, :1].expand(1, 6, 3, 4)) for x in (query, key))
    scores = torch.einsum("rihc,rjhc->rhij", query, key)
    for shift in range(1, 5):
        torch.testing.assert_close(scores[..., shift:, shift:], scores[..., :-shift, :-shift])
    assert not torch.allclose(scores[..., 0, 0], scores[..., 1, 0])


def test_a_window_of_one_reads_oneself():
    query, key, value = drawn(4)
    config = Config(vocabulary=3, width=12, heads=3, window=1)
    torch.testing.assert_close(attended(config, query, key, value), value)


@pytest.mark.parametrize("window", [None, 2])
def test_derivatives_are_those_of_finite_differences(window):
    config = Config(vocabulary=3, width=4, heads=2, window=window, position="rope")
    given = [x.requires_grad_() for x in drawn(3, width=4, sequences=2)]
    assert torch.autograd.gradcheck(lambda *x: attended(config, *x), given)
