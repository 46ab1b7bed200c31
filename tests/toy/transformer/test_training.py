"""Replicas train as if alone, by AdamW's steps on the mean loss of what is due."""

from dataclasses import replace

import pytest
import torch
from synthetic import TINY, batch, close, doubled, plain_logits, plain_states

from loratheory.toy.transformer import (
    ATTENTION,
    MLP,
    Batch,
    Config,
    Recipe,
    TrainingError,
    lora,
    losses,
    parameters,
    trained_base,
    trained_lora,
)
from loratheory.toy.transformer import _training as training
from loratheory.toy.transformer._training import VERSION


def test_the_rate_rises_and_falls_as_said():
    recipe = Recipe(steps=14, rate=1, warmup=4, schedule="linear", floor=0.2)
    rising = [recipe.share(step) for step in range(4)]
    assert rising == [0.25, 0.5, 0.75, 1.0]
    assert [recipe.share(step) for step in (4, 9, 14)] == pytest.approx([1, 0.6, 0.2])
    cosine = Recipe(steps=14, rate=1, warmup=4, floor=0.2)
    assert [cosine.share(step) for step in (4, 9, 14)] == pytest.approx([1, 0.6, 0.2])
    assert cosine.share(6) == pytest.approx(0.2 + 0.8 * (1 + 0.80901699) / 2)


def looked_up(config, weights, given, e):
    """Mean of minus log-probability at the places, one by one."""
    own = {name: x[e] for name, x in weights.items()}
    total = 0.0
    for loop, state in enumerate(plain_states(config, own, given.tokens[e])):
        last = loop == config.loops - 1
        scores = plain_logits(config, own, state).log_softmax(-1)
        found = [
            -scores[b, t, given.targets[e, b, t]]
            for b, t in torch.cartesian_prod(torch.arange(6), torch.arange(3)).tolist()
            if given.targets[e, b, t] >= 0 and (last or given.hops[e, b, t] <= loop + 1)
        ]
        weight = 1.0 if last else config.supervision
        total += weight * sum(found) / max(len(found), 1)
    return total


@pytest.mark.parametrize("supervision", [0.0, 0.7])
def test_each_loss_is_the_mean_over_what_is_due(supervision):
    config = Config(**TINY | {"loops": 3}, supervision=supervision)
    weights, given = doubled(config, [0, 1, 2]), batch(3)
    given.targets[1, 1:] = -1  # one due, in the next replica none
    given.targets[2] = -1
    found = losses(config, weights, given)
    for e in range(2):
        close(found[e], looked_up(config, weights, given, e), rtol=1e-5, atol=0)
    assert float(found[2]) == 0.0


def test_deep_supervision_adds_to_the_loss():
    config = Config(**TINY, supervision=1.0)
    weights, given = doubled(config, [0]), batch(1)
    plain = replace(config, supervision=0)
    assert losses(plain, weights, given._replace(hops=None)) < losses(config, weights, given)


CONFIG = Config(**TINY | {"depth": 1}, noise=0.5, supervision=0.5)
RECIPE = Recipe(steps=3, rate=1e-2, warmup=2, decay=0.5)
SEEDS = [3, 1, 4]


def only(given, e):
    return lambda _: given.of(slice(e, e + 1))


@pytest.fixture(params=[8, 16, 10_000], ids=["alone", "two a block", "one block"])
def cached(request, monkeypatch):
    monkeypatch.setattr(training, "CACHED", request.param)


