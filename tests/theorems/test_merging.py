"""Second routes of the theorems on merging: descent, simulation, published rules, formats."""

import math
from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from theorems.merging import LINES, lines, one_competitor, uniform
from theorems.owed import integers, over, theorem_of

from loratheory.adapters import METHODS, Options
from loratheory.lowrank import (
    LowRank,
    from_dense,
    gaussian,
    orthonormal,
)
from loratheory.theorems import (
    AssumptionError,
    averaging_survival,
    dare_variance,
    data_free_floor,
    factor_mean_residual,
    interpolating_merge,
    interpolation_price,
    intruder_threshold,
    iso_flattening,
    merge_collapse,
    rank_subadditivity,
    ties_disjoint,
    verify,
)

# Floors


@pytest.mark.parametrize("sine", [1e-9, 1e-7, 1e-5])
def test_inputs_that_nearly_meet_are_refused_as_a_large_merge_serves_both(sine):
    """No shared input, however near: a row of size 2/sine errs on neither."""
    rows = np.array([[1.0, 0.0], [(1 - sine**2) ** 0.5, sine]])
    pair = (LowRank(np.eye(1), np.eye(1, 2)), LowRank(-np.eye(1), np.eye(1, 2)))
    case = data_free_floor.Case(pair, (rows[:1].T, rows[1:].T))
    both = LowRank(np.eye(1), np.array([[1.0, -2 * rows[1, 0] / sine]]))
    assert data_free_floor.measure(case, (both, both)) < 1e-6
    with pytest.raises(AssumptionError, match="clear angles"):
        theorem_of(data_free_floor).check(case, (both, both))


@over()
def test_where_nothing_is_known_pairs_bound_more_adapters_from_below(rng):
    """Three unrelated adapters on all inputs: the mean of the three errs more than any pair."""
    low, whole = [from_dense(rng.standard_normal((3, 4))) for _ in range(3)], (np.eye(4),) * 2
    merged = data_free_floor.merge(data_free_floor.Case((low[0], low[1]), whole))
    assert (merged - (low[0] + low[1]) / 2).spectral_norm < 1e-12
    pairs = [data_free_floor.half_distance(low[i], low[j]) for i in range(3) for j in range(i)]
    mean = (low[0] + low[1] + low[2]) / 3
    assert max((mean - one).spectral_norm for one in low) >= max(pairs) - 1e-12


# The interpolating merge


@over()
def test_conflicting_adapters_leave_the_least_misfit(rng):
    """Two adapters on one row space: half the squared distance, by brute force too."""
    reads = orthonormal(rng, 5, 2).T
    pair = tuple(LowRank(rng.standard_normal((3, 2)), reads) for _ in range(2))
    expected, case = (pair[0] - pair[1]).norm ** 2 / 2, interpolating_merge.Case(pair)
    merged = interpolating_merge.attain(case)
    assert interpolating_merge.conflict(pair) == pytest.approx(expected)
    assert interpolating_merge.misfit(pair, merged) == pytest.approx(expected)
    for size in (1e-6, 1e-3, 1.0):
        nudged = merged + size * LowRank(rng.standard_normal((3, 5)), np.eye(5))
        assert interpolating_merge.misfit(pair, nudged) >= expected
    with pytest.raises(AssumptionError, match="each row space"):
        theorem_of(interpolating_merge).check(case, merged)


@over(interpolating_merge)
def test_it_does_what_each_adapter_does_and_its_rank_adds_up(case):
    merged = interpolating_merge.attain(case)
    room = 1e-11 * interpolating_merge.scale(case) * interpolating_merge.condition(case)
    assert interpolating_merge.misfit(case.updates, merged) ** 0.5 <= room
    assert interpolating_merge.conflict(case.updates) ** 0.5 <= room
    assert merged.width <= sum(low.width for low in case.updates)


def test_rivals_at_ten_times_the_size_still_do_what_each_adapter_does():
    assert verify(theorem_of(interpolating_merge), cases=20, seed=7, size=80).ok


def test_gradient_descent_on_the_wudi_objective_ends_at_the_interpolating_merge():
    """Its loss is the sum of |(X - Δ_j) Δ_j^T|²/|Δ_j|²; from zero, no inverse."""
    rng = np.random.default_rng(0)
    updates = tuple(LowRank(rng.standard_normal((3, 2)), rng.standard_normal((2, 6))) for _ in "ab")
    dense = [low.dense() for low in updates]
    grams = [d.T @ d / np.sum(d**2) for d in dense]
    found, step = np.zeros((3, 6)), 1 / np.linalg.norm(sum(grams), 2)
    for _ in range(20000):
        found = found - step * sum((found - d) @ g for d, g in zip(dense, grams, strict=True))
    merged = interpolating_merge.attain(interpolating_merge.Case(updates)).dense()
    np.testing.assert_allclose(found, merged, atol=1e-6)


