"""real._tried: which ways a pair is used in, each what its name says."""

import numpy as np
import pytest
import torch
from worded import small_model

from loratheory.adapters import Adapter
from loratheory.experiments.bench.language import way as acts
from loratheory.experiments.bench.rules import coefficients, layer_split, rule
from loratheory.experiments.real._tried import MERGED, tried
from loratheory.lowrank import gaussian
from loratheory.pretrained import next_logits

PROMPTS = ["one two three", "four"]
GRID = (0.25, 0.5, 1.0)


def test_every_way_has_its_strengths_and_layer():
    found = [each[:3] for each in tried((0.5, 1.0), GRID, [2, 3, 5])]
    pairs = [(0.5, 0.5), (1.0, 1.0), (0.25, 1.0), (1.0, 0.25), (0.5, 1.0), (1.0, 0.5)]
    full = (1.0, 1.0)
    assert found[:6] == [("sum", both, -1) for both in pairs]
    assert found[6:12] == [
        (way, full, k) for k in (2, 3, 5) for way in ("layer split", "reversed layer split")
    ]
    assert [layer for _, _, layer in found[12:20]] == [3] * 8
    last = ["ties", "knots", "interpolating", "arrow, peft"]
    routers = ["arrow", "gates, z = 2", "block gates, z = 2"]
    assert found[20:] == [(way, full, -1) for way in (*last, *routers)]
    few = [each[:3] for each in tried(GRID, GRID, [])]
    assert few == [("sum", (c, c), -1) for c in GRID] + [(way, full, -1) for way in routers]


@pytest.fixture(scope="module")
def said():
    model = small_model(layers=4)
    rng = np.random.default_rng(0)
    names = [f"model.layers.{i}.mlp.down_proj" for i in range(4)]
    library = [Adapter.of({n: gaussian(rng, 16, 16, 2, 0.5) for n in names}) for _ in range(2)]

    def _said(way):
        with way(model, library):
            return next_logits(model, PROMPTS)

    return _said


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("reversed layer split", acts(layer_split(1, "above", "below"))),
        ("hop 1 above", acts(layer_split(1, "above", "all"))),
        ("hop 2 above, alone", acts(layer_split(1, "none", "above"))),
        ("arrow, peft", acts(rule("arrow, peft"))),
        ("block gates, z = 2", acts(rule("block gates, z = 2", level=2))),
        ("knots", MERGED["knots"]),
    ],
)
def test_ways_do_what_they_are_called(said, name, same):
    [way] = [way for each, _, _, way in tried((), (), [1]) if each == name]
    assert torch.equal(said(way), said(same))


def test_strengths_are_those_of_the_adapters(said):
    for name, both, _, way in tried((0.5,), GRID, [1]):
        if name == "sum":
            assert torch.equal(said(way), said(acts(coefficients(*both))))
