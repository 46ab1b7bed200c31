"""Plain bases: stages of one training, each what its seed and setting say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reused import cache as cache

from loratheory.experiments.reuse import _plain
from loratheory.experiments.reuse._bases import batch
from loratheory.experiments.reuse._combinations import combinations
from loratheory.experiments.reuse._plain import Setting, grown
from loratheory.tasks.two_hop import every, plain, sampled, stacked, world
from loratheory.toy.transformer import content_hash, trained_base

TINY = Setting(entities=14, relations=3, width=16, rows=40, steps=6)


def test_stages_are_those_of_one_training_from_the_batches_named():
    found = grown(TINY, 101, (2, 6))
    here = world(101, entities=14, relations=3)
    parts = combinations(here, 0.9, 0.15, rng=np.random.default_rng([101, 1]))
    chains = plain(here, parts.trained)
    facts = [plain(here, every(here, start=hop, hops=1)).padded(3) for hop in (0, 1)]
    rng = np.random.default_rng([101, 2])

    def _batch(_):
        return batch(stacked([sampled([chains, chains, chains, *facts], 40, rng=rng)]))

    seen = {}
    wanted = trained_base(
        found[6].config, TINY.recipe, _batch, [101], lambda step, _: seen.update({step: 1})
    )
    assert len(seen) == 6
    assert set(found) == {2, 6}
    assert set(found[6].weights) == set(wanted) == set(found[2].weights)
    for name, x in wanted.items():
        torch.testing.assert_close(found[6].weights[name], x)
    assert not torch.equal(found[2].weights["embedding"], wanted["embedding"])


def test_a_stage_does_not_depend_on_the_other_stages():
    many, one = grown(TINY, 101, (2, 4, 6)), grown(TINY, 101, (4,))
    for name, x in one[4].weights.items():
        torch.testing.assert_close(many[4].weights[name], x)


def test_world_and_chains_are_those_of_the_seed():
    known = grown(TINY, 102, (6,))[6]
    [here], [parts] = known.worlds, known.splits
    assert np.array_equal(here.maps, world(102, entities=14, relations=3).maps)
    wanted = combinations(here, 0.9, 0.15, rng=np.random.default_rng([102, 1]))
    assert np.array_equal(parts.held_out.subjects, wanted.held_out.subjects)
    assert known.seeds == (102,)
    assert known.setting == TINY


def test_a_plain_transformer_has_no_crutches():
    config = Setting().config(99)
    assert (config.depth, config.loops, config.window) == (2, 1, None)
    assert (config.noise, config.supervision, config.vocabulary) == (0.0, 0.0, 99)
    recipe = replace(Setting(), steps=77, rate=3e-3, decay=0.25).recipe
    assert (recipe.steps, recipe.rate, recipe.decay, recipe.warmup) == (77, 3e-3, 0.25, 100)


def key(monkeypatch, setting=TINY, seed=101, stages=(2, 6)):
    """What the base would be kept under."""
    found = []

    def _stored(parts, _):
        found.append(content_hash(parts))
        return {}

    with monkeypatch.context() as patch:
        patch.setattr(_plain, "stored", _stored)
        grown(setting, seed, stages)
    return found[0]


@pytest.mark.parametrize(
    "change",
    [
        {"coverage": 0.5},
        {"relations": 4},
        {"unseen": 0.5},
        {"share": 2},
        {"rows": 41},
        {"rate": 1e-3},
        {"decay": 0.5},
        {"steps": 7},
        {"width": 32},
    ],
)
def test_every_part_of_the_setting_is_in_the_name(monkeypatch, change):
    assert key(monkeypatch, replace(TINY, **change)) != key(monkeypatch)


def test_seed_stages_data_and_order_are_in_the_name(monkeypatch):
    usual = key(monkeypatch)
    assert key(monkeypatch) == usual
    assert key(monkeypatch, stages=(6,)) != usual
    with monkeypatch.context() as patch:
        patch.setattr(_plain, "world", lambda _, **wanted: world(7, **wanted))
        patch.setattr(
            _plain, "combinations", lambda *of, **_: combinations(*of, rng=np.random.default_rng(0))
        )
        patch.setattr(
            _plain, "sampled", lambda *of, **_: sampled(*of, rng=np.random.default_rng(0))
        )
        assert key(patch) != key(patch, seed=102)
    first = sampled(
        [plain(world(101, entities=14), every(world(101, entities=14)))],
        40,
        rng=np.random.default_rng(0),
    )
    with monkeypatch.context() as patch:
        patch.setattr(_plain, "sampled", lambda *_, **__: first)
        one = key(patch)
        patch.setattr(_plain, "pretraining", lambda *a, **k: _plain_sets(*a, **k)[::-1])
        assert key(patch) != one
    with monkeypatch.context() as patch:
        patch.setattr(_plain, "sampled", lambda *_, **__: first)
        assert key(patch) != usual


def _plain_sets(*given, **named):
    from loratheory.tasks.two_hop import pretraining

    return pretraining(*given, **named)


def test_what_is_kept_is_not_trained_again(monkeypatch):
    before = grown(TINY, 101, (6,))[6]

    def _never(*_):
        raise AssertionError

    monkeypatch.setattr(_plain, "descend", _never)
    again = grown(TINY, 101, (6,))[6]
    assert all(torch.equal(again.weights[name], x) for name, x in before.weights.items())
    with pytest.raises(AssertionError):
        grown(TINY, 103, (6,))
