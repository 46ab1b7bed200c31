"""Composition: hand examples, symmetries, other roads and whole solutions."""

import itertools
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from theorems.owed import example, road, symmetry

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems.composition import (
    clean_up_bridge,
    placement,
    routing_reach,
    template_vote,
    two_read_region,
)
from loratheory.theorems.composition.two_read_region import (
    PATTERNS,
    Prompt,
    logits,
    margin,
    strength_needed,
    threshold,
    window,
)


def turned(prompt, rng, values=False):
    """The same prompt in a turned frame of keys, with keys of another length."""
    d = len(prompt.keys[0])
    turn = float(rng.uniform(0.1, 10)) * orthonormal(rng, d, d)
    prompt = replace(prompt, keys=tuple(turn @ k for k in prompt.keys))
    return replace(prompt, values=tuple(turn @ v for v in prompt.values)) if values else prompt


def regauged(model):
    """The same edits with factors of other sizes."""
    return replace(model, edits=tuple(LowRank(e.up * 8.0, e.down / 8.0) for e in model.edits))


# two-read region


def oblique(first, second):
    """Two hops over old facts: non-orthogonal integer keys and values."""
    one = np.array([[1.0, 1], [0, 2], [0, 0]])
    two = np.array([[1.0, 1, 0], [0, 1, 1], [1, 0, 2]])
    value = np.array([[2.0, 1, 0], [0, 1, 3], [0, 0, 1]])
    return Prompt("overwrite", (first, second), (one, two), (value,))


@example(two_read_region)
def halves_give_a_quarter_a_quarter_and_a_half():
    case = oblique(0.5, 0.5)
    yield case, -1 / 4
    said = two_read_region.attain(case).output(case.keys[0][:, 0], case.coefficients)
    np.testing.assert_allclose(said, [0.25, 0.0, 0.5, 0.25], atol=1e-12)


@symmetry(two_read_region)
def size_rotation_and_gauge(case, rng):
    stretched = tuple(v @ np.diag(rng.choice([1.0, 2.0], v.shape[1])) for v in case.values)
    yield replace(turned(case, rng), values=stretched), 1.0
    model = two_read_region.attain(case)
    yield case, 1.0, (regauged(model), two_read_region.measure(case, model))


# perturbed region


@example("perturbed-region")
def two_halves_under_a_tenth_lose_a_quarter_less_a_half_less_seven_twentieths():
    case = replace(oblique(0.5, 0.5), keys=(np.eye(3)[:, :2], np.eye(3)), values=(np.eye(3),))
    yield two_read_region.Disturbed(case, (0.1, 0.1)), -0.6
    # strong edits lose most to a token apart: it reads 9/4 less 1/2 (3/2 + 3/2) less 1/10 (1 + 1)
    one = np.eye(4)
    case = Prompt("overwrite both", (1.5, 1.5), (one[:, :2], one), (one,))
    yield two_read_region.Disturbed(case, (0.5, 0.1)), 0.55


@road("perturbed-region")
def whole_edits_and_two_equal_hops_have_closed_forms(case, rng):
    prompt, (c, e) = case.prompt, rng.uniform(0, 1, 2).tolist()
    hops = len(prompt.keys)
    whole, two = (replace(prompt, coefficients=(one,) * hops) for one in (1.0, c))
    yield two_read_region.Disturbed(whole, (e,) * hops), 1 - 2 * hops * e
    if hops == 2 and prompt.pattern == "overwrite":
        yield two_read_region.Disturbed(two, (e, e)), c**2 + c - 1 - (c + 3) * e


# composition order


@example("composition-order")
def two_hops_at_a_half_are_a_quarter_all_of_it_in_the_second_order():
    for order, logit in enumerate((0.0, 0.0, 0.25)):
        yield two_read_region.Interacting(oblique(0.5, 0.5), order), logit


@symmetry("composition-order", size=6)
@symmetry("perturbed-region", size=6)
def size_and_rotation_of_all_frames(case, rng):
    yield replace(case, prompt=turned(case.prompt, rng, values=True)), 1.0


# clean-up bridge


def three_entities(coefficients, sharpness, seed=1, n=3, pattern="overwrite"):
    rng = np.random.default_rng(seed)
    keys = tuple(rng.standard_normal((n + 5, k)) for k in (n - 1, n))
    prompt = Prompt(pattern, coefficients, keys, (rng.standard_normal((n + 5, n)),))
    return clean_up_bridge.Case(prompt, sharpness)


