"""Steps against exact fractions or a search; one template for isomorphic graphs, none missing."""

from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from sums import result

from loratheory.tasks import ImpossibleError
from loratheory.tasks.word_problems import (
    PRIMES,
    SKILLS,
    Template,
    possible,
    templates,
)
from loratheory.tasks.word_problems._skills import (
    FAULTS,
    FORMS,
    LARGEST,
    applied,
    canonical,
    code,
    known_skills,
    proposed,
)


def stepped(skill, x, y, z, prime):
    columns = [np.array(column) for column in (x, y, z)]
    return applied(np.full(len(x), code(skill)), *columns, prime)


@pytest.mark.parametrize("skill", SKILLS)
@pytest.mark.parametrize("prime", [3, 7, 13])
def test_steps_modulo_a_prime_are_what_a_search_finds(skill, prime):
    grid = np.indices((prime,) * 3).reshape(3, -1)
    found, fault = stepped(skill, *grid, prime)
    zero = {
        "divide": grid[1] == 0,
        "percent": grid[1] == 0,
        "multiply": grid[1] == 0,
        "rate": (grid[1] == 0) | (grid[2] == 0),
    }.get(skill, np.zeros(grid.shape[1], bool))
    assert ((fault > 0) == zero).all()
    assert {FAULTS[k] for k in fault[zero]} <= {FAULTS[5], FAULTS[6]}
    by_zero = grid[1] == 0 if skill in ("divide", "rate") else np.zeros_like(zero)
    assert ((fault == 5) == by_zero).all()
    for k in np.flatnonzero(fault == 0)[:: 1 + prime // 4].tolist():
        assert found[k] == result(skill, grid[:, k].tolist(), prime)


@pytest.mark.parametrize("skill", SKILLS)
def test_steps_in_whole_numbers_are_exact_or_faulty(skill):
    rng = np.random.default_rng(0)
    x, y, z = rng.integers(1, 150, size=(3, 600))
    found, fault = stepped(skill, x, y, z, 0)
    for a, b, c, value, wrong in zip(x, y, z, found, fault, strict=True):
        a, b, c = (Fraction(int(k)) for k in (a, b, c))
        exact = {
            "add": a + b,
            "subtract": a - b,
            "multiply": a * b,
            "divide": a / b,
            "compare": max(a, b) - min(a, b),
            "rate": a / b * c,
            "percent": a * b / 100,
        }[skill]
        part = a / b if skill in ("divide", "rate") else exact
        right = exact > 0 and part.denominator == 1 and exact <= LARGEST
        if skill == "rate":
            right = right and Fraction(c, b).denominator == b
        assert (wrong == 0) == right
        if right:
            assert value == exact


def test_faults_are_named_for_what_is_wrong():
    cases = [
        ("subtract", 5, 5, 0, 1),
        ("divide", 5, 2, 0, 2),
        ("rate", 5, 2, 3, 2),
        ("percent", 7, 50, 0, 2),
        ("compare", 4, 4, 0, 3),
        ("multiply", 5000, 2, 0, 4),
        ("multiply", 3333, 3, 0, 0),
        ("rate", 8, 4, 6, 7),
    ]
    for skill, x, y, z, fault in cases:
        assert stepped(skill, [x], [y], [z], 0)[1].tolist() == [fault]


def test_proposals_stay_in_their_ranges_and_reach_their_ends():
    rng = np.random.default_rng(1)
    ranges = {
        0: range(2, 121),
        "add": range(1, 21),
        "subtract": range(1, 21),
        "multiply": range(2, 10),
        "divide": range(2, 10),
        "rate": range(2, 10),
        "percent": range(5, 100, 5),
    }
    for skill, wanted in ranges.items():
        skills = np.full(1500, code(skill) if skill else 0)
        first, second = proposed(skills, 0, rng=rng).T
        assert set(first.tolist()) == {*wanted}
        if skill == "rate":
            assert set(second.tolist()) == {*range(1, 10)}
            assert (first != second).all()
    assert set(proposed(np.zeros(500, dtype=np.int64), 7, rng=rng).ravel().tolist()) == {*range(7)}


@pytest.mark.parametrize(
    ("skills", "prime", "says"),
    [
        (("add", "pray"), 7, "unknown skills: 'pray'; choose from add, subtract, multiply"),
        ((), 7, "no skill is named; choose from add"),
        (("add",), 17, "numbers modulo 17 are asked for; choose a prime of (2, 3, 5, 7, 11, 13)"),
        (("percent",), 5, "100 is 0 modulo 5"),
        (("percent",), 2, "100 is 0 modulo 2"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(skills, prime, says):
    with pytest.raises(ImpossibleError) as caught:
        known_skills(skills, prime)
    assert says in str(caught.value)
    known_skills(("add", "rate"), 5)
    for prime in PRIMES:
        known_skills(possible(prime), prime)
        assert {*SKILLS} - {*possible(prime)} == ({"percent"} if prime in (2, 5) else set())
    for wanted, says in (((SKILLS, 0), "from 1 to 4"), ((SKILLS, 5), "from 1 to 4"),
                         ((["guess"], 2), "unknown skills: 'guess'")):  # fmt: skip
        with pytest.raises(ImpossibleError, match=says):
            templates(*wanted)


ADD, SUB, MUL, CMP, RATE = map(code, ("add", "subtract", "multiply", "compare", "rate"))


def shuffled(nodes, rng):
    """The same graph in another topological order, symmetric inputs in another order."""
    left, place, made = set(range(len(nodes))), {}, []
    while left:
        ready = [k for k in left if all(j in place for j in nodes[k][1])]
        k = int(rng.choice(ready))
        skill, inputs = nodes[k]
        moved = [place[j] for j in inputs]
        if skill in (ADD, CMP) and rng.random() < 0.5:
            moved.reverse()
        place[k] = len(made)
        made.append((skill, tuple(moved)))
        left.remove(k)
    return made, place[len(nodes) - 1]


def isomorphic(one, other):
    """Whether some renumbering turns one list of nodes into the other: all are tried."""

    def edges(nodes, number):
        return {
            (number[k], skill, tuple(sorted(moved) if skill in (ADD, CMP) else moved))
            for k, (skill, inputs) in enumerate(nodes)
            for moved in [[number[j] for j in inputs]]
        }

    straight = edges(other, range(len(other)))
    return len(one) == len(other) and any(
        number[-1] == len(one) - 1 and edges(one, number) == straight
        for number in permutations(range(len(one)))
    )


@settings(max_examples=20)
@given(seeds)
def test_renumbering_changes_no_template(seed):
    rng = np.random.default_rng(seed)
    every = templates(("add", "subtract", "compare", "rate"), 3)
    template = every[rng.integers(len(every))]
    nodes, asked = shuffled(template.nodes, rng)
    extra = [*nodes, (0, ()), (MUL, (0,)), (ADD, (0, len(nodes)))]
    found, orders = canonical(extra, asked)
    assert found == template
    assert found.code == template.code
    for order in orders:
        place = {k: number for number, k in enumerate(order)}
        again = [(nodes[k][0], frozenset(place[j] for j in nodes[k][1])) for k in order]
        assert again == [(skill, frozenset(inputs)) for skill, inputs in template.nodes]


def test_different_templates_are_not_isomorphic():
    every = [t.nodes for t in templates(("add", "subtract", "rate"), 2)]
    for number, one in enumerate(every):
        for other in every[number:]:
            assert isomorphic(one, other) == (one == other)
    assert len({Template(nodes).code for nodes in every}) == len(every)


def test_symmetries_are_found_by_hand():
    mirrored = [(0, ()), (0, ()), (MUL, (0,)), (MUL, (1,)), (ADD, (2, 3))]
    template, orders = canonical(mirrored, 4)
    assert template.nodes == ((0, ()), (MUL, (0,)), (0, ()), (MUL, (2,)), (ADD, (1, 3)))
    assert sorted(orders) == [(0, 2, 1, 3, 4), (1, 3, 0, 2, 4)]
    ordered = [*mirrored[:4], (SUB, (2, 3))]
    assert canonical(ordered, 4)[1] == ((0, 2, 1, 3, 4),)
    assert canonical(mirrored, 2) == (Template(((0, ()), (MUL, (0,)))), ((0, 2),))
    one = canonical([(0, ()), (0, ()), (RATE, (0,)), (ADD, (1, 2))], 3)
    other = canonical([(0, ()), (RATE, (0,)), (0, ()), (ADD, (1, 2))], 3)
    assert one[0] == other[0]
    assert one[0].nodes == ((0, ()), (0, ()), (RATE, (1,)), (ADD, (0, 2)))


def test_what_a_template_says_of_itself():
    template = Template(((0, ()), (RATE, (0,)), (0, ()), (SUB, (2,)), (ADD, (1, 3)), (RATE, (4,))))
    assert str(template) == "b = rate(a); d = subtract(c); e = add(b, d); f = rate(e)"
    assert (template.steps, template.depth) == (4, 3)
    assert template.skills == {"rate", "subtract", "add"}
    assert template.pairs == {("add", "rate"), ("add", "subtract"), ("subtract", "rate")}
    same = [Template(((0, ()), (skill, (0,)), (0, ()), (both, (1, 2))))
            for skill in (MUL, RATE) for both in (ADD, SUB, CMP)]  # fmt: skip
    assert len({template.shape for template in same}) == 1
    assert Template(((0, ()), (MUL, (0,)), (ADD, (0, 1)))).shape != same[0].shape


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


@settings(max_examples=20)
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
