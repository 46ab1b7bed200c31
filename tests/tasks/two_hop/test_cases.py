"""_cases: the case of an edit, its threshold, and what memories built from its facts answer."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from worlds import some

from loratheory.tasks.two_hop import (
    Edit,
    ImpossibleError,
    case,
    edit,
    ideal,
    matched,
    pairs,
    threshold,
)
from loratheory.tasks.two_hop._world import together
from loratheory.toy import Hop, chain

GOLDEN = (5**0.5 - 1) / 2
CASES = [
    ({}, "A", GOLDEN, True),
    ({"answers": "permuted"}, "A", GOLDEN, True),
    ({"also": "other"}, "A", GOLDEN, True),
    ({"also": "old"}, "B", 0.5, True),
    ({"bridges": "permuted", "answers": "permuted"}, "B", 0.5, True),
    ({"bridges": "permuted"}, "B", 0.5, True),
    ({"familiarity": "half"}, "C", 0.5, True),
    ({"familiarity": "half", "answers": "kept"}, "D", 0, True),
    ({"familiarity": "fake"}, "D", 0, False),
    ({"answers": "kept"}, "one", 0.5, True),
    ({"bridges": "kept"}, "one", 0.5, True),
    ({"bridges": "kept", "answers": "kept"}, "none", 0, True),
]


@pytest.mark.parametrize(("wanted", "name", "least", "familiar"), CASES)
def test_each_kind_of_edit_is_of_its_case(wanted, name, least, familiar):
    here, rng = some(3)
    found = case(edit(here, 4, rng=rng, **wanted))
    assert found == (name, pytest.approx(least, abs=1e-9), familiar)


@settings(max_examples=4)
@given(seeds)
def test_matched_edits_are_case_a_and_case_b(seed):
    here, rng = some(seed)
    assert [case(made).name for made in matched(here, 3, rng=rng)] == ["A", "B"]


@pytest.mark.parametrize("hops", [2, 3, 4])
@pytest.mark.parametrize("pattern", ["A", "C", "D"])
def test_thresholds_solve_the_equation_of_their_chain(hops, pattern):
    here, rng = some(1, hops=hops)
    familiarity = {"A": "real", "C": "half", "D": "fake"}[pattern]
    found = case(edit(here, 2, rng=rng, familiarity=familiarity))
    old = {"A": hops, "C": hops - 1, "D": 0}[pattern]  # how many old facts compete
    c = found.threshold
    assert found.name == pattern
    assert c**old + c == pytest.approx(1, abs=1e-9)


def test_one_hop_survives_from_one_half_on():
    here, rng = some(1, hops=1)
    assert case(edit(here, 2, rng=rng)) == ("one", pytest.approx(0.5), True)


@settings(max_examples=20)
@given(seeds)
def test_an_ideal_memory_sums_over_ways(seed):
    here, rng = some(seed, hops=3)
    wanted = [{}, {"familiarity": "half"}, {"answers": "kept"}, {"bridges": "kept"}]
    made = edit(here, 3, rng=rng, **wanted[seed % 4])
    coefficients = rng.uniform(0, 1.5, size=3).tolist()
    weight = np.zeros((3, here.size))
    for new in product((True, False), repeat=3):
        share = np.prod(
            [c if is_new else 1 - c for c, is_new in zip(coefficients, new, strict=True)]
        )
        for row, token in enumerate(made.answers(new).tolist()):
            if token >= 0:
                weight[row, token - here.level(3).start] += share
    assert ideal(made, coefficients) == pytest.approx(weight, abs=1e-12)


def built(made: Edit, rng: np.random.Generator):
    """The edit's world as two memories with random keys, and the keys of its subjects."""
    size, d = made.before.size, made.before.size + 4
    keys, bridges, values = (rng.standard_normal((d, size)) for _ in range(3))
    reads = []
    for hop, (key, frame) in enumerate(((keys, values), (bridges, np.eye(size)))):
        old, new = (
            np.where(world.maps[hop, 0] < 0, 0, frame[:, world.maps[hop, 0]])
            for world in (made.before, made.after)
        )
        reads.append(Hop(key, old, new))
    return chain(reads, (values,)), keys[:, made.questions.subjects]


@pytest.mark.parametrize("wanted", [wanted for wanted, *_ in CASES])
def test_memories_built_from_the_facts_answer_as_predicted(wanted):
    here, rng = some(5, entities=24, spare=6)
    made = edit(here, 4, rng=rng, **wanted)
    model, subjects = built(made, rng)
    least = threshold(made)
    for c in (0.2, max(least - 1e-6, 0.1), least + 1e-6, 0.7, 1.0):
        logits = model.output(subjects, (c, c)).T
        assert logits == pytest.approx(ideal(made, (c, c)), abs=1e-6)
        answered = bool((logits.argmax(axis=1) == made.chains[:, -1]).all())
        assert answered == (c > least)


def test_chains_of_two_cases_have_no_case():
    here, rng = some(0)
    one, other = pairs(here, 2, 3, rng=rng)
    maps = np.where(other.edited(), other.after.maps, one.after.maps).copy()
    maps[1, 0, one.chains[0, 1]] = here.maps[1, 0, one.chains[0, 1]]  # this fact stays
    after = type(here)(maps, here.entities, here.canaries)
    mixed = Edit(here, after, together(one.questions, other.questions), one.taught)
    with pytest.raises(ImpossibleError, match="chains of the cases A, one"):
        case(mixed)
    assert threshold(mixed) == pytest.approx(GOLDEN, abs=1e-9)  # the last chain to be won


def test_a_target_that_never_wins_has_threshold_one():
    here, rng = some(0)
    made = edit(here, 3, rng=rng)
    never = Edit(here, here, made.questions, made.taught)  # nothing changed, so all is kept
    assert threshold(never) == 0
    assert case(never).name == "none"


def test_coefficients_are_one_per_hop():
    here, rng = some(0)
    with pytest.raises(ImpossibleError, match="1 coefficients are given for 2 hops"):
        ideal(edit(here, 3, rng=rng), (1.0,))
