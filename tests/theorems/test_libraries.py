"""Second routes of the theorems on libraries: real adapters, exact laws, simulated gates."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import betainc
from theorems.libraries import alike
from theorems.owed import over, theorem_of

from loratheory.lowrank import (
    LowRank,
    gaussian,
    orthonormal,
    with_spectrum,
)
from loratheory.theorems import (
    AssumptionError,
    averaging_survival,
    coefficient_floor,
    gate_detection,
    hebbian_memory,
    interference_angle,
    library_capacity,
    random_interference,
    rank_floor,
)
from loratheory.toy import Merge


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.3])
def test_energies_of_the_sum_and_of_gates(threshold):
    """The response itself, not its square root of a law: pseudo-inverses and random responses."""
    rng, facts, width, adapters, trials = np.random.default_rng(3), 3, 24, 5, 3000
    keys = rng.standard_normal((trials, adapters - 1, width, facts))
    weights = (np.linalg.pinv(keys) @ rng.standard_normal((trials, 1, width, 1)))[..., 0]
    frames = np.linalg.qr(rng.standard_normal((trials, adapters - 1, 40, facts)))[0]
    frames = frames * rng.choice([-1, 1], (trials, adapters - 1, 1, 1))
    on = (weights**2).sum(axis=-1, keepdims=True) > threshold
    total_response = (frames @ (weights * on)[..., None]).sum(axis=1)[..., 0]
    energy = (total_response**2).sum(axis=1)
    law = library_capacity.interference(adapters, facts, width, threshold)
    assert abs(energy.mean() - law) <= 6 * energy.std() / math.sqrt(trials)


def gated_two_hop(rng, adapters, facts, width, threshold):
    """Whether two gated reads of new facts, each adapter on by its own response, answer rightly."""
    n = adapters * facts
    one, two = rng.standard_normal((2, width, n))
    order = rng.permutation(n)  # the bridge: which key each entity has
    state, answer = one[:, :1], -1
    for keys in (one, two):
        inverses = [np.linalg.pinv(keys[:, j : j + facts]) for j in range(0, n, facts)]
        parts = [inverse @ state for inverse in inverses]
        values = np.concatenate([p * (np.sum(p**2) > threshold) for p in parts])
        answer = int(values.argmax())
        state = two[:, order] @ values
    return answer == order[0]


def test_real_gated_reads_answer_as_often_as_promised():
    rng, trials, promised = np.random.default_rng(5), 300, library_capacity.clean(8, 2, 20, 0.5, 2)
    right = sum(gated_two_hop(rng, 8, 2, 20, 0.5) for _ in range(trials))
    assert 0.5 < promised < 0.9
    assert right >= stats.binom.ppf(1e-9, trials, promised)


@settings(max_examples=20)
@given(st.integers(1, 6), st.integers(0, 30), st.floats(0.2, 1.0), st.integers(1, 4))
def test_the_largest_library_is_the_largest_and_beats_the_union_bound(facts, free, threshold, hops):
    width, failure = facts + free, 0.05
    most = library_capacity.largest_library(facts, width, threshold, hops, failure)
    assert most >= gate_detection.largest_library(facts, width, threshold, hops, failure)
    if most < 1e9:
        clean = [library_capacity.clean(k, facts, width, threshold, hops) for k in (most, most + 1)]
        assert clean[0] >= 1 - failure - 1e-9
        assert clean[1] < 1 - failure + 1e-9


def test_libraries_grow_exponentially_while_the_sum_breaks_linearly():
    energy, most = library_capacity.interference, library_capacity.largest_library
    sizes = [most(4, width, 0.5, 2, 0.05) for width in (64, 96, 128)]
    assert min(sizes[1] / sizes[0], sizes[2] / sizes[1]) > 100
    assert energy(1 + (64 - 5) // 4, 4, 64) < 1 < energy(2 + (64 - 5) // 4, 4, 64)
    assert energy(sizes[0], 4, 64, 0.5) < 0.1
    # two facts in seven dimensions: mean 2/4; Beta(2, 2) above 1/5 is 1 - 3/25 + 2/125 = 112/125
    assert energy(4, 2, 7) == pytest.approx(3 / 2, rel=1e-14)
    assert energy(4, 2, 7, 0.25) == pytest.approx(1.5 * 112 / 125, rel=1e-13)
    assert (energy(1, 3, 8), energy(2, 7, 8)) == (0.0, math.inf)
    assert (most(1, 10**6, 0.5, 2, 0.01), most(8, 8, 0.5, 2, 0.01)) == (math.inf, 1)


def asked(rng, trials, width, facts, same):
    """Two adapters, two reads, the query a key of each in turn: the other's larger response."""
    keys = rng.standard_normal((trials, 2, width, facts))
    again = keys if same else rng.standard_normal(keys.shape)
    alarms = []
    for read, own in ((keys, 0), (again, 1)):
        weights = np.linalg.pinv(read[:, 1 - own]) @ read[:, own, :, :1]
        alarms.append((weights[..., 0] ** 2).sum(axis=1))
    return np.stack(alarms).max(axis=0)


