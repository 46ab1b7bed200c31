"""_train: PEFT's training step for step, taken up bit for bit, stopped in time."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from letters import EXAMPLES, SMALL, draws, model, same
from peft import LoraConfig, get_peft_model

from loratheory.pretrained import TrainingError, attached, maps, trained
from loratheory.pretrained import _train as module
from loratheory.pretrained._train import order


def peft_updates(how, first, rows):
    """What PEFT's layers and a plain optimiser make of the same first factors and examples."""
    base = model()
    config = LoraConfig(r=how.rank, lora_alpha=how.alpha, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # between PEFT and transformers
        net = get_peft_model(base.network, config)
    layers = {
        name.removeprefix("base_model.model."): layer
        for name, layer in net.named_modules()
        if hasattr(layer, "lora_A") and name.removeprefix("base_model.model.") in first
    }
    weights = [pair["default"].weight for x in layers.values() for pair in (x.lora_A, x.lora_B)]
    with torch.no_grad():
        for name, layer in layers.items():
            layer.lora_A["default"].weight.copy_(torch.from_numpy(first[name].down))
    optimizer = torch.optim.AdamW(weights, lr=how.rate, weight_decay=0)
    for step in rows:
        optimizer.zero_grad()
        loss = 0.0
        for prompt, answer in (EXAMPLES[i] for i in step):
            ids = torch.tensor([base.tokenizer(prompt)["input_ids"]])
            wanted = torch.tensor(base.tokenizer(answer)["input_ids"])
            logits = net(ids).logits[:, -1]
            loss = loss + torch.nn.functional.cross_entropy(logits, wanted) / len(step)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, how.clip)
        optimizer.step()
    scale = how.alpha / how.rank
    return {
        name: scale * (x.lora_B["default"].weight @ x.lora_A["default"].weight).detach().numpy()
        for name, x in layers.items()
    }


def test_steps_are_those_of_peft():
    seed = int(draws().integers(2**63))
    found = trained(model(), EXAMPLES, SMALL, rng=draws())
    start = trained(model(), EXAMPLES, replace(SMALL, steps=1, rate=0.0), rng=draws()).adapter
    rows = [order(seed, 5, 3 * step, 3) for step in range(SMALL.steps)]
    wanted = peft_updates(SMALL, start, rows)
    assert wanted.keys() == found.adapter.keys()
    assert len(found.losses) == SMALL.steps
    for name, update in wanted.items():
        assert np.abs(update).max() > 0.01
        np.testing.assert_allclose(found.adapter[name].dense(), update, rtol=0.01, atol=2e-4)


def test_the_adapter_lowers_the_loss_and_the_base_is_what_it_was():
    base = model()
    before = {name: weight.clone() for name, weight in base.network.state_dict().items()}
    found = trained(base, EXAMPLES, replace(SMALL, steps=40), rng=draws())
    assert found.losses[0] > 3 > 2.7 > found.losses[-1]
    assert all(torch.equal(before[n], w) for n, w in base.network.state_dict().items())
    assert not any(place.module._forward_hooks for place in maps(base).values())
    again = trained(base, EXAMPLES, replace(SMALL, steps=1, rate=0.0, batch=5), rng=draws())
    with attached(base, [found.adapter]):
        after = trained(base, EXAMPLES, replace(SMALL, steps=1, rate=0.0, batch=5), rng=draws())
    assert after.losses[0] < 2.7 < 3 < again.losses[0]
    assert found.adapter.info.base == "llama"


def test_a_seed_determines_the_adapter_and_another_one_another():
    one, two = (trained(model(), EXAMPLES, SMALL, rng=draws()) for _ in range(2))
    other = trained(model(), EXAMPLES, SMALL, rng=np.random.default_rng(8))
    assert same(one.adapter, two.adapter)
    assert one.losses == two.losses
    assert not same(one.adapter, other.adapter)


class Killed(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("at", [1, 3, 5])
def test_killed_and_taken_up_it_ends_with_the_same_adapter(at, tmp_path, monkeypatch):
    whole = trained(model(), EXAMPLES, SMALL, rng=draws(), checkpoint=tmp_path / "whole")
    count, step = iter(range(99)), module.step

    def _dying(*told):
        if next(count) == at:
            raise Killed
        return step(*told)

    monkeypatch.setattr(module, "step", _dying)
    file = tmp_path / "folder" / "one.safetensors"
    with pytest.raises(Killed):
        trained(model(), EXAMPLES, SMALL, rng=draws(), checkpoint=file)
    assert file.exists() == (at > 2)
    made = []
    monkeypatch.setattr(module, "step", lambda *told: made.append(1) or step(*told))
    found = trained(model(), EXAMPLES, SMALL, rng=draws(), checkpoint=file)
    assert same(found.adapter, whole.adapter)
    assert found.losses == whole.losses
    assert len(made) == SMALL.steps - at // 2 * 2
    again = trained(model(), EXAMPLES, SMALL, rng=draws(), checkpoint=file)
    assert same(again.adapter, whole.adapter)
    assert len(made) == SMALL.steps - at // 2 * 2
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_it_ends_once_the_mean_of_the_last_losses_is_low_enough():
    plan = replace(SMALL, steps=40, window=4)
    free = trained(model(), EXAMPLES, plan, rng=draws()).losses
    means = [sum(free[i - 4 : i]) / 4 for i in range(4, 41)]
    found = trained(model(), EXAMPLES, replace(plan, enough=2.7), rng=draws()).losses
    assert found == free[: len(found)]
    assert len(found) == 4 + next(i for i, mean in enumerate(means) if mean < 2.7) < 40


def test_what_is_not_finite_stops_it_with_the_last_good_factors(tmp_path, monkeypatch):
    file, step = tmp_path / "one.safetensors", module.last_logits
    good = trained(model(), EXAMPLES, replace(SMALL, steps=3), rng=draws())
    count = iter(range(99))
    monkeypatch.setattr(
        module, "last_logits", lambda *told: step(*told) * (float("nan") if next(count) == 3 else 1)
    )
    with pytest.raises(
        TrainingError, match=r"after 3 steps the loss is not finite: .* lower"
    ) as no:
        trained(model(), EXAMPLES, SMALL, rng=draws(), checkpoint=file)
    assert same(no.value.adapter, good.adapter)
    monkeypatch.undo()
    gone_on = trained(model(), EXAMPLES, SMALL, rng=draws(), checkpoint=file)
    assert same(gone_on.adapter, trained(model(), EXAMPLES, SMALL, rng=draws()).adapter)


def test_a_bar_is_shown_only_when_asked(capsys):
    trained(model(), EXAMPLES, SMALL, rng=draws())
    assert capsys.readouterr() == ("", "")
    trained(model(), EXAMPLES, SMALL, rng=draws(), progress=True)
    assert "6/6" in capsys.readouterr().err
