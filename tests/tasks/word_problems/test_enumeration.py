"""_enumeration: every template once, none missing, counted by hand and by random growth."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds

from loratheory.tasks import ImpossibleError
from loratheory.tasks.word_problems._skills import FORMS, SKILLS, canonical, code, templates

FEW = ("add", "subtract", "compare", "rate")


def test_numbers_of_templates_by_hand():
    assert len(templates(SKILLS, 1)) == 9
    assert [len(templates(["rate", "percent"], steps)) for steps in (1, 2, 3, 4)] == [2, 4, 8, 16]
    assert [str(t) for t in templates(["compare"], 1)] == ["c = compare(a, b)"]
    # compare twice: the second takes the first and a new quantity, or one that the first took
    assert [str(t) for t in templates(["compare"], 2)] == [
        "d = compare(b, c); e = compare(a, d)",
        "c = compare(a, b); d = compare(a, c)",
    ]


@settings(max_examples=60)
@given(seeds)
def test_whatever_grows_is_there(seed):
    """Steps put on each other at random, kept if the last one needs all."""
    rng = np.random.default_rng(seed)
    while True:
        nodes = []
        for _ in range(3):
            skill = FEW[rng.integers(len(FEW))]
            quantities = FORMS[skill][rng.integers(len(FORMS[skill]))][0]
            inputs = []
            for _ in range(quantities):
                if not nodes or rng.random() < 0.3:
                    nodes.append((0, ()))
                    inputs.append(len(nodes) - 1)
                else:
                    inputs.append(int(rng.integers(len(nodes))))
            if len(set(inputs)) < quantities:
                break
            nodes.append((code(skill), tuple(inputs)))
        else:
            template = canonical(nodes, len(nodes) - 1)[0]
            if len(template.nodes) == len(nodes):
                break
    assert template in templates(FEW, 3)


def test_all_are_canonical_of_their_size_and_no_step_takes_one_quantity_twice():
    every = templates(FEW, 3)
    assert len(set(every)) == len(every)
    assert [*every] == sorted(every)
    for template in every[::7]:
        assert canonical(template.nodes, len(template.nodes) - 1)[0] == template
        assert template.steps == 3
        assert all(len(set(inputs)) == len(inputs) for _, inputs in template.nodes)


def test_names_may_come_in_any_order_and_twice():
    assert templates(["rate", "add", "rate"], 2) == templates(("add", "rate"), 2)


@pytest.mark.parametrize("steps", [0, 5])
def test_other_numbers_of_steps_are_refused(steps):
    with pytest.raises(ImpossibleError, match="ask for a number from 1 to 4"):
        templates(SKILLS, steps)
    with pytest.raises(ImpossibleError, match="unknown skills: 'guess'"):
        templates(["guess"], 2)