def test_reads_that_share_keys_keep_the_union_bound_only():
    """In one dimension two adapters asked in turn never both keep still; apart they do."""
    rng, promised = np.random.default_rng(2), library_capacity.clean(2, 1, 1, 0.9)
    assert promised > 0.2
    assert not (asked(rng, 2000, 1, 1, same=True) < 0.9).any()
    right = (asked(rng, 2000, 1, 1, same=False) < 0.9).mean()
    assert right == pytest.approx(promised, abs=0.07)
    for width, facts, threshold in ((6, 2, 0.5), (12, 3, 0.7)):
        right = (asked(rng, 2000, width, facts, same=True) <= threshold).mean()
        assert right >= 1 - 2 * gate_detection.false_alarm(facts, width, threshold) - 0.05


@over(library_capacity)
def test_the_allowance_of_a_library_covers_its_sampling_error(case):
    p = library_capacity.bound(case)
    room = 7 * math.sqrt(p * (1 - p) / case.trials) + 30 / case.trials
    assert 0 <= library_capacity.noise(case) <= room


# Memories


@pytest.mark.parametrize("adapters", [1, 4])
def test_real_adapters_summed_scatter_as_one(adapters):
    """Real factors, real sum; six standard errors."""
    rng, rank, trials, facts = np.random.default_rng(adapters), 3, 600, 6
    keys, outputs, scores = orthonormal(rng, 8, facts), rng.standard_normal((5, facts)), []
    case = hebbian_memory.Shared(keys, outputs, outputs[:, 1], keys[:, 0], rank)
    for _ in range(trials):
        score = 0.0
        for k in range(adapters):
            frozen, held = rng.standard_normal((rank, 8)) / rank**0.5, slice(k, None, adapters)
            trained = outputs[:, held] @ (frozen @ keys[:, held]).T
            score += case.read @ trained @ (frozen @ case.query)
        scores.append(score)
    squares = np.square(scores)
    assert abs(squares.mean() - hebbian_memory.in_one(case)) <= 6 * squares.std() / trials**0.5


@settings(max_examples=20)
@given(st.integers(1, 99), st.integers(1, 9), st.integers(1, 99), st.integers(1, 99))
def test_a_sum_is_one_adapter_and_routing_divides_the_facts(facts, adapters, width, rank):
    one = hebbian_memory.foreign_crosstalk(facts, width, rank)
    routed = hebbian_memory.routed_crosstalk
    assert hebbian_memory.merged_crosstalk(facts, adapters, width, rank) == one
    assert routed(facts * adapters, adapters, width, rank) == pytest.approx(one)
    assert routed(facts, 1, width, rank) == one
    uneven = routed(facts * adapters - (adapters - 1), adapters, width, rank)
    assert uneven == pytest.approx(one)  # the fullest adapter counts
    with pytest.raises(ValueError, match="give at least 1"):
        routed(4, 0, 8, 2)


# Interference


@over()
def test_the_exact_law_of_one_adapter_is_below_the_tail_and_met_by_simulation(rng):
    """A coordinate of the sphere has a beta law."""
    n, x = int(rng.integers(2, 20)), float(rng.uniform(0.05, 0.95))
    case = random_interference.Case(np.eye(1, n)[None], np.array([x]), 4000)
    exact = betainc((n - 1) / 2, 1 / 2, 1 - x**2) / 2
    assert exact <= random_interference.bound(case)
    drawn = random_interference.directions(rng, 4000, 1, n)
    found = random_interference.measure(case, drawn)
    assert found == pytest.approx(exact, abs=7 * math.sqrt(exact / 4000) + 0.01)


def test_rotated_adapters_in_a_merge_do_as_the_directions_say():
    """Real low-rank updates behind random rotations: the energy's mean, and how often one loses."""
    rng, n, m, trials = np.random.default_rng(5), 12, 5, 1000
    weights, key = (0.7, 1.3), orthonormal(rng, 12, 1)[:, 0]
    others, base = [gaussian(rng, m, n, 2), gaussian(rng, m, n, 3)], gaussian(rng, m, n, 1, 0.0)
    added = []
    for _ in range(trials):
        turned = tuple(replace(low, down=low.down @ orthonormal(rng, n, n)) for low in others)
        added.append(Merge(base, turned, weights).logits(key))
    added = np.stack(added)
    energies = (added**2).sum(axis=1)
    expected = sum(c**2 * low.norm**2 for c, low in zip(weights, others, strict=True)) / n
    assert energies.mean() == pytest.approx(expected, abs=6 * energies.std() / trials**0.5)
    rows = [c * (low.dense()[0] - low.dense()[1:]) for c, low in zip(weights, others, strict=True)]
    case = random_interference.Case(np.stack(rows, axis=1), np.linspace(0.8, 1.6, m - 1), trials)
    lost = (added[:, :1] - added[:, 1:] <= -case.margins).any(axis=1).mean()
    drawn = random_interference.directions(rng, trials, 2, n)
    assert lost == pytest.approx(random_interference.measure(case, drawn), abs=0.06)
    assert lost <= random_interference.bound(case) + theorem_of(random_interference).noise(case)


