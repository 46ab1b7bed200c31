"""Each law's gap on rules made to obey or to break it."""

from dataclasses import replace

import numpy as np
import pytest

from loratheory.adapters import LAWS, METHODS, LawCase
from loratheory.lowrank import LowRank, from_dense, total


def plain(updates, weights, options):
    """The weighted sum, which obeys every law."""
    del options
    return total(list(updates), weights)


def own_mean(updates, weights, options):
    return plain(updates, weights, options) / len(updates)


def norms(updates, weights, options):
    """Adapters on equal footing: breaks linearity and scale, keeps order and signs."""
    size = [np.linalg.norm(low.dense()) for low in updates]
    return plain([low / s for low, s in zip(updates, size, strict=True)], weights, options)


def first_counts_twice(updates, weights, options):
    return plain(updates, [2 * weights[0], *weights[1:]], options)


def unsigned(updates, weights, options):
    return plain(updates, [abs(weight) for weight in weights], options)


def first_factor(updates, weights, options):
    """Looks at one factor: another gauge, another answer."""
    return plain(updates, weights, options) * float(np.linalg.norm(updates[0].up))


def crowd(updates, weights, options):
    """Counts heads, even those of weight zero."""
    return plain(updates, weights, options) * len(updates)


def dust(updates, weights, options):
    dense = plain(updates, weights, options).dense()
    return from_dense(dense + 1e-3 * np.eye(*dense.shape))


BROKEN = {
    norms: {"exact", "linear", "idempotent", "scale"},
    first_counts_twice: {"exact", "idempotent", "permutation"},
    unsigned: {"exact", "sign"},
    first_factor: {"exact", "linear", "idempotent", "gauge", "permutation", "scale"},
    crowd: {"exact", "idempotent", "zero weight"},
    dust: {"exact", "linear", "idempotent", "scale", "low rank"},
    plain: set(),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_laws_see_exactly_what_a_rule_breaks(rule):
    method = replace(METHODS["cat"], rule=rule)
    gaps = {
        law: max(law_gap(LawCase(method, "full", s)) for s in range(3))
        for law, law_gap in LAWS.items()
    }
    broken = {law for law, gap in gaps.items() if gap > 1e-9}
    assert broken == BROKEN[rule]


def test_exactness_of_a_mean_is_about_equal_shares():
    for name in ("mean", "factor-mean"):
        case = LawCase(replace(METHODS[name], rule=own_mean), "full", 0)
        assert LAWS["exact"](case) < 1e-12


def test_cases_are_what_their_seed_says():
    one, other = (LawCase(METHODS["cat"], "full", 5) for _ in range(2))
    np.testing.assert_array_equal(one.merge(one.updates()), other.merge(other.updates()))
    assert not np.array_equal(one.updates()[0].up, one.updates(1)[0].up)
    assert isinstance(one.updates()[0], LowRank)
    assert LawCase(METHODS["sum"], "full", 0).weights == [1.0, 1.0, 1.0]