def test_data_of_very_different_size_or_of_smaller_range_are_refused():
    """Too ill-conditioned to tell, or the rule then forgets a direction."""
    looks = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    case = merge_collapse.Case(lines(np.eye(2)), *looks)
    one, two = merge_collapse.attain(case)
    low = LowRank(np.eye(2), np.eye(2, 3))
    part = merge_collapse.Case((low,), np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0]))
    less = (np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]),)
    for broken, data in ((case, (one, 1e-6 * two)), (part, less)):
        with pytest.raises(AssumptionError, match="ranges"):
            theorem_of(merge_collapse).check(broken, data)
    assert (merge_collapse.bound(part), merge_collapse.measure(part, less)) == (1.0, 0.0)


@over(interpolation_price)
def test_the_explicit_prices_are_above_in_order(case):
    sizes = [low.spectral_norm for low in case.updates]
    columns = np.concatenate([np.linalg.qr(low.down.T)[0] for low in case.updates], axis=1)
    least = float(np.linalg.svd(columns)[1][-1])
    given_norms = interpolation_price.amplification(case.updates)
    assert interpolation_price.bound(case) <= given_norms * case.leak * (1 + 1e-9)
    assert given_norms == pytest.approx(float(np.sqrt(np.sum(np.square(sizes)))) / least)
    assert given_norms <= interpolation_price.price(len(sizes), max(sizes), least) * (1 + 1e-9)


@pytest.mark.parametrize("angle", [1.0, 0.1, 1e-3])
def test_two_lines_reach_the_constant_as_they_close(angle):
    rows = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    case = interpolation_price.Case(lines([[1.0, -1.0]], rows), 0, 1.0)
    price = interpolation_price.price(2, 1, 2**0.5 * np.sin(angle / 2))
    amplification = interpolation_price.amplification(case.updates)
    assert price == pytest.approx(1 / np.sin(angle / 2))
    assert amplification == pytest.approx(price, rel=1e-9)
    share = interpolation_price.bound(case) / amplification
    assert share == pytest.approx(np.cos(angle / 2), rel=1e-9)


# Factors


@over()
def test_factor_mean_and_its_residual_in_dense_arrays(rng):
    """Weights enter twice, other pairs mix in; of two adapters a quarter of the differences."""
    weights = tuple(rng.dirichlet(np.ones(3)).tolist())
    adapters = tuple(gaussian(rng, 6, 5, 2) for _ in range(3))
    pairs = list(zip(weights, adapters, strict=True))
    expected = sum(w * v * a.up @ b.down for w, a in pairs for v, b in pairs)
    merged = factor_mean_residual.factor_mean(factor_mean_residual.Case(adapters, weights, 0))
    np.testing.assert_allclose(merged.dense(), expected, atol=1e-13)
    one, two = adapters[:2]
    quarter = (one.up - two.up) @ (one.down - two.down) / 4
    residual = factor_mean_residual.residual(uniform([one, two]))
    np.testing.assert_allclose(residual.dense(), quarter, atol=1e-13)


def test_the_gauge_of_one_adapter_moves_the_factor_mean_by_its_own_size():
    """The same two updates, another merge: the residual belongs to factors, not to updates."""
    rng = np.random.default_rng(2)
    one, two = gaussian(rng, 8, 8, 3), gaussian(rng, 8, 8, 3)
    turned = two.regauged(orthonormal(rng, 3, 3))
    before, after = (factor_mean_residual.factor_mean(uniform([one, t])) for t in (two, turned))
    assert (two - turned).norm <= 1e-13 * two.norm
    assert (before - after).norm > 0.5 * before.norm
    with pytest.raises(ValueError, match="widths agree"):
        uniform([gaussian(rng, 4, 4, 1), gaussian(rng, 4, 4, 2)])


def test_the_librarys_masks_have_this_variance():
    """Two weighted adapters of 4000 equal rows through the rule `dare`, at nine sigmas."""
    rng, rows = np.random.default_rng(0), 4000
    ups, downs = rng.standard_normal((2, 1, 2)), rng.standard_normal((2, 2, 5))
    updates = [LowRank(np.tile(u, (rows, 1)), d) for u, d in zip(ups, downs, strict=True)]
    x, weights, density = rng.standard_normal(5), [0.5, 2.0], 0.3
    merged = METHODS["dare"].rule(updates, weights, Options(density=density, rank=5))
    exact = sum(w * (u @ x)[0] for w, u in zip(weights, updates, strict=True))
    laws = [dare_variance.update_variance(u.rows(slice(0, 1)), x, density) for u in updates]
    expected = sum(w**2 * law for w, law in zip(weights, laws, strict=True))
    outputs = merged @ x - exact
    room = 9 * float((outputs**2).std()) / math.sqrt(rows)
    assert float((outputs**2).mean()) == pytest.approx(expected, abs=room)
    assert abs(float(outputs.mean())) < 9 * math.sqrt(expected / rows)


