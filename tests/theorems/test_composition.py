"""Second routes of the theorems on composition: thresholds, simulations, whole solutions."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from theorems.composition import by_loops, oblique, placed, three_entities
from theorems.owed import over, theorem_of

from loratheory.adapters import Adapter, merge
from loratheory.lowrank import LowRank, gaussian, orthonormal
from loratheory.theorems import (
    AssumptionError,
    averaging_survival,
    clean_up_bridge,
    coefficient_ladder,
    composition_merge,
    context_composition,
    interpolating_merge,
    invisible_placement,
    perturbed_region,
    residual_region,
    routing_reach,
    template_vote,
    two_read_region,
    verify,
)
from loratheory.theorems.composition._hops import (
    OVER_OLD,
    PATTERNS,
    logits,
    margin,
    strength_needed,
    threshold,
    window,
)
from loratheory.toy import Chain, interpolating

PHI = (1 + math.sqrt(5)) / 2
numbers = st.floats(-3, 3, allow_subnormal=False).filter(lambda x: abs(x) > 1e-3)


# Thresholds of K edited hops, in exact arithmetic; regions by the signs of polynomials


def test_thresholds_strengths_and_windows_by_hand():
    assert [round(threshold(k), 4) for k in (1, 2, 3, 4, 6)] == [
        0.5,
        0.6180,
        0.6823,
        0.7245,
        0.7781,
    ]
    assert [threshold(k, "overwrite both") for k in (1, 2, 5)] == [0.5, 0.5, 0.5]
    assert [threshold(k, "new subject") for k in (1, 2, 3)] == [0.0, 0.5, threshold(2)]
    assert [threshold(k, "new facts") for k in (1, 2, 5)] == [0.0, 0.0, 0.0]
    needed = [strength_needed(k, k) for k in (2, 3, 4)]
    assert needed == pytest.approx([math.sqrt(5) - 1, 2.0470, 2.8980], abs=1e-4)
    assert strength_needed(2, 2, rule="factor_mean") == pytest.approx(2 * (math.sqrt(5) - 1))
    assert strength_needed(2, 2, rule="sum") == threshold(2)
    assert window(2, 2) == pytest.approx((1.0, 2 * math.sqrt(5) - 3))
    assert window(2, 2, "overwrite both") == window(2, 2, "new facts") == (1.0, 1.0)
    assert window(3, 4) == pytest.approx((3.0, 8 * 0.6823278038280193 - 1))
    assert sorted(logits((0.5, 0.5), "overwrite")) == [0.0, 0.25, 0.25, 0.5]
    assert margin((0.5, 0.5), "overwrite both") == 0.0
    with pytest.raises(ValueError, match="give at least 1"):
        threshold(0)


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=25)
@given(st.integers(1, 6), st.floats(-1e-3, 1e-3).filter(lambda x: abs(x) > 1e-9))
def test_equal_coefficients_win_exactly_above_the_threshold(pattern, hops, nudge):
    c = threshold(hops, pattern) + nudge
    if c >= 0 and c**hops > 1e-12:
        assert (margin((c,) * hops, pattern) > 0) == (nudge > 0)


@settings(max_examples=50)
@given(numbers, numbers)
def test_two_hop_regions_are_those_of_the_statement(first, second):
    """For every sign; within rounding of the border nothing is claimed."""
    edges = (first * (1 + second) - 1, first * (2 * second - 1), first * second)
    if min(map(abs, edges)) > 1e-9:
        assert (margin((first, second), "overwrite") > 0) == (edges[0] > 0 and edges[1] > 0)
        assert (margin((first, second), "new subject") > 0) == (edges[1] > 0 and edges[2] > 0)
        assert (margin((first, second), "new facts") > 0) == (edges[2] > 0)


@settings(max_examples=50)
@given(st.lists(numbers, min_size=1, max_size=5))
def test_all_products_compete_where_old_paths_are_edited_and_all_must_exceed_a_half(weights):
    """Brute force over the subsets of hops that keep the old answer."""
    rest = [
        math.prod(1 - w if old else w for w, old in zip(weights, olds, strict=True))
        for olds in itertools.product([False, True], repeat=len(weights))
    ][1:]
    expected = math.prod(weights) - max(0.0, *rest)
    assert margin(tuple(weights), "overwrite both") == pytest.approx(expected, rel=1e-12, abs=1e-12)
    if min(abs(w - 0.5) for w in weights) > 1e-6:
        assert (margin(weights, "overwrite both") > 0) == (min(weights) > 1 / 2)


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.sampled_from(OVER_OLD))
def test_no_convex_weights_win(weights, pattern):
    """Any real first weight of two, too; without an old first fact (.4, .6) does win."""
    total = max(sum(weights), 1.0)
    assert margin(tuple(w / total for w in weights), pattern) <= 1e-12
    g = 8 * weights[0] - 4
    assert margin((g, 1 - g), pattern) <= 1e-12
    assert margin((0.4, 0.6), "new subject") == pytest.approx(0.08)
    assert margin((-PHI - 1e-6,) * 2) > 0 > margin((-PHI + 1e-6,) * 2)


# Two reads


@pytest.mark.parametrize("ratio", [1.2, 1.45, 1.5])
def test_inside_the_window_both_hops_survive_and_the_two_hop_answer_does_not(ratio):
    """Strength s has margin 2 s - 1; the mean of two halves it."""
    weight = (ratio + 1) / 4
    case = oblique(weight, weight)
    model = two_read_region.attain(case)
    hop2 = model.read(1, case.keys[1][:, 0], weight)
    hop1 = np.linalg.solve(case.values[0], model.read(0, case.keys[0][:, 0], weight))
    assert all(said[0] > max(said[1:]) for said in (hop1, hop2))
    assert (two_read_region.measure(case, model) > 0) == (ratio > 2 * np.sqrt(5) - 3)


@over()
def test_an_unfamiliar_bridge_silences_the_target(rng):
    """Any edits of any rank; a bridge adapter of rank 1 repairs it."""
    first, second = rng.uniform(-4, 4, 2).tolist()
    case = oblique(first, second)
    model = two_read_region.attain(case)
    bridge = model.bridges[0]
    lost = LowRank(bridge.up[:, :1], bridge.down[:1, :])
    cut = replace(model, bridges=(bridge - lost,))
    assert abs(cut.output(case.keys[0][:, 0], case.coefficients)[0]) < 1e-10
    wild = replace(cut, edits=(cut.edits[0], gaussian(rng, 4, 3, 3)))
    assert np.abs(wild.read(1, wild.bridges[0] @ case.values[0][:, 0], second)).max() < 1e-9
    mended = replace(cut, bridges=(cut.bridges[0] + lost,))
    assert theorem_of(two_read_region).check(case, mended).tight


def test_rivals_at_ten_times_the_size_are_met_and_frames_of_zeros_are_no_frames():
    assert verify(theorem_of(two_read_region), cases=60, seed=7, size=80).ok
    case = oblique(0.7, 0.7)
    silent = replace(case, keys=tuple(0 * k for k in case.keys))
    with pytest.raises(AssumptionError, match="independent keys"):
        theorem_of(two_read_region).check(silent, two_read_region.attain(silent))


# Under interference


@pytest.mark.parametrize("hops", [1, 2, 3, 5])
def test_whole_edits_tolerate_one_over_twice_the_hops(hops):
    assert perturbed_region.tolerance([1.0] * hops) == pytest.approx(1 / (2 * hops), rel=1e-14)
    assert perturbed_region.threshold(hops, 0.499 / hops) < 1
    assert math.isinf(perturbed_region.threshold(hops, 0.501 / hops))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_the_answer_is_safe_above_its_threshold_only(pattern, hops):
    start = perturbed_region.threshold(hops, 0.05, pattern)
    for c in np.linspace(0, 1, 101).tolist():
        safe = perturbed_region.margin([c] * hops, [0.05] * hops, pattern) > 1e-12
        assert safe == (c > start + 1e-12)


@settings(max_examples=25)
@given(st.floats(0.3, 1.5), st.floats(0.3, 1.5))
def test_tolerance_is_where_the_margin_vanishes_and_one_hop_is_averaging_survival(c, second):
    found = perturbed_region.tolerance((c, second))
    at = perturbed_region.margin((c, second), (found, found))
    assert at == pytest.approx(0, abs=1e-12) if found else at <= 1e-12
    assert perturbed_region.margin((c, second), (found + 1e-6,) * 2) < 0
    noise, (base, edited) = second / 3, np.array([[0.0, 1.0], [1.0, 0.0]])
    others = np.array([-noise, noise])
    alone = averaging_survival.Case(np.ones(1), base, edited, others, c)
    worst = min(averaging_survival.bound(alone), c - 2 * noise)
    assert perturbed_region.margin((c,), (noise,)) == pytest.approx(worst, abs=1e-12)


# In a residual stream


@over(residual_region, size=6)
def test_without_a_direct_path_every_decision_is_that_without_normalisation(case):
    silent = replace(case, direct=0.0)
    plain = margin(case.prompt.coefficients, case.prompt.pattern)
    simulated = residual_region.measure(silent, residual_region.attain(silent))
    assert abs(plain) < 1e-9 or (residual_region.bound(silent) > 0) == (plain > 0) == (
        simulated > 0
    )
    assert residual_region.margin((plain,), 3.0, case.direct) == pytest.approx(margin((plain,)))


@settings(max_examples=25)
@given(st.floats(0.65, 1.0), st.floats(0.1, 3.0), st.floats(0.1, 5.0))
def test_the_gain_needed_is_where_the_margin_vanishes(c, direct, length):
    need = residual_region.gain_needed(c, direct, length)
    assert residual_region.margin((c, c), need * 1.001, direct, length) > 0
    assert residual_region.margin((c, c), need * 0.999, direct, length) < 0


def test_gains_by_hand_and_long_prompts():
    assert residual_region.gain_needed(1 / PHI + 1e-12, 0.7) == pytest.approx(1.4, rel=1e-9)
    assert residual_region.gain_needed(1.0, 1.0, 3.0) == pytest.approx(math.sqrt(10), rel=1e-14)
    assert math.isinf(residual_region.gain_needed(0.6, 1.0))
    long, short = (residual_region.margin((1.0, 1.0), 1.0, 0.1, size) for size in (100.0, 1.0))
    assert long < 0 < short
    assert residual_region.margin((1.0, 1.0), 11.0, 0.1, 100.0) > 0


# With a bridge that decides


@pytest.mark.parametrize("first", [-3.0, 0.2, 0.9, 4.0])
def test_a_decision_as_sharp_as_one_likes_is_the_hard_one(first):
    """No exponential overflows: the best entity goes on alone, its answer or another one wins."""
    wanted = 0.6 if first > 1 / 2 else -1.0
    for entities in (2, 7):
        assert clean_up_bridge.margin(first, 0.8, 1e6, entities) == pytest.approx(wanted, rel=1e-12)


@over()
def test_it_wins_exactly_in_the_region(rng):
    one, two = rng.uniform(0, 1.3, 2).tolist()
    beta, cost = float(10.0 ** rng.uniform(-1, 1.5)), math.log(1 / two)
    inside = two > 0.5 and one > 0.5 + cost / (2 * beta) and one > cost / beta
    case = three_entities((one, two), beta, n=int(rng.integers(3, 7)))
    assert (clean_up_bridge.margin(one, two, beta, 5) > 0) == inside
    assert (clean_up_bridge.measure(case, clean_up_bridge.attain(case)) > 0) == inside


@settings(max_examples=20)
@given(st.floats(0.05, 200.0))
def test_the_threshold_is_where_the_simulation_turns_and_the_mean_of_two_stays_below(sharpness):
    root = clean_up_bridge.threshold(sharpness)
    for step in (-1e-4, 0.0, 1e-4):
        case = three_entities((root + step,) * 2, sharpness, 2)
        found = clean_up_bridge.measure(case, clean_up_bridge.attain(case))
        assert abs(found) < 1e-9 if not step else (found > 0) == (step > 0)
    assert 0.5 < root < 1
    assert clean_up_bridge.margin(0.5, 0.5, sharpness, 4) <= 0


def test_a_soft_clean_up_is_worse_than_a_linear_bridge_and_limits():
    even, needed = PHI**3 * math.log(PHI), clean_up_bridge.threshold
    assert even == pytest.approx(2.0385, abs=1e-4)
    assert needed(even) == pytest.approx(threshold(2), rel=1e-14)
    assert needed(even / 2) > threshold(2) > needed(even * 2)
    assert needed(math.inf) == 0.5
    assert [needed(1e6), needed(1e-6)] == pytest.approx([0.5, 1.0], abs=1e-5)
    ends = [clean_up_bridge.margin(c, 1.0, 50.0, 3) for c in (1.0, 0.0)]
    assert ends == pytest.approx([1.0, -1.0], abs=1e-12)
    fresh, half = (
        clean_up_bridge.margin(0.3, 0.4, 50.0, 3, pattern)
        for pattern in ("new facts", "new subject")
    )
    assert fresh > 0 > half
    with pytest.raises(ValueError, match="give a positive one"):
        needed(0)


@pytest.mark.parametrize("hops", [2, 3, 4])
@pytest.mark.parametrize("c", [0.499, 0.501])
def test_decoded_bridges_need_one_half_at_any_length_even_in_one_matrix(hops, c):
    """Each answer is read out by argmax and asked about next; all edits sit in one weight."""
    rng, n = np.random.default_rng(hops), 2 * hops + 1
    keys = rng.standard_normal((3 * n, n))  # entity i's key; the new fact goes to i + 1
    old, new = (np.eye(n)[:, (np.arange(n) + step) % n] for step in (hops + 1, 1))
    base, edit = interpolating(keys, old), interpolating(keys, (new - old) * (np.arange(n) < hops))
    entity = 0
    for _ in range(hops):
        entity = int(np.argmax(base @ keys[:, entity] + c * (edit @ keys[:, entity])))
    assert (entity == hops) == (c > 0.5)


# Templates


@over()
def test_least_squares_on_all_demonstrations_is_what_an_adapter_alone_says(rng):
    """One row a demonstration, fitted outright beside the base: no shares enter."""
    counts = rng.integers(0, 5, (3, 2)) + np.eye(3, 2, dtype=int)
    keys, habits = rng.standard_normal((2, 5, 2))
    habits = habits[:3]
    rows = [(n, a) for n in range(2) for a in range(3) for _ in range(counts[a, n])]
    targets = np.array([np.eye(3)[a] - habits[:, n] for n, a in rows])
    update = np.linalg.lstsq(np.array([keys[:, n] for n, _ in rows]), targets, rcond=None)[0].T
    case = template_vote.Case(keys, habits, (counts / counts.sum(axis=0),), (0.7,))
    adapter = template_vote.attain(case).adapters[0]
    np.testing.assert_allclose(update @ keys, adapter @ keys, atol=1e-10)


def shared(adapters, coefficient, overlap, rest):
    """A cue that all pass, the shared step taken in a share `overlap` of each one's solutions."""
    habits, shares = np.zeros((adapters + 2, 1)), []
    habits[1] = 1
    for j in range(adapters):
        mine = 0 * habits
        mine[0], mine[1 if rest == "habit" else 2 + j] = overlap, 1 - overlap
        shares.append(mine)
    keys = np.random.default_rng(0).standard_normal((4, 1))
    return template_vote.Case(keys, habits, tuple(shares), (coefficient,) * adapters)


