"""Two-hop questions apart by their facts: five parts that make up all, each what its name says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from strategies import seeds

from loratheory.bench.answers import by_part
from loratheory.bench.bases import (
    PARTS,
    PlainSetting,
    combinations,
    grown,
)
from loratheory.tasks.two_hop import along, every, world
from loratheory.toy.transformer import logits


def drawn(seed, coverage=0.7, unseen=0.3):
    facts = world(seed, entities=12, relations=3)
    return facts, combinations(facts, coverage, unseen, rng=np.random.default_rng(seed))


def rows(questions):
    return {
        (x, *path)
        for x, path in zip(questions.subjects, map(tuple, questions.relations), strict=True)
    }


def needed(facts, questions):
    """The facts of each hop that these questions need, one question at a time."""
    first, second = set(), set()
    for x, (r1, r2) in zip(questions.subjects, questions.relations, strict=True):
        first.add((r1, x))
        second.add((r2, facts.maps[0, r1, x]))
    return first, second


@given(seeds)
def test_five_parts_make_up_all_questions_by_what_trained_ones_show_of_their_facts(seed):
    facts, parts = drawn(seed)
    found = [rows(getattr(parts, name)) for name in PARTS]
    assert set.union(*found) == rows(every(facts))
    assert sum(map(len, found)) == len(every(facts))
    shown = needed(facts, parts.trained)
    unseen = {"held_out": (0, 0), "first_unseen": (1, 0), "second_unseen": (0, 1)}
    for name, barred in (unseen | {"both_unseen": (1, 1)}).items():
        for hop, each in enumerate(needed(facts, getattr(parts, name))):
            if barred[hop]:
                assert not each & shown[hop]
            elif name == "held_out":
                assert each <= shown[hop]
    for each in shown:  # the first relations have no unseen fact
        assert {(0, x) for x in range(12)} <= each


def test_shares_are_those_asked_for():
    facts = world(3, entities=60, relations=8)
    parts = combinations(facts, 0.9, 0.2, rng=np.random.default_rng(3))
    sizes = {name: len(getattr(parts, name)) / len(every(facts)) for name in PARTS}
    inside, spared = sizes["trained"] + sizes["held_out"], 1 - 0.2 * 7 / 8
    assert sizes["trained"] / inside == pytest.approx(0.9, abs=0.02)
    assert inside == pytest.approx(spared**2, abs=0.06)
    for name in ("first_unseen", "second_unseen"):
        assert sizes[name] == pytest.approx(spared * (1 - spared), abs=0.05)


def answer(bases, *columns):
    """What a base says after these tokens, one row a question."""
    tokens = torch.tensor(np.stack(columns, 1))[None]
    with torch.inference_mode():
        scores = logits(bases.config, bases.weights, tokens)
    return scores[0, :, -1].argmax(dim=-1).numpy()


def test_a_base_is_asked_each_part_in_the_passes_wanted():
    setting = PlainSetting(entities=20, relations=3, width=16, rows=60, unseen=0.3, steps=60)
    bases = grown(replace(setting, decay=0.1, rate=2e-2), 101, (60,))[60]
    [facts], [parts] = bases.worlds, bases.splits
    once, hops = by_part(bases, "one"), by_part(bases, "hop by hop")
    assert list(once) == ["facts", *PARTS]
    right = []
    for start in (0, 1):
        asked = every(facts, start=start, hops=1)
        subject, relation = facts.entity(start, asked.subjects), asked.relations[:, 0]
        found = answer(bases, subject, facts.relation(start, relation))
        right.append(found == facts.entity(start + 1, along(facts, asked)[:, 1]))
    assert once["facts"] == hops["facts"] == pytest.approx(np.mean(right))
    assert once["facts"] > 0.05
    for name in PARTS:
        asked = getattr(parts, name)
        first, second = (facts.relation(hop, asked.relations[:, hop]) for hop in (0, 1))
        subject, wanted = (facts.entity(hop, along(facts, asked)[:, hop]) for hop in (0, 2))
        direct = answer(bases, subject, first, second)
        stepwise = answer(bases, answer(bases, subject, first), second)
        assert once[name] == pytest.approx((direct == wanted).mean())
        assert hops[name] == pytest.approx((stepwise == wanted).mean())
    assert once != hops
