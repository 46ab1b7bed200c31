"""_template: one template for isomorphic graphs and no others, found by trying all renumberings."""

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from strategies import seeds

from loratheory.tasks.word_problems._skills import Template, canonical, code, templates

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


@settings(max_examples=60)
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


def test_one_of_several_walks_is_the_least():
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
    assert template.links == {("rate", "add"), ("subtract", "add"), ("add", "rate")}


def test_a_shape_forgets_the_skills_alone():
    same = [Template(((0, ()), (skill, (0,)), (0, ()), (both, (1, 2))))
            for skill in (MUL, RATE) for both in (ADD, SUB, CMP)]  # fmt: skip
    assert len({template.shape for template in same}) == 1
    other = Template(((0, ()), (MUL, (0,)), (ADD, (0, 1))))
    assert other.shape != same[0].shape
