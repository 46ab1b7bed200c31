"""A base spread over devices by accelerate: adapters compute where each map does."""

import pytest
import torch
from causal import TOKENS, logits, network, save_adapter

from loratheory import read
from loratheory.pretrained import Model, ModelError, attached, load
from loratheory.pretrained.check import checked

accelerate = pytest.importorskip("accelerate")


@pytest.fixture
def shelf(tmp_path):
    return [read(save_adapter(tmp_path / str(seed), "llama", seed)) for seed in range(2)]


def test_auto_is_accepted_and_changes_nothing_on_a_machine_without_gpu(tmp_path, shelf):
    network("llama").save_pretrained(tmp_path / "base")
    plain, spread = load(tmp_path / "base"), load(tmp_path / "base", device="auto")
    assert not any(weight.is_meta for weight in spread.network.parameters())
    before = logits(spread.network)
    with attached(plain, shelf, 0.5), attached(spread, shelf, 0.5):
        assert torch.equal(logits(spread.network).cpu(), logits(plain.network))
    assert torch.equal(logits(spread.network), before)


def test_maps_whose_weights_are_elsewhere_until_they_run_get_their_updates(shelf):
    here, away = Model(network("llama")), Model(network("llama"))
    accelerate.cpu_offload(away.network, execution_device=torch.device("cpu"))
    assert next(away.network.parameters()).is_meta
    with attached(here, shelf, 0.5), attached(away, shelf, 0.5):
        assert torch.equal(logits(away.network), logits(here.network))
    with torch.no_grad():
        assert torch.equal(away.network(TOKENS).logits, logits(network("llama")))


def test_weights_that_are_elsewhere_cannot_be_checked_and_it_is_said_which(shelf):
    away = Model(network("llama"))
    accelerate.cpu_offload(away.network, execution_device=torch.device("cpu"))
    with pytest.raises(ModelError, match=r"layers\.0\..* its weight is not in memory; load"):
        checked(away, shelf)