@pytest.mark.parametrize("rest", ["habit", "own"])
@pytest.mark.parametrize("adapters", [1, 2, 5])
@pytest.mark.parametrize("coefficient", [0.25, 0.5, 1.0])
def test_the_overlap_needed_is_where_the_simulation_turns(rest, adapters, coefficient):
    needed = template_vote.overlap_needed(adapters, coefficient, rest)
    for overlap in (needed - 1e-6, needed + 1e-6):
        if overlap <= 1:
            case = shared(adapters, coefficient, overlap, rest)
            lead = template_vote.measure(case, template_vote.attain(case))
            assert (lead > 0) == (overlap > needed)
    more = template_vote.overlap_needed(adapters + 1, coefficient, rest)
    assert more < needed


def test_the_mean_needs_half_of_a_template_and_nonsense_is_refused():
    assert {template_vote.overlap_needed(k, 1 / k) for k in range(1, 8)} == {0.5}
    assert template_vote.overlap_needed(3, 1 / 3, "own") == 0.25
    for adapters, coefficient in ((0, 1.0), (2, 0.0), (2, -1.0)):
        with pytest.raises(ValueError, match="give 1 or more, above 0"):
            template_vote.overlap_needed(adapters, coefficient)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_a_solution_is_found_iff_every_step_leads(known, seed):
    """Cue, fact, cue, fact: each key is chosen by what was decoded; one false step goes astray."""
    rng = np.random.default_rng(seed)
    one, two = rng.uniform(0, 1.2, 2).tolist()
    overlap, old, new = rng.integers(0, 5, 2) / 4, np.array([0.0, float(known)]), np.array([1.0, 0])
    habits = np.array([[0, 1.0], old, [0, 1.0], old]).T
    voted = [np.array([p, 1 - p]) for p in overlap]
    facts = [(new, old), (old, new)]
    shares = tuple(np.array([voted[0], first, voted[1], last]).T for first, last in facts)
    case = template_vote.Case(rng.standard_normal((9, 4)), habits, shares, (one, two))
    merged, place = template_vote.attain(case), 0
    while place < 4 and int(np.argmax(merged.logits(case.keys[:, place]))) == 0:
        place += 1
    kept = min(one, two) > (0.5 if known else 0)
    if abs(template_vote.bound(case)) > 1e-9:
        assert (place == 4) == (template_vote.bound(case) > 0)
        assert (place == 4) == (kept and all(p * (one + two) > 1 / 2 for p in overlap))


