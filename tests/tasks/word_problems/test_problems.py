"""_problems: columns against the same walked one problem at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds

from loratheory.tasks.word_problems import distracted, keys, pool, reordered

FEW = ("add", "compare", "rate")


def some(seed, rows=20):
    rng = np.random.default_rng(seed)
    made = pool(FEW, steps=(1, 2, 3), prime=7).drawn(rows, rng=rng)
    return reordered(distracted(made, 2, rng=rng), rng=rng)


def solved(here, row):
    """Quantities needed, and the steps to take, by recursion and by a list of what is known."""
    skills, inputs = here.skills[row].tolist(), here.inputs[row].tolist()
    needed = set()

    def need(k):
        needed.add(k)
        for j in inputs[k]:
            if j >= 0:
                need(j)

    need(int(here.asked[row]))
    known = {k for k, skill in enumerate(skills) if skill == 0}
    told = [k for k in here.order[row].tolist() if skills[k] >= 0]
    steps = []
    while not needed <= known:
        k = next(
            k for k in told
            if k in needed and k not in known and {*inputs[k]} - {-1} <= known
        )  # fmt: skip
        known.add(k)
        steps.append(k)
    return needed, steps


@settings(max_examples=12)
@given(seeds)
def test_what_is_needed_and_in_which_order_it_is_solved(seed):
    here = some(seed)
    needed, solution = here.needed, here.solution
    for row in range(len(here)):
        wanted, steps = solved(here, row)
        assert {*np.flatnonzero(needed[row]).tolist()} == wanted
        found = solution[row].tolist()
        assert found[: len(steps)] == steps
        assert {*found[len(steps) :]} <= {-1}
        assert here.distractors[row] == sum(here.skills[row] >= 0) - len(wanted) == 2
        assert here.answers[row] == here.values[row, here.asked[row]]


def test_templates_are_those_they_were_drawn_of():
    rng = np.random.default_rng(0)
    here = pool(FEW, steps=2, prime=7)
    made = here.drawn(60, rng=rng)
    assert {*made.templates} == {*here.templates}
    for row, template in enumerate(made.templates):
        assert template.steps == sum(made.solution[row] >= 0)
        assert tuple(n for n in made.graph(row) if n[0] >= 0) == template.nodes


def test_another_question_about_one_graph_has_another_template():
    made = pool(["rate"], steps=2, prime=7).drawn(2, rng=np.random.default_rng(0))
    both = type(made)(**{**vars(made), "asked": np.array([1, 2])})
    assert [str(t) for t in both.templates] == ["b = rate(a)", "b = rate(a); c = rate(b)"]
    assert both.distractors.tolist() == [1, 0]


def test_rows_are_problems():
    here = some(1)
    part = here[np.array([3, 0])]
    assert (len(here), len(part)) == (20, 2)
    assert keys(part) == [keys(here)[3], keys(here)[0]]
    assert part.answers.tolist() == [here.answers[3], here.answers[0]]


@pytest.mark.parametrize("name", ["skills", "inputs", "numbers", "values", "names", "asked"])
def test_problems_cannot_be_overwritten(name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(some(2), name)[0] = 0
