"""real._ways: each way is what its name says, by coefficients set by hand."""

import numpy as np
import pytest
import torch
from worded import small_model

from loratheory.adapters import Adapter, Info, arrow_scores, forward, merge
from loratheory.experiments.bench.language import way as acts
from loratheory.experiments.bench.rules import coefficients, layer_split, rule
from loratheory.experiments.real._tried import MERGED
from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained import (
    GENERIC,
    ModelError,
    attached,
    batch,
    block_gates,
    inputs,
    next_logits,
)

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
    assert torch.equal(says(model, library, acts(coefficients(0.3, 1.0, 1.0, 0.2))), one)
    assert torch.equal(says(model, library, acts(rule("mean"))), by_hand(model, library, 0.25))
    assert far(one, by_hand(model, library, 0.25))


HALVES = {"below": (1, 0), "above": (0, 1), "all": (1, 1), "none": (0, 0)}


@pytest.mark.parametrize("first", HALVES)
@pytest.mark.parametrize("second", HALVES)
def test_a_cut_keeps_each_hop_where_it_is_told(model, library, first, second):
    (a, b), (c, d) = HALVES[first], HALVES[second]
    wanted = by_hand(model, library, [[a, c, a, c], *[[b, d, b, d]] * 3])
    assert torch.equal(says(model, library, acts(layer_split(1, first, second))), wanted)


def test_a_cut_has_first_hops_below_unless_told_otherwise(model, library):
    right = says(model, library, acts(layer_split(1)))
    assert torch.equal(right, says(model, library, acts(layer_split(1, "below", "above"))))
    assert far(right, says(model, library, acts(layer_split(1, "above", "below"))))


@pytest.mark.parametrize(
    ("name", "method", "options"),
    [
        ("ties", "ties", {"density": 0.2, "rank": 32}),
        ("knots", "ties", {"density": 0.2, "space": "knots"}),
        ("interpolating", "interpolate", {}),
    ],
)
def test_merges_are_what_their_names_say(model, library, name, method, options):
    wanted = by_hand(model, [merge(library, method, **options)], 1.0)
    found = says(model, library, MERGED[name])
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert far(found, by_hand(model, library, 0.25))


def test_arrow_of_peft_mixes_as_its_own_layer_does(model, library):
    """Its layer is given the factors and builds its prototypes itself, from another start."""
    library = [
        Adapter.of(
            {n: LowRank(low.up * np.asarray([1.0, 0.05]), low.down) for n, low in one.items()}
        )
        for one in library
    ]  # of one large direction, which fifteen steps find from any start
    from peft.tuners.lora.arrow import ArrowLoraLinearLayer
    from peft.tuners.lora.config import ArrowConfig

    name, x = "model.layers.1.mlp.down_proj", torch.randn(7, 16)
    config = ArrowConfig(top_k=3, rng_seed=0)
    names = [f"task_{k}" for k in range(4)]
    config.task_adapter_names = names
    layer = ArrowLoraLinearLayer(16, config)
    down = {k: torch.nn.Linear(16, 2, bias=False) for k in names}
    up = {k: torch.nn.Linear(2, 16, bias=False) for k in names}
    with torch.no_grad(), acts(rule("arrow, peft"))(model, library) as acting:
        for k, low in zip(names, acting.updates[name], strict=True):
            down[k].weight.data, up[k].weight.data = low.down, low.up
        layer.build_prototypes(down, up)
        theirs = layer(x, down, up, torch.nn.Identity(), dict.fromkeys(names, 1.0))
        ours = forward(acting.updates[name], x, acting.route(name, x))
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    with acts(rule("arrow"))(model, library) as exact:
        assert far(ours, forward(exact.updates[name], x, exact.route(name, x)))
    with acts(rule("arrow, peft"))(model, library[:2]) as acting:
        assert bool((acting.route(name, x) > 0).all())


def test_arrow_takes_the_adapter_that_fits_best(model, library):
    told = batch(model, PROMPTS)
    name = "model.layers.0.mlp.down_proj"
    x = inputs(model, [told], [name])[name].double().numpy()
    best = arrow_scores([one[name] for one in library])(x).argmax(1)
    with acts(rule("arrow"))(model, library) as acting:
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
    with acts(
        layer_split(layer, of=rule("gates, z = 2", z=z))
        if layer is not None
        else rule("gates, z = 2", z=z)
    )(model, library) as acting:
        weights = acting.route(name, torch.from_numpy(seen)).numpy()
        kept = acting.coefficients.copy()
    sure = abs(loud - limits) > 1e-5
    assert np.array_equal(weights[sure], (loud > limits)[sure])
    assert 0 < weights.mean() < 1
    low, high = [1, 0, 1, 0], [0, 1, 0, 1]
    wanted = np.ones((4, 4)) if layer is None else [low, high, high, high]
    assert np.array_equal(kept, wanted)


def test_block_gates_are_calibrated_on_ordinary_sentences(model, library):
    with attached(model, library) as acting:
        block_gates(model, acting, [batch(model, [text]) for text in GENERIC], z=0.5)
        wanted = next_logits(model, PROMPTS)
    found = says(model, library, acts(rule("block gates, z = 2", level=0.5)))
    assert torch.equal(found, wanted)
    assert far(found, says(model, library, acts(rule("block gates, z = 2", level=9.0))))


@pytest.mark.parametrize(
    "way",
    [
        acts(rule("arrow")),
        acts(rule("arrow, peft")),
        acts(rule("gates, z = 2", z=2)),
        acts(rule("block gates, z = 2", level=2)),
    ],
)
def test_what_cannot_be_routed_leaves_no_hook(model, way):
    """The inputs of an embedding are no vectors; a head stands in no block."""
    rng, name = np.random.default_rng(0), "model.embed_tokens"
    info = Info(embeddings=frozenset({name}))
    one = Adapter.of({name: gaussian(rng, 16, 4001, 1)}, info)
    with pytest.raises(ModelError), way(model, [one]):
        pass
    modules = [*model.network.modules()]
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in modules)