@over()
def test_a_step_that_none_ever_takes_wins_under_no_coefficients(rng):
    steps = int(rng.integers(2, 6))
    said = np.hstack([np.zeros((4, 1)), rng.dirichlet(np.ones(steps - 1), 4)])
    habits, *shares = (row[:, None] for row in said)
    weights = tuple(rng.normal(0, 5, 3).tolist())
    case = template_vote.Case(np.eye(3)[:, :1], habits, tuple(shares), weights)
    assert template_vote.measure(case, template_vote.attain(case)) <= -1 / (steps - 1) + 1e-9


# Coefficients on a budget


@pytest.mark.parametrize("hops", [2, 3])
def test_no_grid_point_leads_more_than_its_product_allows(hops):
    grid = np.stack(np.meshgrid(*[np.linspace(0.05, 1.4, 28)] * hops), axis=-1).reshape(-1, hops)
    left = np.cumprod(grid, axis=1)
    before = np.concatenate([np.ones((len(grid), 1)), left[:, :-1]], axis=1)
    margins = left[:, -1] - np.maximum((before - left).max(axis=1), 0)
    allowed = np.array([coefficient_ladder.largest_margin(hops, p) for p in left[:, -1].tolist()])
    assert (margins <= allowed + 1e-12).all()
    assert (margins > allowed - 0.02).any()