@pytest.mark.usefixtures("cached")
def test_bases_together_are_bases_alone():
    given = batch(3)
    together = trained_base(CONFIG, RECIPE, lambda _: given, SEEDS)
    for e, seed in enumerate(SEEDS):
        alone = trained_base(CONFIG, RECIPE, only(given, e), [seed])
        for name, x in together.items():
            close(x[e : e + 1], alone[name], rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("models", [1, 2, 4])
def test_adapters_together_are_adapters_alone(models):
    """On one base, on two with two adapters each, on four."""
    given, seeds = batch(4), [*SEEDS, 2]
    bases = parameters(CONFIG, range(models))
    start = lora(CONFIG, seeds, rank=2, modules=ATTENTION + MLP)
    before = start.map(torch.clone)
    together = trained_lora(CONFIG, bases, start, RECIPE, lambda _: given, seeds)
    for e in range(4):
        model = e * models // 4
        base = {name: x[model : model + 1] for name, x in bases.items()}
        first = start.map(lambda x, e=e: x[e : e + 1])
        alone = trained_lora(CONFIG, base, first, RECIPE, only(given, e), [seeds[e]])
        for name, x in together.tensors().items():
            close(x[e : e + 1], alone.tensors()[name], rtol=1e-4, atol=1e-5)
    for name, x in start.tensors().items():
        assert torch.equal(x, before.tensors()[name])
        assert not torch.equal(x, together.tensors()[name])
    assert not any(x.requires_grad for x in [*bases.values(), *together.tensors().values()])


@pytest.mark.usefixtures("cached")
def test_adapters_act_beside_the_trained_one_each_on_its_share_of_the_rows():
    """One alone is as if the base contained it; what is due in half of the rows needs that half."""
    config, given = replace(CONFIG, noise=0.0), batch(3)
    bases, start = parameters(config, SEEDS), lora(config, SEEDS, rank=2)
    one, other = (
        lora(config, seeds, rank=2).map(lambda x: x + 0.1) for seeds in ([5, 6, 7], [8, 9, 10])
    )

    def _trained(weights, rows, *beside):
        made = trained_lora(config, weights, start, RECIPE, lambda _: rows, SEEDS, beside)
        return made.tensors()

    inside = {
        name: x + one.scale * one.up[name] @ one.down[name] if name in one.up else x
        for name, x in bases.items()
    }
    for name, x in _trained(bases, given, one).items():
        close(x, _trained(inside, given)[name], rtol=1e-4, atol=1e-5)
    half = given.tokens.shape[1] // 2
    for beside, rows in (((one, other), slice(half)), ((other, one), slice(half, None))):
        due = given.targets.clone()
        due[:] = -1
        due[:, rows] = given.targets[:, rows]
        found = _trained(bases, given._replace(targets=due), *beside)
        alone = _trained(bases, Batch(*(x[:, rows] for x in given)), one)
        for name, x in found.items():
            close(x, alone[name], rtol=1e-4, atol=1e-5)


def test_a_loss_that_is_no_number_stops_the_training():
    given = batch(3)
    bases = {name: x.clone() for name, x in parameters(CONFIG, [0, 1, 2]).items()}
    bases["layers.0.mlp.in"][1, 0, 0] = float("nan")
    start = lora(CONFIG, [0, 1, 2])
    with pytest.raises(
        TrainingError, match=r"the loss of replica 1 is nan at step 0: lower the rate"
    ):
        trained_lora(CONFIG, bases, start, RECIPE, lambda _: given, [0, 1, 2])


@pytest.mark.parametrize("models", [1, 2, 3, 12])
@pytest.mark.parametrize("width", [40, 100, 4096])
def test_blocks_cover_each_replica_once_and_share_evenly(models, width):
    covered = []
    for some, replicas in training.blocks(models, 12, width):
        inside = list(range(12))[replicas]
        count = len(range(models)[some])
        assert len(inside) % count == 0
        assert [e * models // 12 for e in inside] == sorted(
            list(range(models))[some] * (len(inside) // count)
        )
        assert len(inside) <= max(training.CACHED // width, 1)
        covered += inside
    assert covered == list(range(12))


def test_training_makes_what_it_made_at_this_version_of_the_code():
    """Kept weights carry this number: raise `VERSION` when the numbers below have to change."""
    config = Config(**TINY | {"window": 2}, noise=0.3, supervision=0.5)
    recipe = Recipe(steps=8, rate=1e-2, warmup=2, decay=0.5)
    given = batch(2)
    bases = trained_base(config, recipe, lambda _: given, [0, 1])
    start = lora(config, [2, 3], rank=2)
    adapters = trained_lora(config, bases, start, recipe, lambda _: given, [2, 3]).tensors()
    found = [
        sum(float(x.double().abs().sum()) for x in made.values()) for made in (bases, adapters)
    ]
    assert VERSION == 1
    assert found == pytest.approx([834.396, 67.1089], rel=1e-5)
