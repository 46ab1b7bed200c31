"""_one_read: a merge in one matrix adds."""

import numpy as np
import pytest
from hypothesis import given
from strategies import seeds

from loratheory.lowrank import gaussian
from loratheory.toy import Merge

MUTANTS = [
    ("weight * (low @ key)", "(low @ key)"),
    ("return sum(rest, base)", "return sum(rest, 0 * base)"),
]


@given(seeds)
def test_logits_are_those_of_the_dense_sum(seed):
    rng = np.random.default_rng(seed)
    base, *adapters = (gaussian(rng, 4, 5, 2) for _ in range(4))
    weights, key = tuple(rng.uniform(-2, 2, 3).tolist()), rng.standard_normal(5)
    merged = base.dense() + sum(w * a.dense() for w, a in zip(weights, adapters, strict=True))
    merge = Merge(base, tuple(adapters), weights)
    assert merge.logits(key) == pytest.approx(merged @ key, abs=1e-12)
    assert len(merge.parts(key)) == 4