@pytest.mark.parametrize("hops", [1, 2, 3, 5, 8])
def test_products_and_sums_win_somewhere_above_their_thresholds_only(hops):
    need, (low, high) = coefficient_ladder.product_needed(hops), coefficient_ladder.sum_needed(hops)
    assert margin(coefficient_ladder.ladder(hops, need * 1.001)) > 0
    assert margin(coefficient_ladder.ladder(hops, need * 0.999)) < 0
    assert need <= threshold(hops) ** hops + 1e-15
    harmonic = sum(Fraction(1, i) for i in range(1, hops + 2))
    assert high == pytest.approx(float(hops + 1 - harmonic), rel=1e-14)
    assert low <= high <= hops * threshold(hops) + 1e-12
    *first, last = coefficient_ladder.ladder(hops, need)
    assert margin([*first, last + 1e-6]) > 0
    for shape in np.random.default_rng(0).dirichlet(np.full(hops, 4.0), 300):
        assert margin((low * shape).tolist()) <= 0


def test_the_cheapest_sum_of_five_hops_is_the_ladder_and_of_eight_is_not():
    """Sequential programming over all coefficients that do not lose."""

    def cheapest(hops):
        def left(c, j):
            return np.prod(c) - np.prod(c[:j]) * (1 - c[j])

        paths = [{"type": "ineq", "fun": left, "args": (j,)} for j in range(hops)]
        start = coefficient_ladder.ladder(hops, coefficient_ladder.product_needed(hops))
        limits = [(1e-3, 3)] * hops
        return minimize(np.sum, np.array(start) + 0.01, constraints=paths, bounds=limits).fun

    assert cheapest(5) == pytest.approx(coefficient_ladder.sum_needed(5)[1], abs=1e-5)
    low, high = coefficient_ladder.sum_needed(8)
    assert low < cheapest(8) < high - 1e-4


