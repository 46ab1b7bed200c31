"""Shelves: every adapter learns its own lesson, and is kept under all that determines it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reused import TAUGHT, cache, small, taught

from loratheory.experiments.reuse import _shelves
from loratheory.experiments.reuse._marks import leads
from loratheory.experiments.reuse._shelves import Teaching, shelf
from loratheory.tasks.two_hop import lessons
from loratheory.toy.transformer import LORA, content_hash

__all__ = ["cache"]


class Found(Exception):
    """The name under which an adapter would be kept."""


def key(monkeypatch, known=None, teaching=TAUGHT, kinds=("hops",)):
    def _stored(parts, _):
        raise Found(content_hash(parts))

    with monkeypatch.context() as patch:
        patch.setattr(_shelves, "stored", _stored)
        with pytest.raises(Found) as caught:
            shelf(small() if known is None else known, teaching, kinds)
    return str(caught.value)


def test_replicas_go_base_by_base_and_edits_pair_by_pair():
    found = taught()
    assert found.replicas == [(101, 0), (101, 1), (102, 0), (102, 1)]
    assert (len(found.edits), len(found.trials), len(found.hops)) == (2, 2, 2)
    for pair in found.edits:
        for replica, one in enumerate(pair):
            assert one.before is found.bases.worlds[replica // 2]
    assert found.adapters == (*found.hops[0], *found.hops[1])
    chains = [tuple(map(tuple, one.chains.tolist())) for pair in found.edits for one in pair]
    assert len(set(chains)) == 8


def test_edited_chains_were_held_out_and_pairs_share_no_entity():
    found = taught()
    for replica, (one, other) in enumerate(zip(*found.edits, strict=True)):
        held = set(found.bases.splits[replica // 2].held_out.subjects.tolist())
        assert set(one.chains[:, 0].tolist()) <= held
        assert not (one.touched() & other.touched()).any()


def test_at_full_coverage_any_chain_may_be_edited():
    known = small(coverage=1.0)
    assert len(known.splits[0].held_out) == 0
    assert len(shelf(known, TAUGHT).edits[0]) == 4


def test_lessons_know_of_all_pairs(monkeypatch):
    seen = []

    def _lessons(one, **options):
        seen.append((one, options["others"]))
        return lessons(one, **options)

    monkeypatch.setattr(_shelves, "lessons", _lessons)
    taught()
    assert len(seen) == 8
    assert all(len(others) == 2 and one in others for one, others in seen)


def test_each_adapter_learns_what_its_pair_is_asked():
    found = taught("hops", "direct", "joint", steps=25, rate=0.05, rank=4, scale=4.0, sets=1)
    known = found.bases

    def _gain(prompts, adapter):
        return float((leads(known, prompts, adapter) - leads(known, prompts)).mean())

    for p, asked in enumerate(found.trials):
        for j in range(2):
            facts = [one.hops[j] for one in asked]
            own = _gain(facts, found.hops[p][j])
            assert own > 1
            assert own > _gain(facts, found.hops[1 - p][j]) + 0.5
            assert own > _gain(facts, found.hops[p][1 - j]) + 0.5
            assert _gain(facts, found.others["joint"][p]) > 0.5
        assert _gain([one.chains for one in asked], found.others["direct"][p]) > 1


def test_an_adapter_depends_on_its_base_and_repetition_alone():
    both, alone = taught(), shelf(small((102,)), TAUGHT)
    for pair, single in zip(both.hops, alone.hops, strict=True):
        for adapter, one in zip(pair, single, strict=True):
            assert adapter.scale == one.scale == TAUGHT.scale
            for name, x in one.tensors().items():
                torch.testing.assert_close(adapter.tensors()[name][2:], x, atol=1e-6, rtol=1e-4)
    start = [adapter.down["layers.0.mlp.in"] for adapter in both.adapters]
    assert all(not torch.allclose(a, b, atol=0.1) for a in start for b in start if a is not b)


def test_training_is_what_the_teaching_says(monkeypatch):
    seen = []

    def _trained(config, weights, start, recipe, batch, seeds):
        seen.append((config, start, recipe, seeds))
        assert weights is known.weights
        assert batch(0) is batch(1)
        return start

    known = small()
    monkeypatch.setattr(_shelves, "stored", lambda _, train: train())
    monkeypatch.setattr(_shelves, "trained_lora", _trained)
    teaching = replace(TAUGHT, modules=("attention.value",), rate=0.01, steps=7, rank=3, scale=5.0)
    found = shelf(known, teaching)
    assert len(seen) == 4
    assert len({seed for _, _, _, seeds in seen for seed in seeds}) == 16
    for config, start, recipe, _ in seen:
        assert config == replace(known.config, supervision=0.0)
        assert recipe == replace(LORA, rate=0.01, steps=7)
        assert start.up["layers.0.attention.value"].shape == (4, 16, 3)
        assert (list(start.up), start.scale) == (["layers.0.attention.value"], 5.0)
    assert found.adapters[0].scale == 5.0


def test_only_the_kinds_asked_for_are_trained():
    found = taught("direct")
    assert found.hops == found.adapters == ()
    assert [len(loras) for loras in found.others.values()] == [2]


@pytest.mark.parametrize(
    "change",
    [
        {"facts": 3},
        {"pairs": 1},
        {"sets": 1},
        {"bridges": "permuted"},
        {"also": "old"},
        {"rank": 3},
        {"steps": 4},
        {"retained": 5},
        {"scale": 3.0},
        {"rate": 1e-3},
        {"modules": ("mlp.in",)},
    ],
)
def test_every_part_of_the_teaching_is_in_the_name(monkeypatch, change):
    assert key(monkeypatch, teaching=replace(TAUGHT, **change)) != key(monkeypatch)


def test_base_familiarity_and_form_are_in_the_name(monkeypatch):
    known = small()
    assert key(monkeypatch) == key(monkeypatch)
    moved = {name: x + (name == "norm") * 1e-3 for name, x in known.weights.items()}
    assert key(monkeypatch, known=replace(known, weights=moved)) != key(monkeypatch)
    spare = small(spare=10)
    names = {key(monkeypatch, spare, replace(TAUGHT, familiarity=f)) for f in ("real", "fake")}
    assert len(names) == 2
    form = replace(TAUGHT, form="thought")
    kinds = ("bridged",)
    assert key(monkeypatch, teaching=form, kinds=kinds) != key(monkeypatch, kinds=kinds)


def test_the_name_knows_the_data_even_where_nothing_else_changes(monkeypatch):
    usual = key(monkeypatch)

    def _fewer(one, **options):
        return lessons(one, **{**options, "retained": 3})

    monkeypatch.setattr(_shelves, "lessons", _fewer)
    assert key(monkeypatch) != usual


def test_chains_of_others_are_kept_for_bridged_adapters_alone(monkeypatch):
    seen = []

    def _lessons(one, **options):
        seen.append(options["examples"])
        return lessons(one, **options)

    monkeypatch.setattr(_shelves, "lessons", _lessons)
    key(monkeypatch)
    key(monkeypatch, kinds=("bridged",))
    assert seen == [0] * 8 + [40] * 8


def test_the_defaults_are_those_of_the_experiments():
    assert Teaching() == Teaching(facts=5, pairs=1, sets=3, rank=8, steps=120, retained=40)
    assert np.isclose(Teaching().rate, LORA.rate)
