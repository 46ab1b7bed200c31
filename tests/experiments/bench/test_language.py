"""A language model on the bench: answers, adapters trained once, rules by coefficients set by hand.

A small random model that reads words stands in.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from worded import small, small_model

from loratheory.adapters import Adapter, Info, arrow_scores, forward, merge
from loratheory.bench.language import (
    acting,
    answers,
    mean_weights,
)
from loratheory.bench.rules import coefficients, layer_split, pair_alone, rule
from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained import (
    GENERIC,
    Model,
    ModelError,
    Training,
    attached,
    batch,
    block_gates,
    inputs,
    next_logits,
    trained_once,
    written,
)
from loratheory.pretrained._train import identity

PROMPTS = ["one two three", "four", GENERIC[0]]
HALVES = {"below": (1, 0), "above": (0, 1), "all": (1, 1), "none": (0, 0)}


@pytest.fixture(scope="module")
def model():
    return small_model(layers=4)


@pytest.fixture(scope="module")
def library():
    """Two pairs of adapters; each has one large direction, which power iteration finds."""
    rng = np.random.default_rng(0)
    names = [f"model.layers.{i}.mlp.down_proj" for i in range(4)]
    first = {n: gaussian(rng, 16, 16, 2, 0.5) for n in names}
    made = [first, *({n: gaussian(rng, 16, 16, 2, 0.5) for n in names} for _ in range(3))]
    scaled = np.asarray([1.0, 0.05])
    return [
        Adapter.of({n: LowRank(low.up * scaled, low.down) for n, low in one.items()})
        for one in made
    ]


def under(model, library, act, pair=0):
    with acting(model, library, act, pair):
        return next_logits(model, PROMPTS)


def by_hand(model, library, coefficients):
    with attached(model, library) as acts:
        acts.set(coefficients)
        return next_logits(model, PROMPTS)


def far(one, other):
    return float((one - other).abs().max()) > 1e-3


def test_answers_are_the_largest_logits(model):
    words = [f"w{k}" for k in range(20)]
    questions = [(f"what is {word}", word) for word in words]
    found, ids = answers(model, questions), [model.tokenizer(w)["input_ids"][0] for w in words]
    logits = next_logits(model, [prompt for prompt, _ in questions]).double().numpy()
    for i, row in enumerate(logits):
        best = max(range(20), key=lambda j: row[ids[j]])
        assert (found.words[i], found.right[i]) == (words[best], best == i)
        assert found.tokens[i] == row.argmax()
        assert found.vocabulary_right[i] == (row.argmax() == ids[i])
        assert found.confidence[i] == pytest.approx(np.exp(row - row.max()).sum() ** -1, rel=1e-4)


@pytest.mark.parametrize(
    "own",
    [{"repetition_penalty": 9.0}, {"num_beams": 3}, {"no_repeat_ngram_size": 1},
     {"do_sample": True, "temperature": 9.0}],
)  # fmt: skip
def test_what_is_written_are_the_likeliest_tokens_whatever_batch_and_settings(own):
    model = small_model(layers=2)
    for name, value in own.items():
        setattr(model.network.generation_config, name, value)
    model.network.lm_head.weight = model.network.model.embed_tokens.weight  # repeats are likely
    prompts = ["one two three", "four", "five six seven eight nine"]
    for prompt, words in zip(prompts, written(model, prompts, 4, size=2), strict=True):
        ids, told = model.tokenizer(prompt)["input_ids"], []
        for _ in range(4):
            logits = model.network(input_ids=torch.tensor([[*ids, *told]])).logits[0, -1]
            told.append(int(logits.argmax()))
        assert words == model.tokenizer.decode(told)


def test_an_adapter_is_trained_once_for_its_model_data_seed_and_training(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    few, model = [("one two", "three"), ("four", "five")], small_model(layers=2)
    short, narrow = Training(steps=2, batch=2), Training(steps=2, batch=2, layers=(0, 1))
    half = small_model(layers=2)
    half.network.bfloat16()
    folder, other = (replace(small_model(2, seed), name=str(tmp_path)) for seed in (0, 1))
    kinds = [
        (model, few, (0,), short),
        (model, few[1:], (0,), short),
        (model, few, (1,), short),
        (model, few, (0,), narrow),
        (half, few, (0,), short),
        (folder, few, (0,), short),
        (other, few, (0,), short),  # of a folder the weights count, not the name alone
    ]
    for count, (base, data, seed, how) in enumerate(kinds, 1):
        first = trained_once(base, data, seed=seed, training=how)
        files = {file: file.stat().st_mtime_ns for file in tmp_path.glob("taught/*.safetensors")}
        assert len(files) == count
        again = trained_once(base, data, seed=seed, training=how)
        assert files == {file: file.stat().st_mtime_ns for file in files}
        assert all((first[name].up == again[name].up).all() for name in first)
        layers = {name.split(".")[2] for name in first}
        assert layers == ({"0"} if how is narrow else {"0", "1"})
    trained_once(small_model(2, seed=1), few, seed=(0,), training=short)  # of an id the name
    assert len([*tmp_path.glob("taught/*.safetensors")]) == len(kinds)


def test_what_a_gpu_trains_is_another_adapter():
    def _on(device):
        network = SimpleNamespace(dtype=torch.float32, device=torch.device(device))
        return identity(Model(network, name="some/model", revision="1"))

    same = ["some/model", "1", "torch.float32"]
    assert [_on("cpu"), _on("cuda:1")] == [same, [*same, "cuda"]]


@pytest.mark.parametrize(
    ("act", "wanted"),
    [
        (coefficients(0.3, 1.0, 1.0, 0.2), [0.3, 1.0, 1.0, 0.2]),
        (rule("mean"), 0.25),
        (rule("base"), 0.0),
        (layer_split(1), [[1, 0, 1, 0], *[[0, 1, 0, 1]] * 3]),
        (layer_split(2, "above", "below"), [*[[0, 1, 0, 1]] * 2, *[[1, 0, 1, 0]] * 2]),
    ],
)
def test_rules_are_coefficients(model, library, act, wanted):
    found = under(model, library, act)
    assert torch.equal(found, by_hand(model, library, wanted))
    assert far(found, by_hand(model, library, 0.5))


def test_the_pair_that_is_asked_acts_alone(model, library):
    found = under(model, library, pair_alone, 1)
    assert torch.equal(found, by_hand(model, library, [0, 0, 1, 1]))


@pytest.mark.parametrize("first", HALVES)
@pytest.mark.parametrize("second", HALVES)
def test_a_split_keeps_each_hop_where_it_belongs(model, library, first, second):
    with acting(model, library, layer_split(1, first, second)) as acts:
        (a, b), (c, d) = HALVES[first], HALVES[second]
        assert np.array_equal(acts.coefficients, [[a, c, a, c], *[[b, d, b, d]] * 3])


@pytest.mark.parametrize(
    ("name", "options", "method", "merged"),
    [
        ("ties", {"density": 0.2, "rank": 32}, "ties", {"density": 0.2, "rank": 32}),
        ("knots", {"density": 0.2}, "ties", {"density": 0.2, "space": "knots"}),
        ("interpolating", {}, "interpolate", {}),
    ],
)
def test_merges_are_what_their_names_say(model, library, name, options, method, merged):
    wanted = by_hand(model, [merge(library, method, **merged)], 1.0)
    found = under(model, library, rule(name, **options))
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert far(found, by_hand(model, library, 0.25))


def test_arrow_of_peft_mixes_as_its_own_layer_does(model, library):
    """Its layer is given the factors and builds its prototypes itself, from another start."""
    from peft.tuners.lora.arrow import ArrowLoraLinearLayer
    from peft.tuners.lora.config import ArrowConfig

    name, x = "model.layers.1.mlp.down_proj", torch.randn(7, 16)
    config, names = ArrowConfig(top_k=3, rng_seed=0), [f"task_{k}" for k in range(4)]
    config.task_adapter_names = names
    layer = ArrowLoraLinearLayer(16, config)
    down = {k: torch.nn.Linear(16, 2, bias=False) for k in names}
    up = {k: torch.nn.Linear(2, 16, bias=False) for k in names}
    with torch.no_grad(), acting(model, library, rule("arrow, peft")) as acts:
        for k, low in zip(names, acts.updates[name], strict=True):
            down[k].weight.data, up[k].weight.data = low.down, low.up
        layer.build_prototypes(down, up)
        theirs = layer(x, down, up, torch.nn.Identity(), dict.fromkeys(names, 1.0))
        ours = forward(acts.updates[name], x, acts.route(name, x))
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    with acting(model, library, rule("arrow")) as exact:
        assert far(ours, forward(exact.updates[name], x, exact.route(name, x)))


def test_arrow_takes_the_adapter_that_fits_best(model, library):
    name = "model.layers.0.mlp.down_proj"
    x = inputs(model, [batch(model, PROMPTS)], [name])[name].double().numpy()
    best = arrow_scores([one[name] for one in library])(x).argmax(1)
    with acting(model, library, rule("arrow")) as acts:
        weights = acts.route(name, torch.from_numpy(x)).numpy()
    assert np.allclose(weights, np.eye(4)[best])


@pytest.mark.parametrize(("z", "layer"), [(0, None), (1, None), (1, 1)])
def test_gates_open_above_what_ordinary_sentences_give(model, library, z, layer):
    name, ordinary = "model.layers.2.mlp.down_proj", [batch(model, [text]) for text in GENERIC]
    seen = inputs(model, ordinary, [name])[name].double().numpy()
    norms = np.stack([np.linalg.norm(seen @ one[name].dense().T, axis=1) for one in library], 1)
    limits, act = norms.mean(0) + z * norms.std(0), rule("gates, z = 2", z=z)
    act = act if layer is None else layer_split(layer, of=act)
    with acting(model, library, act) as acts:
        weights = acts.route(name, torch.from_numpy(seen)).numpy()
        kept = acts.coefficients.copy()
    sure = abs(norms - limits) > 1e-5
    assert np.array_equal(weights[sure], (norms > limits)[sure])
    assert 0 < weights.mean() < 1
    split = [[1, 0, 1, 0], *[[0, 1, 0, 1]] * 3]
    assert np.array_equal(kept, np.ones((4, 4)) if layer is None else split)


def test_block_gates_are_calibrated_on_ordinary_sentences(model, library):
    with attached(model, library) as acts:
        block_gates(model, acts, [batch(model, [text]) for text in GENERIC], z=0.5)
        wanted = next_logits(model, PROMPTS)
    found = under(model, library, rule("block gates, z = 2", level=0.5))
    assert torch.equal(found, wanted)
    assert far(found, under(model, library, rule("block gates, z = 2", level=9.0)))
    with pytest.raises(ValueError, match="need a small transformer: give deviations"):
        under(model, library, rule("block gates, rate .04"))


@pytest.mark.parametrize("name", ["arrow", "arrow, peft", "gates, z = 2", "block gates, z = 2"])
def test_what_cannot_be_routed_leaves_no_hook(model, name):
    """The inputs of an embedding are no vectors; a head stands in no block."""
    module = "model.embed_tokens"
    info = Info(embeddings=frozenset({module}))
    one = Adapter.of({module: gaussian(np.random.default_rng(0), 16, 4001, 1)}, info)
    with pytest.raises(ModelError), acting(model, [one], rule(name)):
        pass
    parts = [*model.network.modules()]
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in parts)


def test_mean_weights_count_all_tokens_alike_and_no_padding(model, library):
    prompts = ["one two three", "four", "five six seven eight nine"]

    def _route(_, x):
        return torch.tensor([[float(len(x)), 1.0, 0.0, 0.25]]).expand(len(x), -1)

    with attached(model, library, route=_route) as acts:
        before = next_logits(model, prompts)
        found = mean_weights(model, acts, prompts)
        assert acts.route is _route
        assert torch.equal(next_logits(model, prompts), before)
    assert found == pytest.approx([(9 + 1 + 25) / 9, 1, 0, 0.25])


@pytest.mark.parametrize("name", ["block gates, z = 2", "largest response norm"])
def test_what_gates_try_before_does_not_count(model, library, name):
    """Weights are those that act: of whole prompts one pair's; of blocks what the route says."""
    prompt = PROMPTS[0]
    with acting(model, library, rule(name)) as acts:
        found = mean_weights(model, acts, [prompt, prompt])
        last = [acts.route(module, torch.zeros(3, 16)) for module in acts.names]
    assert found == pytest.approx(torch.cat(last).double().mean(0).numpy())
    if name == "largest response norm":
        assert sorted(found) == [0, 0, 1, 1]