@settings(max_examples=20)
@given(st.floats(0.5, 2.0))
def test_two_hops_split_their_budget_as_stated(budget):
    best = coefficient_ladder.two_hop_split(budget)
    assert sum(best) == pytest.approx(budget, rel=1e-14)
    assert margin(best) == pytest.approx(3 * best[0] - 2, abs=1e-12)
    first = np.linspace(0, budget, 2001)
    others = first * (budget - first)
    others = others - np.maximum(0, np.maximum(1 - first, first * (1 - budget + first)))
    assert margin(best) - 0.01 <= others.max() <= margin(best) + 1e-12
    assert (margin(best) > 0) == (budget > 7 / 6) or budget == pytest.approx(7 / 6)


def test_a_convex_split_loses_by_the_square_of_the_golden_section_at_best():
    first, _ = coefficient_ladder.two_hop_split(1)
    assert first == pytest.approx(1 / PHI, rel=1e-14)
    assert margin(coefficient_ladder.two_hop_split(1)) == pytest.approx(-((1 - first) ** 2))
    for budget in (0.49, 2.01):
        with pytest.raises(ValueError, match="1/2 to 2"):
            coefficient_ladder.two_hop_split(budget)


@over()
def test_if_the_largest_is_limited_equal_ones_are_best(rng):
    hops = int(rng.integers(1, 5))
    assert margin((threshold(hops) * rng.uniform(0.5, 1, hops)).tolist()) <= 1e-12