def test_masks_of_factors_depend_on_the_gauge_and_may_be_arbitrarily_worse():
    rng = np.random.default_rng(3)
    low, x = (
        LowRank(rng.standard_normal((4, 3)), rng.standard_normal((3, 5))),
        rng.standard_normal(5),
    )
    turned = low.regauged(orthonormal(rng, 3, 3))
    laws = [dare_variance.factor_variance(part, x, 0.3) for part in (turned, low)]
    assert abs(laws[0] / laws[1] - 1) > 1e-3
    cancelling = LowRank(np.array([[1.0, 1.0]]), np.array([[1.0], [-0.999]])), np.ones(1), 0.5
    spread = LowRank(np.ones((1, 1)), np.ones((1, 50))), np.sign(np.arange(50) - 24.5), 0.1
    ratios = [
        dare_variance.factor_variance(*case) / dare_variance.update_variance(*case)
        for case in (cancelling, spread)
    ]
    assert ratios[0] > 1e6
    assert ratios[1] == pytest.approx(10.0)  # one rank at density p costs 1/p more


def test_large_sparse_updates_keep_small_entries_whole():
    """Entries of 1e-4 beside ones of order one: what an SVD makes of zeros would halve some."""
    rng = np.random.default_rng(0)
    owner, values = rng.integers(0, 3, (48, 64)), rng.standard_normal((48, 64))
    values[::5] *= 1e-5
    entries = np.stack([np.where(owner == j, values, 0.0) for j in range(3)])
    case, theorem = ties_disjoint.Case(entries, 1.0, "sum"), theorem_of(ties_disjoint)
    assert theorem.check(case, ties_disjoint.attain(case)).tight
    svd = type(ties_disjoint.attain(case))(tuple(from_dense(e) for e in entries), (1.0,) * 3)
    assert ties_disjoint.measure(case, svd) > 1e-12
    with pytest.raises(AssumptionError, match="zeros as zeros"):
        theorem.check(case, svd)


def test_the_published_average_of_iso_shrinks_and_fills_and_overlapping_edits_are_mixed_up():
    case = theorem_of(iso_flattening).draw(np.random.default_rng(4), 8)
    left, sigma, right = np.linalg.svd(case.edits.dense(), full_matrices=False)
    answers = np.diag(case.outputs.T @ (sigma.mean() * left @ right) @ case.keys)
    level = iso_flattening.common_strength(case.strengths, len(sigma))
    np.testing.assert_allclose(answers, level, rtol=1e-9)
    low = LowRank(np.eye(2), LINES)
    flat = METHODS["iso"].rule([low], [1.0], Options())
    assert abs(float((flat @ low.down.T)[0, 1])) > 0.1


# Survival and intruders


@settings(max_examples=30)
@given(st.integers(1, 6), st.floats(0.1, 10.0), st.sampled_from(["sum", "mean", "factor_mean"]))
def test_one_percent_decides_survival(adapters, deficit, rule):
    need = averaging_survival.margin_needed(adapters, deficit, rule)
    weight = averaging_survival.coefficient(adapters, rule)
    for change in (0.01, -0.01):
        case = one_competitor(deficit, need + change * deficit, weight)
        found = averaging_survival.measure(case, averaging_survival.attain(case))
        assert (found > 0) == (change > 0)


def test_margins_needed_are_those_of_the_statement():
    needed = averaging_survival.margin_needed
    assert [needed(k, 1) for k in (1, 2, 5)] == pytest.approx([0, 1, 4])
    assert [needed(k, 2.0, "factor_mean") for k in (1, 2, 3)] == pytest.approx([0, 6, 16])
    assert needed(7, 3.0, "sum") == 0
    with pytest.raises(ValueError, match="give at least 1"):
        averaging_survival.coefficient(0)


@settings(max_examples=30)
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=5))
def test_no_convex_merge_keeps_two_replacements(shares):
    assume(sum(shares) > 0)
    weights = [share / sum(shares) for share in shares]
    margins = sorted(averaging_survival.bound(one_competitor(1.0, 1.0, w)) for w in weights)
    assert margins[-2] <= 1e-12
    without = [averaging_survival.bound(one_competitor(-1.0, 0.1, w + 1e-9)) for w in weights]
    assert min(without) > 0


def intruding(rng, d, t, trials):
    """Along axes: the law of the base does not change."""
    bases = rng.standard_normal((trials, d, d)) / d**0.5
    bases[:, 0, 0] += t
    return np.linalg.svd(bases)


