"""Bases: each depends on its seed and setting alone, and is kept under all that determines it."""

import numpy as np
import torch
from synthetic import SMALL, small

from loratheory.tasks.prompts import stacked
from loratheory.tasks.two_hop import all_questions, draw_facts, encode
from paper.studies._shared.models import batch, digest, fingerprint


def test_a_base_depends_on_its_seed_and_its_setting_alone():
    both, alone = small(), small((102,))
    for name, x in alone.weights.items():
        assert torch.equal(both.weights[name][1:], x)
    assert not torch.equal(*both.weights["embedding"])
    for facts, seed, parts in zip(both.fact_sets, both.seeds, both.splits, strict=True):
        assert np.array_equal(facts.maps, draw_facts(seed, entities=64).maps)
        assert len(parts.trained) == SMALL.coverage * len(all_questions(facts))
    subjects = [set(parts.trained.subjects.tolist()) for parts in both.splits]
    assert subjects[0] != subjects[1]


def test_fingerprints_change_with_what_they_are_of():
    facts = draw_facts(0, entities=20)
    two, one = (
        encode(facts, all_questions(facts)),
        encode(facts, all_questions(facts, start=0, hops=1)),
    )
    assert digest([two]) == digest([encode(facts, all_questions(facts))])
    variants = [[two], [two.final()], [one], [two, one], [one, two]]
    assert len({digest(sets) for sets in variants}) == len(variants)
    x = torch.arange(6.0)
    weights = [{"a": x}, {"b": x}, {"a": x + 1}, {"a": x.view(2, 3)}]
    assert len({fingerprint(each) for each in weights}) == len(weights)
    assert fingerprint({"a": x, "b": x}) == fingerprint({"b": x, "a": x.clone()})


def test_the_second_answer_of_a_question_is_due_after_two_loops():
    facts = draw_facts(0, entities=20)
    rows = batch(stacked([encode(facts, all_questions(facts))]))
    assert rows.tokens.shape == (1, 20, 3)
    due = rows.targets >= 0
    assert due.sum(-1).eq(2).all()
    assert torch.equal(rows.hops[due].view(-1, 2), torch.tensor([[1, 2]]).expand(20, 2))