# Placement


@over()
def test_the_answer_flips_at_the_share_needed(rng):
    first, second = rng.uniform((0.4, 0.3), 1.5).tolist()
    need = invisible_placement.share_needed(first, second)
    shares = [[1 - need - step, need + step] for step in (-1e-6, 1e-6)]
    low, high = (model.two_hop() for model in placed(shares, (first, second)).models)
    assert low[0] < low[1:].max()
    assert high[0] > high[1:].max()


@over(invisible_placement)
def test_single_hop_logits_are_the_same_on_any_key_and_the_fraction_is_as_simulated(case, rng):
    keys = rng.standard_normal((len(case.prompt.keys[1]), 5))
    seen = [model.single(keys) for model in case.models]
    for logits_ in seen[1:]:
        np.testing.assert_allclose(logits_, seen[0], atol=1e-8 * np.abs(seen[0]).max())
    truth = [m.two_hop()[0] > m.two_hop()[1:].max() for m in case.models]
    assert np.mean(truth) == pytest.approx(invisible_placement.composing(case))


@pytest.mark.parametrize("layers", [2, 4, 6])
def test_stored_in_every_layer_it_composes_and_in_the_early_ones_never(layers):
    (model,) = placed([[1.0] * layers], early=layers - 1, seed=layers).models
    assert model.single(model.case.prompt.keys[1]).argmax(axis=0).tolist() == [0, 1, 2]
    assert model.two_hop().argmax() == 0
    for strength in (0.5, 1.0, 10.0):
        (model,) = placed([[1.0, 0.0]], (1.0, strength)).models
        assert model.two_hop().argmax() != 0


def test_shares_needed_by_hand():
    shares = [(0.6, 0.8), (2 / 3, 1.0), (1.0, 0.5), (1e-3, 1.0)]
    needed = [invisible_placement.share_needed(*pair) for pair in shares]
    assert needed == pytest.approx([5 / 6, 1 / 2, 1.0, 999.0], rel=1e-12)
    assert invisible_placement.composing(placed([[1.0, 0.0], [0.0, 1.0]])) == 0.5


# Orders and products