@pytest.mark.parametrize("t", [0.5, 2.0, 4.0])
def test_values_and_overlaps_of_intruders_at_width_256(t):
    """Three per cent above the threshold, as widths allow."""
    left, sigma, _ = intruding(np.random.default_rng(7), 256, t, 6)
    top = intruder_threshold.top_singular_value(t)
    assert float(sigma[:, 0].mean()) == pytest.approx(top, rel=0.03)
    overlap = float((left[:, 0, 0] ** 2).mean())
    assert overlap == pytest.approx(intruder_threshold.overlap(t), abs=0.03)


@settings(max_examples=20)
@given(st.floats(1.05, 20.0))
def test_the_laws_of_intruders_solve_the_secular_equation(t):
    """With g(z) = E z / (z² - s²) over the quarter circle: t g = 1, overlap -1 / (t² g')."""
    z = intruder_threshold.top_singular_value(t)
    g, slope = (z - (z**2 - 4) ** 0.5) / 2, (1 - z / (z**2 - 4) ** 0.5) / 2
    assert t * g == pytest.approx(1.0, rel=1e-9)
    assert -1 / (t**2 * slope) == pytest.approx(intruder_threshold.overlap(t), rel=1e-6)


def test_intruders_in_the_mean_and_beside_the_survival_of_their_edits():
    """Mean of two: strength 1.8 is hidden, yet a margin of 3 deficits survives; and conversely."""
    overlap, vanishing = intruder_threshold.overlap, intruder_threshold.vanishing_coefficient
    for adapters, strength in ((2, 1.9), (2, 2.1), (8, 7.9), (8, 8.1)):
        hidden = overlap(strength, 1 / adapters) == 0
        assert hidden == (strength < adapters) == (1 / adapters <= vanishing(strength))
    assert (vanishing(2), vanishing(0.3), vanishing(0)) == (0.5, 1.0, 1.0)
    assert overlap(1.8, 0.5) == 0 < overlap(2.5, 0.5)
    assert 0.5 < averaging_survival.margin_needed(2, 1.0) < 3.0
    assert intruder_threshold.top_singular_value(-3, 0.5) == pytest.approx(1.5 + 1 / 1.5)
    assert intruder_threshold.top_singular_value(2, 0.5) == 2.0


def test_nothing_is_said_next_to_the_threshold():
    case = intruder_threshold.Case(1.1, 1.0, 64)
    drawn = intruder_threshold.rival(case, np.random.default_rng(0))
    theorem = theorem_of(intruder_threshold)
    with pytest.raises(AssumptionError, match="merged strength at most"):
        theorem.check(case, drawn)
    assert theorem.check(replace(case, strength=0.5), drawn).holds
    left, right = orthonormal(np.random.default_rng(1), 64, 64), np.eye(64)
    turned = type(drawn)(left @ drawn.bases @ right, drawn.left @ left.T, drawn.right @ right)
    clear = replace(case, strength=2.0)
    same = intruder_threshold.measure(clear, drawn)
    assert intruder_threshold.measure(clear, turned) == pytest.approx(same, rel=1e-9)
    widths = (
        intruder_threshold.tolerance(clear),
        intruder_threshold.tolerance(replace(clear, width=256)),
    )
    assert widths == pytest.approx((0.25, 0.125))


@over()
def test_exact_ranks_of_integer_sums_stay_between(rng):
    """SymPy ranks of small integers, where shared directions happen by themselves."""
    parts = [integers(rng, 3, r, 1) * integers(rng, r, 3, 1) for r in (1, 2)]
    ranks = tuple(int(p.rank()) for p in parts)
    rows = int(sympy.Matrix.vstack(*parts).rank())
    columns = int(sympy.Matrix.hstack(*parts).rank())
    for weights in ((1, 1), (1, -1), (2, 3)):
        found = int((weights[0] * parts[0] + weights[1] * parts[1]).rank())
        least = rank_subadditivity.least_rank(ranks, rows, columns)
        assert least <= found <= rank_subadditivity.most_rank(rows, columns)
        assert found >= max(2 * r - sum(ranks) for r in ranks)
        assert (found == sum(ranks)) == (rows == columns == sum(ranks))


@over(rank_subadditivity)
def test_sums_with_these_spans_lie_between_both_ends_and_the_known_bounds_are_weaker(case, rng):
    other = rank_subadditivity.rival(case, rng)
    assert rank_subadditivity.spans(other) == (case.rows, case.columns)
    least = rank_subadditivity.least_rank(case.ranks, case.rows, case.columns)
    most = rank_subadditivity.most_rank(case.rows, case.columns)
    assert least <= rank_subadditivity.measure(replace(case, side="least"), other) <= most
    wide = sum(case.ranks)
    assert max(r - (wide - r) for r in case.ranks) <= least
    assert most <= wide
