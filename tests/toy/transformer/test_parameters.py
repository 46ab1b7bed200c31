"""_parameters: a replica's first weights are those of its seed, whoever is beside it."""

import pytest
import torch

from loratheory.toy.transformer import Config, parameters
from loratheory.toy.transformer._parameters import normal, stream

SIDES = {"vocabulary": 50, "width": 40, "depth": 2}


def test_a_replica_is_its_seed_alone():
    config = Config(**SIDES, position="learned", tied=False)
    together, alone = parameters(config, [5, 3, 8]), parameters(config, [3])
    assert together.keys() == alone.keys()
    for name, x in together.items():
        assert torch.equal(x[1], alone[name][0])


def test_other_seeds_and_purposes_draw_other_numbers():
    draws = [normal((9,), [stream(seed, purpose)]) for seed in (0, 1) for purpose in (0, 1)]
    assert len({tuple(x.flatten().tolist()) for x in draws}) == 4


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("position", ["none", "learned"])
@pytest.mark.parametrize("norm", ["rms", "none"])
def test_there_is_a_weight_for_everything_and_no_other(tied, position, norm):
    config = Config(**SIDES, tied=tied, position=position, norm=norm, context=7)
    found = {name: tuple(x.shape[1:]) for name, x in parameters(config, [0, 1]).items()}
    expected = dict(config.shapes) | {"embedding": (50, 40)}
    if tied:
        del expected["head"]
    if position == "learned":
        expected["position"] = (7, 40)
    if norm == "rms":
        expected |= dict.fromkeys(
            [f"layers.{i}.{p}.norm" for i in (0, 1) for p in ("attention", "mlp")], (40,)
        )
        expected["norm"] = (40,)
    assert found == expected


def test_matrices_keep_the_size_of_what_they_read():
    for name, x in parameters(Config(**SIDES), range(3)).items():
        if name.endswith("norm"):
            assert torch.equal(x, torch.ones_like(x))
        else:
            assert float(x.std()) * x.shape[-1] ** 0.5 == pytest.approx(1, abs=0.05)
