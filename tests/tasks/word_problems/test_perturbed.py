"""One thing changes in every problem, and nothing else in any; more is told, nothing else asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
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

COLUMNS = (
    "skills",
    "inputs",
    "numbers",
    "values",
    "names",
    "wordings",
    "order",
    "asked",
    "asking",
    "scenes",
)
FEW = ("add", "compare", "rate")


def some(seed, prime=0, rows=25):
    rng = np.random.default_rng(seed)
    return distracted(pool(FEW, steps=(1, 2), prime=prime).drawn(rows, rng=rng), 1, rng=rng), rng


def changed(one, other):
    return {name for name in COLUMNS if (getattr(one, name) != getattr(other, name)).any()}


@settings(max_examples=8)
@given(seeds)
def test_each_changes_what_it_says_in_every_problem(seed):
    here, rng = some(seed)
    for change, what in (
        (reworded, {"wordings", "asking"}),
        (renamed, {"names"}),
        (reordered, {"order"}),
        (renumbered, {"numbers", "values"}),
    ):
        made = change(here, rng=rng)
        assert changed(here, made) == what
        differs = [getattr(here, name) != getattr(made, name) for name in what]
        assert all(each.reshape(len(here), -1).any(axis=1).all() for each in differs[:1])
        assert [read(s.problem) for s in stories(made)] == made.answers.tolist()
        if change is not renumbered:
            assert keys(made) == keys(here)
            assert (made.answers == here.answers).all()


def test_every_sentence_is_in_other_words_of_those_allowed():
    here, rng = some(0)
    made = reworded(here, rng=rng, wordings=[1, 3])
    assert (made.wordings != here.wordings)[here.told].all()
    assert (made.asking != here.asking).all()
    assert {*made.wordings[made.told].tolist()} == {1, 3}
    again = reworded(reworded(here, rng=rng, wordings=[0, 1]), rng=rng, wordings=[2])
    assert {*again.wordings[again.told].tolist()} == {2}


def test_names_stay_different_and_all_change():
    here, rng = some(1)
    made = renamed(here, rng=rng)
    assert (made.names != here.names)[here.told].all()
    assert (made.names[~here.told] == -1).all()
    for row in range(len(made)):
        names = made.names[row][made.told[row]].tolist()
        assert len({*names}) == len(names)
        assert {*names} <= {*range(12)}


def test_all_other_orders_come_and_what_is_told_stays_in_front():
    (template,) = [t for t in templates(["add"], 1) if len(t.nodes) == 3]
    here = problems([template], 600, rng=np.random.default_rng(0))
    made = reordered(here, rng=np.random.default_rng(1))
    orders = {tuple(each) for each in made.order.tolist()}
    assert len(orders) == 5
    assert (0, 1, 2) not in orders
    mixed = reordered(some(2)[0], rng=np.random.default_rng(2))
    for row in range(len(mixed)):
        told = mixed.told[row][mixed.order[row]]
        assert (told == np.sort(told)[::-1]).all()
        assert sorted(mixed.order[row].tolist()) == [*range(mixed.order.shape[1])]


def test_other_numbers_even_where_there_are_few():
    (template,) = [t for t in templates(["add"], 1) if len(t.nodes) == 2]
    here = problems([template], 200, rng=np.random.default_rng(0), prime=2)
    made = renumbered(here, rng=np.random.default_rng(1))
    assert (made.numbers != here.numbers).any(axis=(1, 2)).all()
    assert (made.answers == made.numbers[:, :, 0].sum(axis=1) % 2).all()


def test_what_cannot_change_is_refused():
    here, rng = some(3)
    with pytest.raises(ImpossibleError, match="some sentences are in wording 2 already"):
        reworded(here, rng=rng, wordings=[2])
    for words in ([], [4], [-1]):
        with pytest.raises(ImpossibleError, match="name some of 0, 1, 2, 3"):
            reworded(here, rng=rng, wordings=words)
    one = pool(["multiply"], steps=1, prime=2).drawn(3, rng=rng)
    one = type(one)(**{**vars(one), "numbers": 0 * one.numbers + [[0, -1], [1, -1]]})
    done = renumbered(one, rng=rng)  # 0 · 1 can become 1 · 1 alone
    assert done.numbers[:, :, 0].tolist() == [[1, 1]] * 3


def more(seed, count=2, rows=30, **options):
    rng = np.random.default_rng(seed)
    here = pool(FEW, steps=(1, 2)).drawn(rows, rng=rng)
    return here, distracted(here, count, rng=rng, **options)


@settings(max_examples=10)
@given(seeds)
def test_nothing_that_is_asked_changes(seed):
    here, made = more(seed)
    assert made.distractors.tolist() == [2] * len(here)
    assert keys(made) == keys(here)
    assert (made.answers == here.answers).all()
    assert programs(made) == programs(here)
    assert [run(each) for each in programs(made)] == here.answers.tolist()
    assert [read(s.problem) for s in stories(made)] == here.answers.tolist()
    assert [s.solution for s in stories(made)] == [s.solution for s in stories(here)]


def test_causes_are_told_first_and_distractors_anywhere_after_them():
    here, made = more(0, rows=300)
    place = made.order.argsort(axis=1)
    first, last = False, False
    for row in range(len(made)):
        told = [k for k in made.order[row].tolist() if made.told[row, k]]
        assert made.order[row, : len(told)].tolist() == told
        kept = [k for k in told if made.needed[row, k]]
        assert kept == [k for k in here.order[row].tolist() if here.told[row, k]]
        for k in told:
            assert all(place[row, j] < place[row, k] for j in made.inputs[row, k] if j >= 0)
        first |= told[0] not in kept
        last |= told[-1] not in kept
    assert first
    assert last


def test_distractors_are_given_or_steps_of_the_skills_named():
    _, made = more(1, rows=300, skills=FEW)
    idle = made.skills[made.told & ~made.needed]
    assert {*idle.tolist()} == {0, 1, 6}
    assert 0.3 < (idle == 0).mean() < 0.7
    assert (made.inputs[made.skills == 0] == -1).all()
    _, bare = more(1, rows=20, skills=["compare"])
    assert {*bare.skills[bare.told & ~bare.needed].tolist()} == {0}
    _, plain = more(1, rows=60, wordings=[3])
    assert {*plain.wordings[plain.told & ~plain.needed].tolist()} == {3}


def test_names_stay_different():
    _, made = more(2, count=5, rows=60)
    for row in range(len(made)):
        names = made.names[row][made.told[row]].tolist()
        assert len({*names}) == len(names)
        assert {*names} <= {*range(12)}


def test_draws_are_counted():
    here, made = more(3, rows=100)
    assert sum(made.excluded.values()) > sum(here.excluded.values())


def test_modulo_a_prime_too():
    rng = np.random.default_rng(4)
    here = pool(FEW, steps=2, prime=7).drawn(50, rng=rng)
    made = distracted(here, 2, rng=rng, skills=["divide", "rate"])
    assert [run(each) for each in programs(made)] == here.answers.tolist()
    assert {*made.skills[made.told & ~made.needed].tolist()} == {0, 4, 6}


def test_what_does_not_fit_is_refused():
    rng = np.random.default_rng(5)
    here = pool(["rate"], steps=2).drawn(3, rng=rng)
    assert distracted(here, 9, rng=rng).told.sum() == 36
    with pytest.raises(
        ImpossibleError, match="13 quantities would need names, and there are 12; ad"
    ):
        distracted(here, 10, rng=rng)
    with pytest.raises(ImpossibleError, match="distractors is -1"):
        distracted(here, -1, rng=rng)
    with pytest.raises(ImpossibleError, match="unknown skills: 'hum'"):
        distracted(here, 1, rng=rng, skills=["hum"])
