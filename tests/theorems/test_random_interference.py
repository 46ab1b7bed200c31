"""random_interference: by hand, by the exact law, by real rotated adapters, symmetries, limits."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc
from strategies import seeds

from loratheory.lowrank import frobenius, gaussian, orthonormal
from loratheory.theorems import AssumptionError, averaging_survival
from loratheory.theorems.libraries.random_interference import (
    CONTROLS,
    THEOREM,
    Case,
    bound,
    directions,
    energy,
    failure,
    largest_library,
    margin_needed,
    measure,
)
from loratheory.toy import Merge


def drawn(seed):
    return THEOREM.draw(np.random.default_rng(seed), 8)


def test_hand_example():
    """On a line a turn is a sign: two adapters of 1 overturn a lead of 2 one time in four."""
    case = Case(np.ones((1, 2, 1)), np.array([2.0]))
    signs = np.array([[[a], [b]] for a in (1.0, -1.0) for b in (1.0, -1.0)])
    assert measure(case, signs) == 1 / 4
    assert bound(case) == pytest.approx(math.exp(-1), rel=1e-14)


@settings(max_examples=25)
@given(seeds)
def test_the_exact_law_of_one_adapter_is_below_the_tail_and_met_by_simulation(seed):
    """A coordinate of the sphere has a beta law."""
    rng = np.random.default_rng(seed)
    n, x = int(rng.integers(2, 20)), float(rng.uniform(0.05, 0.95))
    case = Case(np.eye(1, n)[None], np.array([x]), 4000)
    exact = betainc((n - 1) / 2, 1 / 2, 1 - x**2) / 2
    assert exact <= bound(case)
    found = measure(case, directions(rng, 4000, 1, n))
    assert found == pytest.approx(exact, abs=7 * math.sqrt(exact / 4000) + 0.01)


def test_moments_of_the_sphere_are_below_a_gaussians():
    """Exact rationals: the inequality that the proof uses."""
    for n in range(1, 12):
        for q in range(1, 9):
            sphere = math.prod((2 * i + 1) / (n + 2 * i) for i in range(q))
            assert sphere <= math.prod((2 * i + 1) / n for i in range(q)) * (1 + 1e-14)


def test_rotated_adapters_in_a_merge_do_as_the_directions_say():
    """Real low-rank updates behind random rotations: the energy's mean, and how often one loses."""
    rng, n, m, trials = np.random.default_rng(5), 12, 5, 3000
    weights, key = (0.7, 1.3), orthonormal(rng, 12, 1)[:, 0]
    others = [gaussian(rng, m, n, 2), gaussian(rng, m, n, 3)]
    base = gaussian(rng, m, n, 1, 0.0)
    added = []
    for _ in range(trials):
        turned = tuple(replace(low, down=low.down @ orthonormal(rng, n, n)) for low in others)
        added.append(Merge(base, turned, weights).logits(key))
    added = np.stack(added)
    energies = (added**2).sum(axis=1)
    expected = sum(c**2 * frobenius(low) ** 2 for c, low in zip(weights, others, strict=True)) / n
    assert energies.mean() == pytest.approx(expected, abs=6 * energies.std() / trials**0.5)
    rows = [c * (low.dense()[0] - low.dense()[1:]) for c, low in zip(weights, others, strict=True)]
    leads = np.linspace(0.8, 1.6, m - 1)
    case = Case(np.stack(rows, axis=1), leads, trials)
    lost = (added[:, :1] - added[:, 1:] <= -leads).any(axis=1).mean()
    here = measure(case, directions(rng, trials, 2, n))
    assert lost == pytest.approx(here, abs=0.06)
    assert lost <= bound(case) + THEOREM.noise(case)


def test_unit_edits_add_their_own_energy_where_total_rank_reaches_width():
    rng, n, rank, shelf = np.random.default_rng(0), 24, 3, 9
    turned = directions(rng, 4000, shelf - 1, n)
    responses = (turned[:, :, :rank] ** 2).sum(axis=(1, 2))
    assert responses.mean() == pytest.approx(energy(shelf, rank, n), rel=0.05)
    assert energy(shelf, rank, n) == 1.0


@pytest.mark.parametrize("tokens", [1, 5])
def test_the_largest_library_fails_as_rarely_as_asked_and_the_next_does_not(tokens):
    most = largest_library(256, 1.0, 0.5, tokens, 0.05)
    assert failure(most, 256, 1.0, 0.5, tokens) <= 0.05
    assert failure(most + 1, 256, 1.0, 0.5, tokens) > 0.05
    at = margin_needed(most, 256, 0.5, 0.0, tokens=tokens, failure=0.05, rule="sum")
    assert at <= 1.0 < margin_needed(most + 1, 256, 0.5, 0.0, tokens=tokens, rule="sum")


@given(st.integers(1, 40), st.floats(0.1, 5.0))
def test_without_interference_it_is_averaging_survival(adapters, deficit):
    for rule in ("sum", "mean"):
        alone = averaging_survival.margin_needed(adapters, deficit, rule)
        assert margin_needed(adapters, 64, 0.0, deficit, rule=rule) == alone
        assert margin_needed(adapters, 64, 1.0, deficit, rule=rule) >= alone


@settings(max_examples=25)
@given(st.floats(0.1, 10.0), seeds)
def test_units_rotation_and_order_do_not_matter(factor, seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    _, k, n = case.rows.shape
    turn, turned = orthonormal(rng, n, n), directions(rng, 200, k, n)
    other = Case(factor * (case.rows @ turn)[::-1], factor * case.margins[::-1], case.trials)
    assert bound(other) == pytest.approx(bound(case), rel=1e-9)
    assert measure(other, turned @ turn) == pytest.approx(measure(case, turned), abs=0.006)


def test_alone_nothing_is_lost_and_without_margin_everything_may_be():
    assert failure(1, 64, 1.0, 1.0) == 0.0
    assert failure(1, 64, 0.0, 1.0) == 1.0
    assert failure(9, 64, -1.0, 1.0) == 1.0
    assert largest_library(64, 0.0, 1.0, 1, 0.05) == 1


def test_adapters_that_say_nothing_about_a_token_cannot_take_its_lead():
    rows = np.stack([np.zeros((2, 3)), np.ones((2, 3))])
    case, other = Case(rows, np.array([0.1, 2.0])), Case(rows[1:], np.array([2.0]))
    assert bound(case) == bound(other) == pytest.approx(math.exp(-1), rel=1e-14)
    assert THEOREM.check(case, directions(np.random.default_rng(0), 600, 2, 3)).holds


def test_directions_with_a_mean_are_refused_though_their_second_moments_fit():
    """A random axis, never its opposite."""
    rng = np.random.default_rng(0)
    case = Case(np.ones((1, 1, 4)), np.ones(1))
    with pytest.raises(AssumptionError, match="uniformly at random"):
        THEOREM.check(case, np.eye(4)[rng.integers(4, size=(600, 1))])


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, turned = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, turned)
    assert not THEOREM.judge(case, turned).holds
