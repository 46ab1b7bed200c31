"""One thing changes in every problem, and nothing else in any; more is told, nothing else asked."""

from dataclasses import fields

import numpy as np
import pytest
from sums import read, run

from loratheory.tasks.word_problems import (
    ImpossibleError,
    distracted,
    keys,
    pool,
    problems,
    programs,
    renamed,
    renumbered,
    reordered,
    reworded,
    stories,
    templates,
)

FEW = ("add", "compare", "rate")


def some(seed, prime=0, rows=25):
    rng = np.random.default_rng(seed)
    return distracted(pool(FEW, steps=(1, 2), prime=prime).drawn(rows, rng=rng), 1, rng=rng), rng


@pytest.mark.parametrize("prime", [0, 5])
@pytest.mark.parametrize(
    ("change", "what"),
    [
        (reworded, {"wordings", "asking"}),
        (renamed, {"names"}),
        (reordered, {"order"}),
        (renumbered, {"numbers", "values"}),
    ],
)
def test_each_changes_what_it_says_in_every_problem(change, what, prime):
    here, rng = some(prime, prime)
    made = change(here, rng=rng)
    columns = {each.name for each in fields(here)} - {"prime", "excluded"}
    differs = {n: getattr(here, n) != getattr(made, n) for n in columns}
    assert {name for name, each in differs.items() if each.any()} == what
    first = differs[
        min(what, key=("wordings", "numbers", "names", "order", "asking", "values").index)
    ]
    assert first.reshape(len(here), -1).any(axis=1).all()
    assert [run(each) for each in programs(made)] == made.answers.tolist()
    if not prime:
        assert [read(s.problem) for s in stories(made)] == made.answers.tolist()
    if change is not renumbered:
        assert keys(made) == keys(here)
        assert (made.answers == here.answers).all()
    if change is reworded:
        assert differs["wordings"][here.present].all()
        assert differs["asking"].all()
    if change is renamed:
        assert differs["names"][here.present].all()
        assert (made.names[~here.present] == -1).all()
    for row in range(len(made)):
        names = made.names[row][made.present[row]].tolist()
        assert len({*names}) == len(names)
        assert {*names} <= {*range(12)}
        present = made.present[row][made.order[row]]
        assert (present == np.sort(present)[::-1]).all()  # what is told stays in front


def test_words_are_of_those_allowed():
    here, rng = some(0)
    made = reworded(here, rng=rng, wordings=[1, 3])
    assert {*made.wordings[made.present].tolist()} == {*made.asking.tolist()} == {1, 3}
    again = reworded(reworded(here, rng=rng, wordings=[0, 1]), rng=rng, wordings=[2])
    assert {*again.wordings[again.present].tolist()} == {2}
    with pytest.raises(ImpossibleError, match="some sentences are in wording 2 already"):
        reworded(here, rng=rng, wordings=[2])
    for words in ([], [4], [-1]):
        with pytest.raises(ImpossibleError, match="name some of 0, 1, 2, 3"):
            reworded(here, rng=rng, wordings=words)


def test_all_other_orders_come():
    (template,) = [t for t in templates(["add"], 1) if len(t.nodes) == 3]
    here = problems([template], 600, rng=np.random.default_rng(0))
    orders = {*map(tuple, reordered(here, rng=np.random.default_rng(1)).order.tolist())}
    assert len(orders) == 5
    assert (0, 1, 2) not in orders


def test_other_numbers_even_where_there_are_few():
    one = pool(["multiply"], steps=1, prime=2).drawn(3, rng=np.random.default_rng(0))
    one = type(one)(**{**vars(one), "numbers": 0 * one.numbers + [[0, -1], [1, -1]]})
    made = renumbered(one, rng=np.random.default_rng(0))  # 0 · 1 can become 1 · 1 alone
    assert made.numbers[:, :, 0].tolist() == [[1, 1]] * 3
    here = pool(["multiply"], steps=1, prime=2).drawn(60, rng=np.random.default_rng(1))
    again = renumbered(here, rng=np.random.default_rng(1)).numbers
    assert (again != here.numbers).any(axis=(1, 2)).all()


@pytest.mark.parametrize(("prime", "count"), [(0, 0), (0, 2), (0, 5), (7, 2)])
def test_distractors_change_nothing_that_is_asked(prime, count):
    rng = np.random.default_rng(0)
    here = pool(FEW, steps=(1, 2), prime=prime).drawn(60, rng=rng)
    made = distracted(here, count, rng=rng, skills=FEW, wordings=[3, 1])
    assert made.distractors.tolist() == [count] * len(here)
    assert keys(made) == keys(here)
    assert (made.answers == here.answers).all()
    assert programs(made) == programs(here)
    if not prime:
        assert [read(s.problem) for s in stories(made)] == here.answers.tolist()
        assert [s.solution for s in stories(made)] == [s.solution for s in stories(here)]
    place, idle = made.order.argsort(axis=1), made.present & ~made.needed
    assert {*made.wordings[idle].tolist()} == ({1, 3} if count else set())
    assert (sum(made.excluded.values()) > sum(here.excluded.values())) == (count > 0)
    ends = set()
    for row in range(len(made)):
        shown = [k for k in made.order[row].tolist() if made.present[row, k]]
        assert made.order[row, : len(shown)].tolist() == shown
        kept = [k for k in shown if made.needed[row, k]]
        assert kept == [k for k in here.order[row].tolist() if here.present[row, k]]
        for k in shown:  # causes first, distractors anywhere after them
            assert all(place[row, j] < place[row, k] for j in made.inputs[row, k] if j >= 0)
        ends |= {shown[0] not in kept, 2 + (shown[-1] not in kept)}
        names = made.names[row][made.present[row]].tolist()
        assert len({*names}) == len(names)
        assert {*names} <= {*range(12)}
    assert ends == ({0, 1, 2, 3} if count else {0, 2})


def test_half_of_the_distractors_are_steps_of_the_skills_named():
    rng = np.random.default_rng(1)
    here = pool(FEW, steps=(1, 2)).drawn(200, rng=rng)
    for skills, codes in ((FEW, {0, 1, 6}), (["compare"], {0}), (None, {0, 1, 2, 3, 4, 6, 7})):
        made = distracted(here, 1, rng=rng, skills=skills)
        idle = made.skills[made.present & ~made.needed]
        assert {*idle.tolist()} == codes
        assert len(codes) == 1 or 0.3 < (idle == 0).mean() < 0.7
        places = made.order.argsort(axis=1)
        behind = places[:, -1] - places[np.arange(len(made)), made.inputs[:, -1, 0]]
        assert len(codes) == 1 or {1, 2, 3} <= {*behind[made.skills[:, -1] > 0].tolist()}
        assert (made.inputs[made.skills == 0] == -1).all()


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(5)
    here = pool(["rate"], steps=2).drawn(3, rng=rng)
    assert distracted(here, 9, rng=rng).present.sum() == 36
    for count, wanted, says in (
        (10, {}, "13 quantities would need names, and there are 12; add 9"),
        (-1, {}, "distractors is -1"),
        (1, {"skills": ["hum"]}, "unknown skills: 'hum'"),
    ):
        with pytest.raises(ImpossibleError, match=says):
            distracted(here, count, rng=rng, **wanted)
