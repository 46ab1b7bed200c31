"""_perturbed: one thing changes in every problem, and nothing else in any."""

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from sums import read

from loratheory.tasks.word_problems import (
    ImpossibleError,
    distracted,
    keys,
    pool,
    problems,
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
