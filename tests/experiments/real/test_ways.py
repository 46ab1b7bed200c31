"""real._ways: each way is what its name says, by coefficients set by hand."""

import numpy as np
import pytest
import torch
from worded import small_model

from loratheory.adapters import Adapter, arrow_scores, merge
from loratheory.experiments.real import _ways as ways
from loratheory.lowrank import gaussian
from loratheory.pretrained import GENERIC, attached, batch, inputs, next_logits

MUTANTS = [
    ("1 / len(library)", "1.0"),
    ("(1, 0) if wrong else (0, 1)", "(0, 1)"),
    ("acting.layers >= layer, low::2", "acting.layers > layer, low::2"),
    ("acting.layers < layer, high::2", "acting.layers < layer, high::3"),
    ("density=0.2", "density=1.0"),
    ("Router(arrow_scores(low))", "Router(arrow_scores(low), temperature=1.0, top_k=2)"),
    ("attached(model, library, 0.0)", "attached(model, library, 1.0)"),
    ("acting.set(1.0)", "acting.set(0.5)"),
    ("z=z)", "z=0)"),
    ("return acting if layer is None else", "return acting if True else"),
]
PROMPTS = ["one two three", "four", GENERIC[0]]


@pytest.fixture(scope="module")
def model():
    return small_model(layers=4)


@pytest.fixture(scope="module")
def library():
    rng = np.random.default_rng(0)
    names = [f"model.layers.{i}.mlp.down_proj" for i in range(4)]
    return [Adapter.of({n: gaussian(rng, 16, 16, 2, 0.5) for n in names}) for _ in range(4)]


def says(model, library, way):
    with way(model, library):
        return next_logits(model, PROMPTS)


def by_hand(model, library, coefficients):
    with attached(model, library) as acting:
        acting.set(coefficients)
        return next_logits(model, PROMPTS)


def far(one, other):
    return float((one - other).abs().max()) > 1e-3


def test_sums_and_means(model, library):
    one = by_hand(model, library, [0.3, 1.0, 1.0, 0.2])
    assert torch.equal(says(model, library, ways.summed((0.3, 1.0, 1.0, 0.2))), one)
    assert torch.equal(says(model, library, ways.mean), by_hand(model, library, 0.25))
    assert far(one, by_hand(model, library, 0.25))


def test_a_cut_has_first_hops_below_and_second_hops_above(model, library):
    low, high = [1, 0, 1, 0], [0, 1, 0, 1]
    right = by_hand(model, library, [low, high, high, high])
    wrong = by_hand(model, library, [high, low, low, low])
    assert torch.equal(says(model, library, ways.cut(1)), right)
    assert torch.equal(says(model, library, ways.cut(1, wrong=True)), wrong)
    assert far(right, wrong)


def test_ties_keeps_a_fifth_in_the_basis_of_knots(model, library):
    merged = merge(library, "ties", density=0.2, space="knots")
    wanted = by_hand(model, [merged], 1.0)
    assert torch.allclose(says(model, library, ways.ties), wanted, rtol=1e-4, atol=1e-5)


def test_arrow_takes_the_adapter_that_fits_best(model, library):
    told = batch(model, PROMPTS)
    name = "model.layers.0.mlp.down_proj"
    x = inputs(model, [told], [name])[name].double().numpy()
    best = arrow_scores([one[name] for one in library])(x).argmax(1)
    with ways.arrow(model, library) as acting:
        weights = acting.route(name, torch.from_numpy(x))
    assert np.array_equal(weights.argmax(1).numpy(), best)
    assert torch.allclose(weights.sum(1), torch.ones(len(x)).double())
    assert torch.allclose(weights.amax(1), torch.ones(len(x)).double())


@pytest.mark.parametrize("z", [0, 1])
@pytest.mark.parametrize("layer", [None, 1])
def test_gates_open_above_what_ordinary_sentences_give(model, library, z, layer):
    name = "model.layers.2.mlp.down_proj"
    generic = [batch(model, [text]) for text in GENERIC]
    seen = inputs(model, generic, [name])[name].double().numpy()
    loud = np.stack([np.linalg.norm(seen @ one[name].dense().T, axis=1) for one in library], 1)
    limits = loud.mean(0) + z * loud.std(0)
    with ways.gates(z, layer)(model, library) as acting:
        weights = acting.route(name, torch.from_numpy(seen)).numpy()
        kept = acting.coefficients.copy()
    sure = abs(loud - limits) > 1e-5
    assert np.array_equal(weights[sure], (loud > limits)[sure])
    assert 0 < weights.mean() < 1
    low, high = [1, 0, 1, 0], [0, 1, 0, 1]
    wanted = np.ones((4, 4)) if layer is None else [low, high, high, high]
    assert np.array_equal(kept, wanted)