def two_relations(seed, n=4, known=True):
    """Two edited relations on orthonormal keys: everything is one-hot but for a rotation."""
    rng = np.random.default_rng(seed)
    frame = orthonormal(rng, 3 * n, 2 * n)
    k1, k2, hot = frame[:, :n], frame[:, n:], np.eye(2 * n)
    y, z = hot[:, :n], hot[:, n:]
    old, new, old2, new2 = (rng.permutation(n) for _ in range(4))
    held = known * y[:, old], known * z[:, old2]
    memories = interpolating(k1, held[0]), interpolating(k2, held[1])
    edits = interpolating(k1, y[:, new] - held[0]), interpolating(k2, z[:, new2] - held[1])
    answers = z[:, new2[new]], z[:, old2[old]]
    return Chain(memories, (interpolating(y, k2),), edits), k1, k2, answers, frame


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_the_composed_change_answers_all_facts_at_once(known, seed):
    model, k1, _, (new, old), frame = two_relations(seed, known=known)
    rest = np.random.default_rng(seed).standard_normal((len(frame), k1.shape[1]))
    prompts = 0.7 * k1 + rest - k1 @ (k1.T @ rest)
    change = composition_merge.composed(model) @ prompts
    np.testing.assert_allclose(change, 0.7 * (new - known * old), atol=1e-12)
    whole = model.read(1, model.bridges[0] @ model.read(0, prompts, 1.0), 1.0)
    np.testing.assert_allclose(whole, 0.7 * new, atol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_a_factor_wise_merge_composes_in_one_gauge_only(seed):
    """PEFT's `linear` on facts new to the base: all of the product in one gauge, noise else."""
    model, k1, _, (new, _), _ = two_relations(seed, known=False)
    first, second = model.edits
    right = second.regauged(composition_merge.gauge(first, second, model.bridges[0]))
    turned = second.regauged(orthonormal(np.random.default_rng(seed), 4, 4))

    def answers(low):
        library = [Adapter.of({"m": part}) for part in (first, low)]
        return (merge(library, "factor-linear")["m"] @ k1)[4:]

    np.testing.assert_allclose(answers(right), new[4:], atol=1e-9)
    assert np.abs(answers(turned) - new[4:]).max() > 0.05
    np.testing.assert_allclose(turned.dense(), right.dense(), atol=1e-9)


# One interpolating merge a read


def crowd(seed, adapters, facts, d, common=0.0):
    """Two reads, Gaussian keys with a common part, owners in order."""
    rng, edited = np.random.default_rng(seed), adapters * facts
    one, two, values = (rng.standard_normal((d, n)) for n in (edited, 2 * edited, 2 * edited))
    shared_part = common * rng.standard_normal((d, 1))
    owners = tuple(tuple(tuple(range(i, edited, adapters)) for i in range(adapters)) for _ in "ab")
    return interpolating_merge.Reads((one + shared_part, two + shared_part), (values,), owners)


def margins(case, rule="interpolate"):
    library = interpolating_merge.least_norm_edits(case)
    model = interpolating_merge.model(case, library, rule)
    return interpolating_merge.margins(case, model)


@over("interpolating-composition")
def test_the_merge_in_dense_arrays(case):
    """By another road: pseudo-inverse of the keys, no row space, read after read."""
    state = prompts = case.keys[0][:, : case.edited]
    for index, hop in enumerate(case.hops):
        edited = np.linalg.pinv(hop.keys[:, : case.edited])
        weight = hop.old @ np.linalg.pinv(hop.keys)
        weight = weight + (hop.new - hop.old)[:, : case.edited] @ edited
        state = weight @ state
        if index < len(case.values):
            state = case.keys[index + 1] @ np.linalg.pinv(case.values[index]) @ state
    model = interpolating_merge.model(case, interpolating_merge.least_norm_edits(case))
    said, room = (
        model.output(prompts, [1.0] * len(case.keys)),
        interpolating_merge._condition_of_reads,
    )
    np.testing.assert_allclose(said, state, atol=1e-11 * room(case))
    np.testing.assert_allclose(margins(case), 1.0, atol=1e-11 * room(case))


@pytest.mark.parametrize(("adapters", "facts"), [(1, 3), (2, 2), (3, 2), (4, 3)])
def test_the_mean_never_composes_and_a_crowded_sum_fails(adapters, facts):
    case = crowd(1, adapters, facts, 2 * adapters * facts + 8, common=1.0)
    room = 1e-11 * interpolating_merge._condition_of_reads(case)
    assert float(margins(case).min()) == pytest.approx(1, abs=room)
    assert adapters == 1 or float(margins(case, "mean").max()) < 0.5
    assert adapters == 1 or float(margins(case, "sum").min()) < 0.9


def test_in_orthonormal_frames_the_mean_leads_as_the_region_says():
    """Two adapters, weight 1/2 a read: the closed form of `two-read-region`."""
    eye, owners = np.eye(12), (((0,), (1,)), ((0,), (1,)))
    case = interpolating_merge.Reads((eye[:, :2], eye[:, :4]), (eye[:, :4],), owners)
    assert margins(case, "mean") == pytest.approx(margin((0.5, 0.5), "overwrite"), abs=1e-13)
    assert margins(case, "sum") == pytest.approx(1.0)


# In the prompt


@pytest.mark.parametrize("sharpness", [0.5, 2.0, 5.0])
def test_no_pair_of_functions_is_worse(sharpness):
    """All 729 pairs on three things, all subjects, by loops."""
    every = list(itertools.product(range(3), repeat=3))
    shares = [by_loops(f, g, x, sharpness) for f in every for g in every for x in range(3)]
    assert min(shares) == pytest.approx(context_composition.least_share(3, sharpness), rel=1e-13)


@pytest.mark.parametrize("things", [2, 3, 10, 1000, 10**6])
def test_a_logarithmic_sharpness_suffices(things):
    beta, share = context_composition.sharpness_needed(things), context_composition.least_share
    assert share(things, beta) == pytest.approx(0.5, abs=1e-6)
    assert share(things, beta + 0.1) > 0.5 > share(things, beta - 0.1)
    assert share(things, math.log(8 * things**2)) > 5 / 7  # the sharpness of the proof
    assert beta < math.log(8 * things**2)
    assert share(things, 200.0) == pytest.approx(1.0, abs=1e-12)
    assert share(things, 0.0) == pytest.approx(1 / (2 * things), rel=1e-12)


def test_one_layer_is_cited_and_its_arithmetic_and_reads_the_bridge():
    """Sixteen things are 64 bits: one head of width 1 and 16 bits lacks 32, a sixth of 3 x 64."""
    error = context_composition.one_layer_error
    assert error(16, 1, 1, 16) == pytest.approx(1 / 6, rel=1e-15)
    assert error(16, 1, 3, 16) == error(16, 8, 64, 32) == 0.0
    assert error(4096, 4, 64, 16) == pytest.approx((49152 - 4160) / (3 * 49152))
    case, asked = context_composition.Case(np.eye(9), 8.0), ((1, 2, 0), (2, 0, 1), 0)
    shares = [
        context_composition.measure(case, context_composition.Question(*asked, layers=n))
        for n in (1, 2)
    ]
    assert shares[0] < 0.01
    assert shares[1] > 0.98


GRID = np.linspace(0, 1, 61)


# Routers that share out one unit of weight


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_weights_on_a_grid_do_better_and_the_strength_that_a_pass_needs(pattern):
    """By brute force over the closed form of the region: all mixtures, summing to less too."""
    leads = [margin((a, b), pattern) for a in GRID for b in GRID if a + b <= 1 + 1e-12]
    top = routing_reach.ceiling("shared a pass", pattern)
    assert top - 0.02 <= max(leads) <= top + 1e-12
    assert margin(routing_reach.BEST[pattern], pattern) == pytest.approx(top, abs=1e-15)
    ones = [margin(pair, pattern) for pair in ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0))]
    assert max(ones) == routing_reach.ceiling("one a pass", pattern)
    need, shares = routing_reach.strength_needed(pattern), np.linspace(0, 1, 2001)
    for strength, composes in ((need - 1e-3, False), (need + 0.02, True)):
        mixed = [margin((strength * g, strength * (1 - g)), pattern) for g in shares]
        assert strength <= 0 or (max(mixed) > 1e-9) == composes
