"""Shelves: every adapter learns its own lesson, and is kept under all that determines it."""

import numpy as np
import torch
from reused import TAUGHT, cache, small, taught

from loratheory.experiments.bench.answers import answer_margins
from loratheory.experiments.bench.library import Teaching
from loratheory.experiments.bench.training import library
from loratheory.toy.transformer import LORA

__all__ = ["cache"]


class Found(Exception):
    """The name under which an adapter would be kept."""


def test_replicas_go_base_by_base_and_edits_pair_by_pair():
    found = taught()
    assert found.replicas == [(101, 0), (101, 1), (102, 0), (102, 1)]
    assert (len(found.edits), len(found.trials), len(found.pairs)) == (2, 2, 2)
    for pair in found.edits:
        for replica, one in enumerate(pair):
            assert one.before is found.bases.worlds[replica // 2]
    assert found.adapters == (*found.pairs[0], *found.pairs[1])
    chains = [tuple(map(tuple, one.routes.tolist())) for pair in found.edits for one in pair]
    assert len(set(chains)) == 8


def test_edited_chains_were_held_out_and_pairs_share_no_entity():
    found = taught()
    for replica, (one, other) in enumerate(zip(*found.edits, strict=True)):
        held = set(found.bases.splits[replica // 2].held_out.subjects.tolist())
        assert set(one.routes[:, 0].tolist()) <= held
        assert not (one.touched() & other.touched()).any()


def test_at_full_coverage_any_chain_may_be_edited():
    known = small(coverage=1.0)
    assert len(known.splits[0].held_out) == 0
    assert len(library(known, TAUGHT).edits[0]) == 4


def test_each_adapter_learns_what_its_pair_is_asked():
    found = taught("hops", "direct", "joint", steps=25, rate=0.05, rank=4, scale=4.0, sets=1)
    known = found.bases

    def _gain(prompts, adapter):
        return float(
            (answer_margins(known, prompts, adapter) - answer_margins(known, prompts)).mean()
        )

    for p, asked in enumerate(found.trials):
        for j in range(2):
            facts = [one.hops[j] for one in asked]
            own = _gain(facts, found.pairs[p][j])
            assert own > 1
            assert own > _gain(facts, found.pairs[1 - p][j]) + 0.5
            assert own > _gain(facts, found.pairs[p][1 - j]) + 0.5
            assert _gain(facts, found.others["joint"][p]) > 0.5
        assert _gain([one.questions for one in asked], found.others["direct"][p]) > 1


def test_an_adapter_depends_on_its_base_and_repetition_alone():
    both, alone = taught(), library(small((102,)), TAUGHT)
    for pair, single in zip(both.pairs, alone.pairs, strict=True):
        for adapter, one in zip(pair, single, strict=True):
            assert adapter.scale == one.scale == TAUGHT.scale
            for name, x in one.tensors().items():
                torch.testing.assert_close(adapter.tensors()[name][2:], x, atol=1e-6, rtol=1e-4)
    start = [adapter.down["layers.0.mlp.in"] for adapter in both.adapters]
    assert all(not torch.allclose(a, b, atol=0.1) for a in start for b in start if a is not b)


def test_only_the_kinds_asked_for_are_trained():
    found = taught("direct")
    assert found.pairs == found.adapters == ()
    assert [len(loras) for loras in found.others.values()] == [2]


def test_the_defaults_are_those_of_the_experiments():
    assert Teaching() == Teaching(facts=5, pairs=1, sets=3, rank=8, steps=120, retained=40)
    assert np.isclose(Teaching().rate, LORA.rate)