@example(clean_up_bridge)
def sharpness_ln_2_gives_shares_of_a_half_and_two_quarters():
    """Whole first edit; the second one of 3/4 leaves the logits 3/8, 1/4, 1/4, 1/8."""
    case = three_entities((1.0, 0.75), math.log(2))
    chain, key = clean_up_bridge.attain(case), case.prompt.keys[0][:, 0]
    said = clean_up_bridge.output(chain, key, (1.0, 0.75), math.log(2))
    np.testing.assert_allclose(said, [3 / 8, 1 / 4, 1 / 4, 1 / 8], atol=1e-12)
    yield case, 1 / 8


@example(clean_up_bridge, tight=False)
def without_other_entities_they_do_not_compete():
    """One subject and one entity on the old path, or none left: shares e^-.3 to e^1.8, or to 1."""
    cases = ("overwrite", 1.2, 1), ("new subject", 0.0, 1), ("new facts", 0.0, 0)
    for pattern, rest, old in cases:
        new, other = math.exp(1.5 * -0.2), math.exp(1.5 * rest)
        margin = (1.4 * new - max(-0.4 * new * old, other)) / (new + other)
        case = three_entities((-0.2, 1.4), 1.5, 0, 2, pattern)
        yield case, margin, (clean_up_bridge.attain(case), margin)


@symmetry(clean_up_bridge)
def size_rotation_and_order_of_entities(case, rng):
    moved = turned(case.prompt, rng, values=True)
    order = [0, *(1 + rng.permutation(moved.keys[1].shape[1] - 1)).tolist()]
    yield replace(case, prompt=moved), 1.0
    yield replace(case, prompt=replace(moved, keys=(moved.keys[0], moved.keys[1][:, order]))), 1.0


# template vote


@example(template_vote)
def three_adapters_say_a_half_a_half_and_nothing_for_the_step_at_1_a_half_and_a_quarter():
    habits = np.array([[0.0], [1.0], [0.0]])
    shares = tuple(np.array([[p], [0.0], [1 - p]]) for p in (0.5, 0.5, 0.0))
    step = Fraction(1, 2) + Fraction(1, 4)
    other = max(1 - Fraction(7, 4), Fraction(1, 2) + Fraction(1, 4) + Fraction(1, 4))
    yield template_vote.Case(np.eye(2)[:, :1], habits, shares, (1.0, 0.5, 0.25)), step - other


@symmetry(template_vote, size=6)
def size_and_rotation_of_the_keys(case, rng):
    d = len(case.keys)
    yield replace(case, keys=float(rng.uniform(0.1, 10)) * orthonormal(rng, d, d) @ case.keys), 1.0


# invisible placement


def placed(shares, coefficients=(1.0, 1.0), early=1, seed=0):
    rng = np.random.default_rng(seed)
    keys, more, values = (rng.standard_normal((7, n)) for n in (2, 3, 3))
    prompt = Prompt("overwrite", coefficients, (keys, more), (values,))
    return placement.Placements(prompt, np.array(shares), early)


@example("invisible-placement")
def whole_edits_with_49_per_cent_late_give_49_to_51_and_with_51_the_other_way_round():
    case = placed([[0.51, 0.49], [0.49, 0.51]])
    for model, late in zip(case.models, (0.49, 0.51), strict=True):
        np.testing.assert_allclose(model.two_hop(), [late, 0, 0, 1 - late], atol=1e-12)
        single = model.single(case.prompt.keys[1][:, 0])
        np.testing.assert_allclose(single, [1, 0, 0, 0], atol=1e-12)
    yield case, 1 / 2
    yield placed([[0.1, 0.9]]), 0.0
    yield placed([[0.1, 0.9], [0.2, 0.8], [0.8, 0.2]]), 1 / 3


@symmetry("invisible-placement")
def size_rotation_and_order_of_early_layers(case, rng):
    order = [*rng.permutation(case.early), *range(case.early, case.shares.shape[1])]
    yield replace(case, prompt=turned(case.prompt, rng), shares=case.shares[:, order]), 1.0


# routing reach


