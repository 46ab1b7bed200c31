"""_descent: each step is AdamW's, noise is seen in training alone, and nonsense stops."""

from dataclasses import replace

import pytest
import torch
from decoders import TINY, batch, plain_logits, plain_states

from loratheory.toy.transformer import (
    Config,
    Recipe,
    TrainingError,
    logits,
    lora,
    parameters,
    trained_base,
    trained_lora,
)
from loratheory.toy.transformer import _descent as descent
from loratheory.toy.transformer._parameters import normal, stream

CONFIG = Config(**TINY | {"depth": 1}, noise=0.5, supervision=0.5)
RECIPE = Recipe(steps=3, rate=1e-2, warmup=2, decay=0.5)


def test_a_base_takes_the_steps_of_adamw():
    """Against torch's optimiser on the plain decoder, the rates of the recipe set by hand."""
    config = replace(CONFIG, supervision=0.0)
    given, recipe = batch(1), replace(RECIPE, steps=4, warmup=2, decay=3.0)
    ours = trained_base(config, recipe, lambda _: given, [3])
    plain = {name: x[0].requires_grad_() for name, x in parameters(config, [3]).items()}
    gains = [x for name, x in plain.items() if name.endswith("norm")]
    rest = [x for name, x in plain.items() if not name.endswith("norm")]
    groups = [{"params": gains, "weight_decay": 0.0}, {"params": rest, "weight_decay": 3.0}]
    optimiser = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.98))
    draws = [stream(3, 2)]
    for step in range(4):
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * (0.5, 1.0, 1.0, 0.55)[step]
        noise = normal((2, 18, 8), draws)[0]
        state = plain_states(config, plain, given.tokens[0], noise=noise)[-1]
        scores = plain_logits(config, plain, state).flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(scores, given.targets.flatten(), ignore_index=-1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for name, x in ours.items():
        torch.testing.assert_close(x[0], plain[name].detach(), rtol=1e-3, atol=1e-4)


def test_training_learns_and_reports_each_step():
    seen = []
    given = batch(2, prompts=3)
    config = replace(CONFIG, noise=0.0)
    recipe = Recipe(steps=40, rate=2e-2)
    weights = trained_base(config, recipe, lambda _: given, [0, 1], lambda *at: seen.append(at))
    assert [step for step, _ in seen] == list(range(40))
    assert (seen[-1][1] < 0.2 * seen[0][1]).all()
    answers = logits(config, weights, given.tokens).argmax(-1)
    assert torch.equal(answers[given.targets >= 0], given.targets[given.targets >= 0])


def test_noise_is_there_in_training_alone():
    given = batch(1)
    one, two = (
        trained_base(replace(CONFIG, noise=level), RECIPE, lambda _: given, [0])["norm"]
        for level in (0.0, 0.5)
    )
    assert not torch.allclose(one, two, atol=1e-4)


def test_a_loss_that_is_no_number_stops_the_training():
    given = batch(3)
    bases = {name: x.clone() for name, x in parameters(CONFIG, [0, 1, 2]).items()}
    bases["layers.0.mlp.in"][1, 0, 0] = float("nan")
    start = lora(CONFIG, [0, 1, 2])
    with pytest.raises(
        TrainingError, match=r"the loss of replica 1 is nan at step 0: lower the rate"
    ):
        trained_lora(CONFIG, bases, start, RECIPE, lambda _: given, [0, 1, 2])


def test_each_step_has_its_own_batch():
    asked = []

    def given(step):
        asked.append(step)
        return batch(2, seed=step)

    trained_base(CONFIG, RECIPE, given, [0, 1])
    assert asked == list(range(3))


@pytest.mark.parametrize("models", [1, 2, 3, 12])
@pytest.mark.parametrize("width", [40, 100, 128, 512, 4096])
def test_blocks_cover_each_replica_once_and_share_evenly(models, width):
    covered = []
    for some, replicas in descent.blocks(models, 12, width):
        inside = list(range(12))[replicas]
        count = len(range(models)[some])
        assert len(inside) % count == 0
        assert [e * models // 12 for e in inside] == sorted(
            list(range(models))[some] * (len(inside) // count)
        )
        assert len(inside) <= max(descent.CACHED // width, 1)
        covered += inside
    assert covered == list(range(12))