@pytest.mark.parametrize("tokens", [1, 5])
def test_the_largest_library_fails_as_rarely_as_asked_and_the_next_does_not(tokens):
    most = random_interference.largest_library(256, 1.0, 0.5, tokens, 0.05)
    fails, needed = random_interference.failure, random_interference.margin_needed
    assert fails(most, 256, 1.0, 0.5, tokens) <= 0.05 < fails(most + 1, 256, 1.0, 0.5, tokens)
    at = needed(most, 256, 0.5, 0.0, tokens=tokens, failure=0.05, rule="sum")
    assert at <= 1.0 < needed(most + 1, 256, 0.5, 0.0, tokens=tokens, rule="sum")
    for rule in ("sum", "mean"):
        alone = averaging_survival.margin_needed(tokens, 2.0, rule)
        assert (
            needed(tokens, 64, 0.0, 2.0, rule=rule) == alone <= needed(tokens, 64, 1, 2, rule=rule)
        )
    assert (fails(1, 64, 1.0, 1.0), fails(1, 64, 0.0, 1.0), fails(9, 64, -1.0, 1.0)) == (0, 1, 1)
    assert random_interference.largest_library(64, 0.0, 1.0, 1, 0.05) == 1
    # unit edits add their own energy where the total rank of the others reaches the width
    assert [random_interference.energy(k, 3, 24) for k in (1, 5, 9)] == [0.0, 0.5, 1.0]


def test_directions_with_a_mean_are_refused_though_their_second_moments_fit():
    """A random axis, never its opposite."""
    rng, case = np.random.default_rng(0), random_interference.Case(np.ones((1, 1, 4)), np.ones(1))
    with pytest.raises(AssumptionError, match="uniformly at random"):
        theorem_of(random_interference).check(case, np.eye(4)[rng.integers(4, size=(600, 1))])


@over()
def test_silence_is_orthogonality_of_row_spaces_and_not_of_updates(rng):
    """Orthogonal columns make the Frobenius inner product vanish; the keys are still answered."""
    frame, columns = orthonormal(rng, 6, 6), orthonormal(rng, 8, 4)
    one, two = LowRank(columns[:, :2], frame[:, :2].T), frame[:, 2:4]
    apart, mixed = (
        interference_angle.Case(one, LowRank(columns[:, 2:], reads.T))
        for reads in (two, two + 0.1 * frame[:, :2])
    )
    assert interference_angle.bound(apart) <= 1e-11
    assert interference_angle.worst_response(mixed) > 1e-2
    same = interference_angle.Case(one, LowRank(columns[:, 2:], one.down))
    assert abs(same.first.inner(same.second)) <= 1e-13
    assert interference_angle.bound(same) == pytest.approx(same.second.spectral_norm, rel=1e-12)
    assert interference_angle.worst_response(same) == pytest.approx(same.second.spectral_norm)


def test_a_zero_key_is_refused():
    case = theorem_of(interference_angle).draw(np.random.default_rng(0), 8)
    zero = interference_angle.Answer(case.second, np.zeros((case.first.shape[1], 1)))
    with pytest.raises(AssumptionError, match="nonzero key"):
        theorem_of(interference_angle).check(case, zero)


@settings(max_examples=20)
@given(st.integers(1, 7), st.floats(0.0, 0.95), st.floats(0.1, 10.0))
def test_alike_adapters_lose_the_stated_share(adapters, share, energy):
    case, lost = alike(adapters, share, energy), coefficient_floor.relative_floor(adapters, share)
    wanted = lost * adapters * energy
    assert coefficient_floor.bound(case) == pytest.approx(wanted, rel=1e-7, abs=1e-7 * energy)
    best = coefficient_floor.best_coefficient(adapters, share)
    assert coefficient_floor.best(case) == pytest.approx([best] * adapters, rel=1e-6)


def test_the_sum_is_best_without_leak_and_the_mean_where_all_answer_alike():
    best, lost = coefficient_floor.best_coefficient, coefficient_floor.relative_floor
    assert (best(5, 0), lost(5, 0), best(5, 1), lost(5, 1)) == (1, 0, 1 / 5, 4 / 5)
    rng, n, r, k = np.random.default_rng(1), 60, 4, 8
    leak = coefficient_floor.leak(r, n)
    updates = tuple(with_spectrum(rng, 60, n, [1.0] * r) for _ in range(k))
    inputs = tuple(np.linalg.qr(low.down.T)[0] for low in updates)
    case = coefficient_floor.Case(updates, inputs)
    assert coefficient_floor.bound(case) / (k * r) == pytest.approx(lost(k, leak), abs=0.02)
    assert np.mean(coefficient_floor.best(case)) == pytest.approx(best(k, leak), abs=0.03)


@over(coefficient_floor)
def test_no_matrix_per_adapter_does_worse_than_numbers(case):
    wide = rank_floor.Tasks(case.updates, min(case.updates[0].shape), case.inputs)
    room = 1e-11 * coefficient_floor.scale(case) * coefficient_floor.condition(case)
    floor = rank_floor.bound(wide) * len(case.updates)
    assert floor <= coefficient_floor.bound(case) + room
