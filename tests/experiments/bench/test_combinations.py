"""Chains apart by their facts: five parts that make up all, each what its name says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from reused import cache as cache
from strategies import seeds

from loratheory.experiments.bench.answers import by_part
from loratheory.experiments.bench.bases import (
    PARTS,
    PlainSetting,
    combinations,
    grown,
)
from loratheory.tasks.two_hop import along, every, world
from loratheory.toy.transformer import logits


def drawn(seed, coverage=0.7, unseen=0.3):
    here = world(seed, entities=12, relations=3)
    return here, combinations(here, coverage, unseen, rng=np.random.default_rng(seed))


def rows(questions):
    return {
        (x, *path)
        for x, path in zip(questions.subjects, map(tuple, questions.relations), strict=True)
    }


def needed(here, questions):
    """The facts of each hop that these chains need, one chain at a time."""
    first, second = set(), set()
    for x, (r1, r2) in zip(questions.subjects, questions.relations, strict=True):
        first.add((r1, x))
        second.add((r2, here.maps[0, r1, x]))
    return first, second


@given(seeds)
def test_five_parts_make_up_all_chains(seed):
    here, parts = drawn(seed)
    found = [rows(getattr(parts, name)) for name in PARTS]
    assert set.union(*found) == rows(every(here))
    assert sum(map(len, found)) == len(every(here))


@given(seeds)
def test_each_part_is_what_trained_chains_show_of_its_facts(seed):
    here, parts = drawn(seed)
    shown = needed(here, parts.trained)
    unseen = {"held_out": (0, 0), "first_unseen": (1, 0), "second_unseen": (0, 1)}
    for name, barred in (unseen | {"both_unseen": (1, 1)}).items():
        for hop, found in enumerate(needed(here, getattr(parts, name))):
            if barred[hop]:
                assert not found & shown[hop]
            elif name == "held_out":
                assert found <= shown[hop]


@given(seeds)
def test_the_first_relations_have_no_unseen_fact(seed):
    here, parts = drawn(seed)
    first, second = needed(here, parts.trained)
    assert {(0, x) for x in range(12)} <= first
    assert {(0, y) for y in range(12)} <= second


def test_shares_are_those_asked_for():
    here = world(3, entities=60, relations=8)
    parts = combinations(here, 0.9, 0.2, rng=np.random.default_rng(3))
    sizes = {name: len(getattr(parts, name)) for name in PARTS}
    inside = sizes["trained"] + sizes["held_out"]
    spared = 1 - 0.2 * 7 / 8
    assert sizes["trained"] / inside == pytest.approx(0.9, abs=0.02)
    assert inside / len(every(here)) == pytest.approx(spared**2, abs=0.06)
    for name in ("first_unseen", "second_unseen"):
        assert sizes[name] / len(every(here)) == pytest.approx(spared * (1 - spared), abs=0.05)


def said(known, tokens):
    with torch.inference_mode():
        found = logits(known.config, known.weights, torch.tensor(tokens)[None])
    return found[0, :, -1].argmax(dim=-1).numpy()


def test_a_base_is_asked_each_part_in_the_passes_wanted():
    setting = PlainSetting(entities=20, relations=3, width=16, rows=60, unseen=0.3, steps=60)
    known = grown(replace(setting, decay=0.1, rate=2e-2), 101, (60,))[60]
    [here], [parts] = known.worlds, known.splits
    once, hops = by_part(known, "one"), by_part(known, "hop by hop")
    assert list(once) == ["facts", *PARTS]
    right = []
    for start in (0, 1):
        facts = every(here, start=start, hops=1)
        tokens = [here.entity(start, facts.subjects), here.relation(start, facts.relations[:, 0])]
        answers = here.entity(start + 1, along(here, facts)[:, 1])
        right.append(said(known, np.stack(tokens, 1)) == answers)
    assert once["facts"] == hops["facts"] == pytest.approx(np.mean(right))
    assert np.mean(right) > 0.05
    for name in PARTS:
        asked = getattr(parts, name)
        first, second = (here.relation(hop, asked.relations[:, hop]) for hop in (0, 1))
        subject = here.entity(0, asked.subjects)
        answers = here.entity(2, along(here, asked)[:, 2])
        direct = said(known, np.stack([subject, first, second], 1))
        bridge = said(known, np.stack([subject, first], 1))
        stepwise = said(known, np.stack([bridge, second], 1))
        assert once[name] == pytest.approx((direct == answers).mean())
        assert hops[name] == pytest.approx((stepwise == answers).mean())
    assert once != hops
