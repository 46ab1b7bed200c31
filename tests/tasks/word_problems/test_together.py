"""_together: nothing of a problem is lost beside wider ones."""

import numpy as np
import pytest

from loratheory.tasks.word_problems import ImpossibleError, keys, pool, programs, stories, together


def some(prime=0):
    rng = np.random.default_rng(0)
    return [pool(["rate", "add"], steps=k, prime=prime).drawn(9, rng=rng) for k in (3, 1, 2)]


def test_all_is_as_it_was_apart():
    parts = some()
    whole = together(parts)
    assert len(whole) == 27
    for said in (keys, stories, programs):
        assert said(whole) == [each for part in parts for each in said(part)]
    assert whole.answers.tolist() == [a for part in parts for a in part.answers.tolist()]
    assert whole.distractors.max() == 0
    assert (np.sort(whole.order, axis=1) == np.arange(whole.order.shape[1])).all()
    for empty in (whole.inputs, whole.numbers, whole.values, whole.names):
        assert (empty[~whole.told] == -1).all()
    assert (np.sort(whole.solution, axis=1)[:, -1] == whole.asked).all()


def test_excluded_draws_are_added_up():
    parts = some()
    for reason, count in together(parts).excluded.items():
        assert count == sum(part.excluded.get(reason, 0) for part in parts)
    assert sum(together(parts).excluded.values()) > max(
        sum(part.excluded.values()) for part in parts
    )


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ImpossibleError, match=r"problems modulo \[0, 7\] do not mix"):
        together([some()[0], some(7)[0]])
    with pytest.raises(ImpossibleError, match="there are no problems"):
        together([])