@example(routing_reach)
def at_the_golden_section_both_competitors_keep_it_back_by_its_fourth_power():
    """Both have 1 - g = g², and the margin is -(1 - g)²."""
    g = (sp.sqrt(5) - 1) / 2
    assert sp.simplify((1 - g) - g * g) == 0
    assert sp.simplify(g * (1 - g) - (1 - g) + ((1 + sp.sqrt(5)) / 2) ** -4) == 0
    case, _ = routing_reach.CONTROLS[1].example()
    assert case.router == "shared a pass"
    yield case, -0.145898033750315, (np.full((2, 2), 0.5), -0.25), (np.ones((2, 2)), 1.0)
    yield replace(case, router="one a pass"), -1.0, (np.zeros((2, 2)), -1.0)
    yield replace(case, router="shared a read"), 1.0


@symmetry(routing_reach)
def size_rotation_and_foreign_weights(case, rng):
    other, own = np.array([[0.3, 0.7], [0.1, 0.6]]), np.array([[0.3, 0.0], [0.0, 0.6]])
    moved = replace(case, prompt=turned(case.prompt, rng))
    yield moved, 1.0, (other, routing_reach.measure(case, own))


PHI = (1 + math.sqrt(5)) / 2
numbers = st.floats(-3, 3, allow_subnormal=False).filter(lambda x: abs(x) > 1e-3)


# Thresholds of K edited hops, in exact arithmetic; regions by the signs of polynomials


def test_thresholds_strengths_and_windows_by_hand():
    exact = [0.5, PHI - 1, 0.6823278038280193]
    assert [threshold(k) for k in (1, 2, 3)] == pytest.approx(exact, rel=1e-15)
    assert [round(threshold(k), 4) for k in (4, 6)] == [0.7245, 0.7781]
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


# Under interference


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_the_answer_is_safe_above_its_threshold_only(pattern, hops):
    start = two_read_region.safe_threshold(hops, 0.05, pattern)
    for c in np.linspace(0, 1, 101).tolist():
        safe = two_read_region.least_margin([c] * hops, [0.05] * hops, pattern) > 1e-12
        assert safe == (c > start + 1e-12)
    assert two_read_region.safe_threshold(hops, 0.499 / hops, pattern) < 1
    assert math.isinf(two_read_region.safe_threshold(hops, 0.501 / hops, pattern))


# With a bridge that decides


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


# Templates


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


# Placement


def test_shares_needed_by_hand():
    shares = [(0.6, 0.8), (2 / 3, 1.0), (1.0, 0.5), (1e-3, 1.0)]
    needed = [placement.share_needed(*pair) for pair in shares]
    assert needed == pytest.approx([5 / 6, 1 / 2, 1.0, 999.0], rel=1e-12)
    assert placement.composing(placed([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])) == 1 / 3


# spread region


def spread(coefficients, edits, facts):
    """Shares as they are given, over entities along axes."""
    hops = len(coefficients)
    count = (hops + 1) * (hops + 2) // 2 + 1
    edits, facts = np.array(edits, float), np.array(facts, float)
    return two_read_region.Spread(tuple(map(float, coefficients)), edits, facts, np.eye(count))


@example("spread-region")
def two_hops_by_hand():
    """Masses 1, 2/3 and 1/3 for even edits over facts at both ends of three reads."""
    even, ends = [[1 / 3] * 3] * 2, [[1, 0, 0], [0, 0, 1]]
    yield spread((1.0, 1.0), even, ends), 0.0  # 1/3 against 2/3 - 1/3 and 1 - 2/3
    yield spread((1.5, 1.0), even, ends), 0.0  # 1/2 against 1 - 1/2: the second is not enough
    yield spread((1.0, 1.5), even, ends), 0.5 - 1 / 3
    yield spread((1.0, 1.0), even, even), 1 / 3


@symmetry("spread-region")
def reads_that_hold_nothing_and_entities_of_another_length(case, rng):
    turn = float(rng.uniform(0.1, 10)) * orthonormal(rng, len(case.entities), len(case.entities))
    place = int(rng.integers(0, case.edits.shape[1] + 1))
    idle = [np.insert(shares, place, 0.0, axis=1) for shares in (case.edits, case.facts)]
    yield replace(case, entities=turn @ case.entities), 1.0
    yield replace(case, edits=idle[0], facts=idle[1]), 1.0
    yield replace(case, edits=3 * case.edits, facts=3 * case.facts), 3.0**case.hops
