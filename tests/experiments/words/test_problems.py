"""_problems: kinds of bases, lessons of the shares asked for, targets in their order."""

import numpy as np
import pytest

from loratheory.experiments.words import _problems as p
from loratheory.tasks.word_problems import shape_share, template_overlap


def spoken(prompts):
    """The signs and words of all tokens."""
    return {word for row in prompts.tokens for word in p.CODE.written(row).split()}


def test_a_target_is_solved_in_its_order():
    (row,) = p.drawn([p.linked(("divide", "percent"))], 1, np.random.default_rng(0)).templates
    assert str(row) == "b = divide(a); c = percent(b)"
    assert row.links == {("divide", "percent")}
    assert set(p.PAIRS) == {(a, b) for a in p.SKILLS for b in p.SKILLS if a != b}


@pytest.mark.parametrize("steps", [1, 2])
def test_chains_take_one_quantity_a_step(steps):
    found = p.chains(p.CONTEXT, steps)
    assert len(found) == len(set(found)) == 2**steps
    assert all(t.depth == t.steps == steps for t in found)


@pytest.mark.parametrize("kind", p.KINDS)
def test_each_kind_has_seen_what_it_says(kind):
    sets = p.pretraining(kind, 101, 12)
    assert all(one.tokens.shape[1] == sets[0].tokens.shape[1] for one in sets)
    signs = set().union(*map(spoken, sets))
    assert signs >= {*p.CONTEXT, *p.SKILLS}
    lines = max(max((row >= 0).sum() for row in one.targets) for one in sets)
    assert lines == (5 if kind == "single steps" else 10)
    both = [p.CODE.written(row).split() for one in sets for row in one.targets]
    met = [words for words in both if len({*p.SKILLS} & {*words}) == 2]
    assert bool(met) == (kind == "half the pairs")


def test_half_of_the_ordered_pairs_are_covered_by_seed():
    for seed in (0, 2, 4, 6):
        one, other = p.covered(seed), p.covered(seed + 1)
        assert len(one) == len(other) == 3
        assert one | other == {*p.PAIRS}
    assert len({p.covered(2 * k) for k in range(5)}) > 1


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 1])
def test_a_lesson_holds_the_share_of_shared_templates(share):
    shared = (p.linked(("percent", "multiply")),)
    one, two = (p.Lesson((s,), shared, share) for s in ("multiply", "percent"))
    sets = [lesson.drawn(40, np.random.default_rng(7)).templates for lesson in (one, two)]
    assert template_overlap(*sets) == pytest.approx(share)
    assert shape_share(sets[0], [p.linked(("multiply", "percent"))]) == share
    assert sum(t.steps == 1 and t.skills == {"multiply"} for t in sets[0]) == 40 * (1 - share)


def test_five_sixths_of_a_lesson_are_told_step_by_step_in_no_order():
    rows = p.Lesson(("divide",)).prompts(48, np.random.default_rng(0))
    steps = (rows.targets >= 0).sum(axis=1) > 1
    assert len(rows) == 48
    assert steps.sum() == 40
    assert steps[:40].sum() < 40
