"""What the theorems on composition are owed: hand examples, symmetries, other roads."""

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import sympy as sp
from scipy.optimize import linprog
from scipy.special import entr
from theorems.owed import attack, example, floats, road, symmetry

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import (
    bridge_transfer,
    clean_up_bridge,
    coefficient_ladder,
    composition_merge,
    composition_order,
    context_composition,
    free_placement,
    interpolating_merge,
    invisible_placement,
    least_norm_placement,
    perturbed_region,
    residual_region,
    routing_reach,
    spread_region,
    stand_in_ceiling,
    template_vote,
    two_read_region,
)
from loratheory.theorems.composition._hops import Prompt
from loratheory.toy import Chain


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


def oblique(first, second, make=np.array):
    """Two hops over old facts: non-orthogonal integer keys and values."""
    keys = [[1, 1], [0, 2], [0, 0]], [[1, 1, 0], [0, 1, 1], [1, 0, 2]]
    value = [[2, 1, 0], [0, 1, 3], [0, 0, 1]]
    if make is not np.array:
        return tuple(map(make, keys)), make(value)
    frames = (np.array(part, float) for part in (*keys, value))
    one, two, value = frames
    return Prompt("overwrite", (first, second), (one, two), (value,))


def exact_end(keys, value, first, second, silent=sp.zeros(3, 1), late=sp.zeros(4, 1)):
    """What two edited reads say in rationals, when others add these weights at each read."""
    tokens = sp.eye(4)
    one = sp.Matrix.hstack(first * value[:, 0] + (1 - first) * value[:, 2], value[:, 1])
    said = sp.Matrix.hstack(
        second * tokens[:, 0] + (1 - second) * tokens[:, 3], *map(tokens.col, (1, 2))
    )
    state = one * keys[0].pinv() * keys[0][:, 0] + value * silent
    return said * keys[1].inv() * (keys[1] * value.inv()) * state + late


@example(two_read_region)
def halves_give_a_quarter_a_quarter_and_a_half_in_rationals():
    half = sp.Rational(1, 2)
    assert list(exact_end(*oblique(0, 0, sp.Matrix), half, half)) == [half**2, 0, half, half**2]
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


@road(two_read_region)
def without_edits_the_base_answers_and_whole_edits_always_compose(case, _):
    none, whole = (replace(case, coefficients=(c,) * len(case.keys)) for c in (0.0, 1.0))
    yield none, 0.0 if case.pattern in ("new subject", "new facts") else -1.0
    yield whole, 1.0


# perturbed region


@example(perturbed_region)
def two_halves_under_a_tenth_lose_a_quarter_less_a_half_less_seven_twentieths():
    case = replace(oblique(0.5, 0.5), keys=(np.eye(3)[:, :2], np.eye(3)), values=(np.eye(3),))
    yield perturbed_region.Case(case, (0.1, 0.1)), -0.6


@example(perturbed_region)
def all_corners_of_the_box_in_exact_rationals():
    """Two hops through oblique frames: the least of 2^7 margins is the formula on paper."""
    a, b, e, f = (sp.Rational(n, 100) for n in (80, 90, 5, 4))
    frames = oblique(0, 0, sp.Matrix)
    signs = (sp.Matrix(s) for s in product((-1, 1), repeat=7))
    ends = (exact_end(*frames, a, b, e * s[:3, :], f * s[3:, :]) for s in signs)
    least = min(out[0] - max(out[1:]) for out in ends)
    apart, left = e * (1 + b) + 2 * f, e * abs(2 * b - 1) + 2 * f
    assert least == min(a * b - (1 - a) - apart, a * b - a * (1 - b) - left, a * b - apart)
    yield perturbed_region.Case(oblique(0.8, 0.9), (0.05, 0.04)), float(least)


@road(perturbed_region)
def without_interference_it_is_the_two_read_region(case, _):
    alone = replace(case, interference=(0.0,) * len(case.interference))
    yield alone, two_read_region.bound(case.prompt)


@road(perturbed_region, size=6)
def linear_programs_on_the_whole_model_find_the_same_worst_case(case, rng):
    """Outputs are affine in all weights; one program a token, slopes by probing."""
    if len(case.interference) != 2 or len(case.prompt.values[0].T) > 6:
        return
    prompt = replace(case.prompt, coefficients=tuple(rng.uniform(0.1, 1.3, 2).tolist()))
    case = perturbed_region.Case(prompt, (0.2, 0.07))
    model, sizes = two_read_region.attain(prompt), [prompt.values[0].shape[1]]
    sizes.append(model.memories[-1].shape[0])

    def outputs(weights):
        crowd = perturbed_region.crowded(case, model, np.split(weights, [sizes[0]]))
        reads = zip(model.memories, crowd.others, strict=True)
        merged = replace(model, memories=tuple(a + b for a, b in reads))
        return merged.output(prompt.keys[0][:, 0], prompt.coefficients)

    zero = outputs(np.zeros(sum(sizes)))
    slopes = np.stack([outputs(e) - zero for e in np.eye(sum(sizes))], axis=1)
    box = [(-e, e) for e, k in zip(case.interference, sizes, strict=True) for _ in range(k)]
    rest = range(1, len(zero))
    yield (
        case,
        min(zero[0] - zero[t] + linprog(slopes[0] - slopes[t], bounds=box).fun for t in rest),
    )


@symmetry(perturbed_region, size=6)
def size_rotation_and_gauge_of_the_others(case, rng):
    yield replace(case, prompt=turned(case.prompt, rng)), 1.0
    crowd = perturbed_region.attain(case)
    others = tuple(LowRank(e.up * 4.0, e.down / 4.0) for e in crowd.others)
    same = perturbed_region.measure(case, crowd)
    yield case, 1.0, (replace(crowd, others=others), same)


# residual region


def stream_of(coefficients, gain, direct, length=1.0):
    """Hops along axes, the prompt's key of this length."""
    eye, n = np.eye(20), [2 + j for j in range(len(coefficients))]
    keys = [eye[:, :2] * length, *[eye[:, 14 : 14 + k] for k in n[1:]]]
    ends = np.cumsum([2, *n[1:]]).tolist()
    values = [eye[:, a:b] for a, b in pairwise(ends)]
    prompt = Prompt("overwrite", tuple(coefficients), tuple(keys), tuple(values))
    return residual_region.Case(prompt, gain, direct)


@example(residual_region)
def a_unit_key_and_a_whole_edit_make_a_stream_of_length_root_two():
    yield stream_of((1.0, 1.0), 2.0, 0.5), math.sqrt(2) - 0.5


@example(residual_region)
def the_stream_may_name_the_old_bridge_entity_most():
    """A weak first edit under a strong direct path: 3 (1 - 1/5) beats all else."""
    yield stream_of((0.2, 0.9), 1.0, 3.0), 0.18 / math.sqrt(1.68) - 2.4


@example(residual_region)
def three_hops_in_exact_rationals():
    """Oblique keys, values in a turned frame, streams of rational length: 2² + 2² + 1² = 3²."""
    frame, strengths = sp.eye(9) - 2 * sp.ones(9) / 9, [*map(sp.Rational, ("2/3", "1/2", "4/5"))]
    keys = [sp.Matrix.hstack(2 * frame[:, 0] / 3, frame[:, 0] + frame[:, 8])]
    keys += [sp.eye(9)[:, :n] + sp.ones(9, n) for n in (3, 4)]
    values, stream, lengths = [frame[:, 1:4], frame[:, 4:8]], keys[0][:, 0], []
    for hop, value in enumerate([*values, sp.eye(5)]):
        lengths.append(stream.norm())
        bridge = 3 * keys[hop] * values[hop - 1].T / lengths[hop] if hop else sp.eye(9)
        edited = strengths[hop] * value[:, 0] + (1 - strengths[hop]) * value[:, -1]
        read = sp.Matrix.hstack(edited, value[:, 1:-1]) * keys[hop].pinv()
        written = read * bridge * stream
        stream += written if hop < 2 else 0 * stream
    assert lengths == [sp.Rational(2, 3), 1, 2]
    prompt = Prompt(
        "overwrite", tuple(map(float, strengths)), *(tuple(map(floats, p)) for p in (keys, values))
    )
    for direct, margin in (("1/5", "-3/10"), ("2", "-4/5")):
        named = max(max(value.T * stream) for value in values) * sp.Rational(direct)
        assert written[0] - max(*written[1:], named) == sp.Rational(margin)
        case = residual_region.Case(prompt, 3.0, float(sp.Rational(direct)))
        yield case, float(sp.Rational(margin))


@road(residual_region)
def two_hops_follow_the_formula_on_paper_also_for_long_prompts(case, rng):
    (first, second), direct = rng.uniform(-0.5, 1.5, 2).tolist(), case.direct
    length = float(10.0 ** rng.choice([0, 3, 5, 7]))
    rho = math.sqrt(length**2 + first**2 + (1 - first) ** 2)
    tokens = [case.gain * w / rho for w in (1 - first, first * (1 - second))]
    expected = case.gain * first * second / rho - max(
        0.0, *tokens, direct * first, direct * (1 - first)
    )
    yield stream_of((first, second), case.gain, direct, length), expected


@symmetry(residual_region)
def rotation_and_gauge_of_edits(case, rng):
    d = len(case.prompt.keys[0])
    turn = orthonormal(rng, d, d)
    keys, values = (
        tuple(turn @ f for f in part) for part in (case.prompt.keys, case.prompt.values)
    )
    yield replace(case, prompt=replace(case.prompt, keys=keys, values=values)), 1.0
    model = residual_region.attain(case)
    yield case, 1.0, (regauged(model), residual_region.measure(case, model))


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
    for pattern, rest, old in (
        ("overwrite", 1.2, 1),
        ("new subject", 0.0, 1),
        ("new facts", 0.0, 0),
    ):
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


@example(template_vote)
def averaging_keeps_the_template_and_loses_old_facts_not_new_ones():
    habits = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    shares = [np.array([[1.0, j == 0, j == 1], [0.0, j != 0, j != 1]]) for j in (0, 1)]
    yield template_vote.Case(np.eye(3), habits, tuple(shares), (0.5, 0.5)), 0.0
    none = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    fresh = tuple(np.where(x == 1, x, 0) * np.array([[1.0], [0.0]]) for x in shares)
    yield template_vote.Case(np.eye(3), none, fresh, (0.5, 0.5)), 0.5


@road(template_vote, size=6)
def habits_spread_over_two_steps_ask_for_less(_, rng):
    share, spread = float(rng.uniform(0.34, 1)), np.array([[0.0], [0.5], [0.5]])
    said = share * np.eye(3)[:, [0]] + (1 - share) * spread
    case = template_vote.Case(np.eye(4)[:, :1], spread, (said, said), (0.5, 0.5))
    yield case, share - (1 - share) / 2


@symmetry(template_vote, size=6)
def size_and_rotation_of_the_keys(case, rng):
    d = len(case.keys)
    yield replace(case, keys=float(rng.uniform(0.1, 10)) * orthonormal(rng, d, d) @ case.keys), 1.0


# coefficient ladder


@example(coefficient_ladder)
def two_thirds_and_a_half_leave_a_third_on_every_path_and_three_quarters_and_two_thirds_win():
    eye, halves = np.eye(4), (Fraction(2, 3), Fraction(1, 2))
    assert halves[0] * halves[1] == 1 - halves[0] == halves[0] * (1 - halves[1])
    for share, margin, steps in ((1 / 3, 0.0, (2 / 3, 1 / 2)), (1 / 2, 1 / 4, (3 / 4, 2 / 3))):
        case = coefficient_ladder.Case(share, (eye[:, :2], eye[:, :3]), (eye[:, :3],))
        yield case, margin, (steps, margin)


@example(coefficient_ladder)
def whole_edits_lead_by_one_more_by_their_product_and_negative_ones_stay_below_it():
    eye = np.eye(9)
    for hops in (1, 2, 4):
        frames = tuple(eye[:, : 2 + j] for j in range(hops))
        yield coefficient_ladder.Case(1.0, frames, frames[1:]), 1.0, ((1.0,) * hops, 1.0)
        yield coefficient_ladder.Case(2.0, frames, frames[1:]), 2.0
    two = coefficient_ladder.Case(3.0, (eye[:, :2], eye[:, :3]), (eye[:, :3],))
    yield two, 3.0, ((-1.0, -3.0), 1.0)


@symmetry(coefficient_ladder, size=6)
def size_and_rotation_of_frames(case, rng):
    d = len(case.keys[0])
    turn = float(rng.uniform(0.1, 10)) * orthonormal(rng, d, d)
    yield replace(case, keys=tuple(turn @ keys for keys in case.keys)), 1.0


# invisible placement


def placed(shares, coefficients=(1.0, 1.0), early=1, seed=0):
    rng = np.random.default_rng(seed)
    keys, more, values = (rng.standard_normal((7, n)) for n in (2, 3, 3))
    prompt = Prompt("overwrite", coefficients, (keys, more), (values,))
    return invisible_placement.Case(prompt, np.array(shares), early)


@example(invisible_placement)
def whole_edits_with_49_per_cent_late_give_49_to_51_and_with_51_the_other_way_round():
    case = placed([[0.51, 0.49], [0.49, 0.51]])
    for model, late in zip(case.models, (0.49, 0.51), strict=True):
        np.testing.assert_allclose(model.two_hop(), [late, 0, 0, 1 - late], atol=1e-12)
        single = model.single(case.prompt.keys[1][:, 0])
        np.testing.assert_allclose(single, [1, 0, 0, 0], atol=1e-12)
    yield case, 1 / 2
    yield placed([[0.1, 0.9]]), 0.0
    yield placed([[0.1, 0.9], [0.2, 0.8], [0.8, 0.2]]), 1 / 3


@symmetry(invisible_placement)
def size_rotation_and_order_of_early_layers(case, rng):
    order = [*rng.permutation(case.early), *range(case.early, case.shares.shape[1])]
    yield replace(case, prompt=turned(case.prompt, rng), shares=case.shares[:, order]), 1.0


# least-norm placement


def reads(case, change):
    """The same keys at each read after a change of that read, named and latent alike."""
    both = zip(case.named, case.latent, strict=True)
    named, latent = zip(*(change(a, b) for a, b in both), strict=True)
    return replace(case, named=named, latent=latent)


def rotated(case, rng):
    """The same reads, each in a frame of its own."""
    turns = iter([orthonormal(rng, len(keys), len(keys)) for keys in case.named])

    def turned_read(named, latent):
        turn = next(turns)
        return turn @ named, turn @ latent

    return reads(case, turned_read)


TWO_FACTS = ([[1, 1], [0, 2]], [[1, 0], [1, 1]], [[2, 0], [0, 1]])  # keys of three reads
LATENT = ([9, 9], [1, 2], [1, 1])


@example(least_norm_placement)
def one_fact_four_fifths_of_it_late_and_half_alike_gives_two_fifths():
    case = least_norm_placement.SMALL
    assert least_norm_placement.shares(case) == [1 / 5, 4 / 5]
    yield case, 2 / 5
    yield replace(case, early=0, latent=(np.array([1.0, 0.0]), np.array([2.0, 0.0]))), 1.0
    yield replace(case, rates=(4.0, 1.0)), 1 / 4


@example(least_norm_placement)
def two_facts_in_three_reads_in_exact_rationals():
    """The Gram matrix is ((7, 2), (2, 7)); here by multipliers, unknown by unknown."""
    unknowns = [sp.Matrix(2, 2, sp.symbols(f"{name}:4")) for name in "uvw"]
    taught = sum((u * sp.Matrix(k) for u, k in zip(unknowns, TWO_FACTS, strict=True)), sp.zeros(2))
    multipliers = sp.Matrix(2, 2, sp.symbols("m:4"))
    every = [x for u in unknowns for x in u]
    lessons = sum(sp.matrix_multiply_elementwise(multipliers, taught - sp.eye(2)))
    lagrangian = sum(x**2 for x in every) / 2 + lessons
    found = sp.solve([sp.diff(lagrangian, x) for x in (*every, *multipliers)])
    late = zip(unknowns[1:], LATENT[1:], strict=True)
    first, second = sum((u.subs(found) * sp.Matrix(h) for u, h in late), sp.zeros(2, 1))
    assert (first, second) == (sp.Rational(29, 45), sp.Rational(11, 45))
    named = tuple(np.array(keys, float) for keys in TWO_FACTS)
    latent = tuple(np.array(keys, float) for keys in LATENT)
    yield least_norm_placement.Case(named, latent, (1.0, 1.0, 1.0), 1), float(first - second)


@symmetry(least_norm_placement, conditioned=True)
def frames_of_reads_and_key_lengths_against_rates(case, rng):
    yield rotated(case, rng), 1.0
    yield reads(case, lambda named, latent: (2 * named, 2 * latent)), 1.0
    rates = (case.rates[0] / 9, *case.rates[1:])
    longer = [(3 * keys[0], *keys[1:]) for keys in (case.named, case.latent)]
    yield least_norm_placement.Case(*longer, rates, case.early), 1.0
    unseen = tuple(keys + (read < case.early) for read, keys in enumerate(case.latent))
    yield replace(case, latent=unseen), 1.0


@road(least_norm_placement, conditioned=True)
def shares_are_matrices_that_sum_to_one_and_resemblances_are_fits(case, _):
    grams = [rate * k.T @ k for rate, k in zip(case.rates, case.named, strict=True)]
    parts = [np.linalg.inv(sum(grams)) @ gram for gram in grams]
    np.testing.assert_allclose(sum(parts), np.eye(len(grams[0])), atol=1e-9)
    fits = [np.linalg.lstsq(k, h)[0] for k, h in zip(case.named, case.latent, strict=True)]
    late = slice(case.early, None)
    weights = sum(part @ fit for part, fit in zip(parts[late], fits[late], strict=True))
    yield case, weights[0] - max([0.0, *weights[1:]])
    # without a bridge, named subjects get their own answer
    plain = replace(case, early=0, latent=tuple(keys[:, 0] for keys in case.named))
    yield plain, 1.0


# free placement


@example(free_placement)
def the_right_answer_costs_a_half_where_single_hops_alone_cost_a_fifth():
    """Three tenths more: the square of the missing 3/5 over 6/5."""
    case = free_placement.Case(least_norm_placement.SMALL, np.array([1.0, 0.0]))
    yield case, 1 / 2
    yield replace(case, answer=np.array([2 / 5, 0.0])), 1 / 5
    yield replace(case, answer=np.array([-2.0, 0.0])), 1 / 5 + 2.4**2 / 1.2


@symmetry(free_placement, conditioned=True)
def frames_of_reads_and_all_rates(case, rng):
    yield replace(case, model=rotated(case.model, rng)), 1.0
    faster = replace(case.model, rates=tuple(7 * rate for rate in case.model.rates))
    yield replace(case, model=faster), 1 / 7


@road(free_placement, conditioned=True)
def multipliers_of_all_lessons_give_the_norm(case, _):
    """The least norm is the wanted answers times their multipliers."""
    named, late = case.model.lessons, case.model.question
    keys = np.column_stack([named, late])
    multipliers = np.linalg.solve(keys.T @ keys, case.wanted.T)
    yield case, np.sum(case.wanted.T * multipliers)


# partner lessons


@example("partner-lessons")
def between_two_lessons_the_answers_are_mixed_alike():
    keys = np.array([[1.0, 1.0], [0.0, 2.0], [1.0, 0.0]])
    latent = 0.75 * keys[:, 0] + 0.25 * keys[:, 1]
    model = least_norm_placement.Case((keys, keys), (0 * latent, latent), (1.0, 1.0), 1)
    yield free_placement.Taught(model, (keys, keys)), 1 / 2
    yield free_placement.Taught(replace(model, latent=(latent, keys[:, 0])), (keys, keys)), 1.0


@symmetry("partner-lessons", conditioned=True)
def lengths_of_all_latent_keys_and_what_single_hops_say(case, rng):
    longer = tuple(3 * keys for keys in case.partner)
    model = replace(case.model, latent=tuple(3 * keys for keys in case.model.latent))
    yield replace(case, model=model, partner=longer), 1.0
    named = tuple(rng.standard_normal(keys.shape) for keys in case.model.named)
    yield replace(case, model=replace(case.model, named=named)), 1.0


# stand-in ceiling, and its clauses


def lessons(*answers, signals=1, entities=None, stand_ins=None):
    """Lessons in which row by row a stand-in gives these answers, all equally often."""
    s, n = len(answers), len(answers[0])
    entities = np.full(n, 1 / n) if entities is None else np.array(entities)
    stand_ins = np.full((s, n), 1 / s) if stand_ins is None else np.array(stand_ins)
    return stand_in_ceiling.Case(entities, stand_ins, answers, signals)


@example(stand_in_ceiling)
def two_that_agree_about_one_of_four_entities_allow_five_eighths():
    agreeing = (0, 0, 0, 0), (0, 1, 1, 1)
    yield lessons(*agreeing), 5 / 8
    yield lessons(*agreeing, signals=2), 1.0
    yield lessons(*agreeing, entities=[0.7, 0.1, 0.1, 0.1]), 0.85
    yield lessons((0, 1, 2)), 1.0
    three = [[0.5], [0.3], [0.2]]
    yield lessons((0,), (1,), (2,), stand_ins=three), 0.5
    yield lessons((0,), (1,), (2,), stand_ins=three, signals=2), 0.8
    yield lessons((0,), (1,), (1,), stand_ins=three), 0.5


@example("disagreeing-stand-ins")
def two_that_disagree_allow_a_half_and_three_a_third():
    yield lessons((0, 0), (1, 1)), 1 / 2
    yield lessons((0, 0), (1, 1), (2, 3)), 1 / 3
    yield lessons((0, 0), (1, 1), (2, 3), signals=2), 2 / 3


@example("stand-in-loss")
def two_that_disagree_cost_ln_2_and_half_a_bit_saves_half_of_it():
    case, agreeing = lessons((0, 0), (1, 1)), lessons((0, 0), (0, 1))
    blind = stand_in_ceiling.Reader(np.ones((1, 2, 2)), np.full((1, 3, 2), 1 / 3))
    yield stand_in_ceiling.Loss(case, 0.0), math.log(2), (blind, math.log(3))
    yield stand_in_ceiling.Loss(case, math.log(2) / 2), math.log(2) / 2
    yield stand_in_ceiling.Loss(agreeing, 0.0), math.log(2) / 2
    yield stand_in_ceiling.Loss(lessons((0, 1, 2)), 0.0), 0.0


@attack(stand_in_ceiling, starts=3)
def alternating_replies_and_signals_arrive():
    yield lessons((0, 0, 0, 0), (0, 1, 1, 1)), 5 / 8
    yield lessons((0,), (1,), (2,), stand_ins=[[0.5], [0.3], [0.2]], signals=2), 0.8


@attack("stand-in-loss", rel=1e-3)
def descent_without_the_partner_arrives_at_the_entropy():
    yield stand_in_ceiling.Loss(lessons((0, 0), (0, 1), (0, 2)), 0.0), math.log(3) / 2


@symmetry(stand_in_ceiling)
def order_of_stand_ins_and_entities_and_names_of_answers(case, rng):
    yield shuffled(case, rng), 1.0


@symmetry("disagreeing-stand-ins")
def the_same_orders_and_names(case, rng):
    yield shuffled(case, rng), 1.0


@symmetry("stand-in-loss")
def the_same_orders_and_names_at_the_same_nats(case, rng):
    yield replace(case, lessons=shuffled(case.lessons, rng)), 1.0


def shuffled(case, rng):
    acting, asked, named = (rng.permutation(n) for n in (*case.stand_ins.shape, case.tokens))
    answers = named[np.array(case.answers)][acting][:, asked]
    stand_ins = case.stand_ins[acting][:, asked]
    rows = tuple(map(tuple, answers.tolist()))
    return stand_in_ceiling.Case(case.entities[asked], stand_ins, rows, case.signals)


@road(stand_in_ceiling, size=4)
def the_best_of_all_deterministic_readers(case, _):
    """Each entity by itself: every set of k replies, each stand-in hearing what suits it."""
    answers, total = np.array(case.answers), 0.0
    for e, weight in enumerate(case.entities):
        sets = product(range(case.tokens), repeat=case.signals)
        right = [np.isin(answers[:, e], replies) @ case.stand_ins[:, e] for replies in sets]
        total += weight * max(right)
    yield case, total


@road("stand-in-loss")
def joint_entropies_of_answer_and_entity(case, _):
    weights = case.lessons.entities * case.lessons.stand_ins
    table = np.zeros((case.lessons.tokens, weights.shape[1]))
    for (j, e), answer in np.ndenumerate(np.array(case.lessons.answers)):
        table[answer, e] += weights[j, e]
    joint, alone = entr(table).sum(), entr(table.sum(axis=0)).sum()
    yield case, max(0.0, joint - alone - case.nats)


# bridge transfer, and its clause


def met(*partner, stand_ins=((0, 1, 0), (0, 0, 1)), hop=((1, 1, 1),), slope=1.0):
    """One context, along the first axis; what stand-ins and the partner add to it."""
    context = np.array([[1.0], [0.0], [0.0]])
    firsts = [LowRank(np.array([bridge], float).T, context.T) for bridge in (*stand_ins, partner)]
    hop = np.array(hop, float)
    return bridge_transfer.Case(context, tuple(firsts[:-1]), context, firsts[-1], hop, slope)


@example(bridge_transfer)
def halves_of_two_bridges_are_answered_and_their_sum_only_with_the_context_alone():
    """States (1, 1, 0) and (1, 0, 1): at right angles to both is (1, -1, -1)."""
    yield met(0, 0.5, 0.5), 0.0
    yield met(0, 1, 1), 3**-0.5
    yield met(0, 1, 1, slope=6.0), 6 * 3**-0.5
    yield met(0, 1, 1, stand_ins=((0, 1, 0), (0, 0, 1), (0, 0, 0))), 0.0
    yield met(0, 0, 1, stand_ins=((0, 1, 0),)), 1.5**0.5


@example("transfer-error")
def a_third_of_what_it_answers_at_right_angles():
    yield met(0, 1, 1), 1 / 3
    yield met(0, 1, 1, hop=((1, 0, 1), (0, 3, 0))), 1.0
    yield met(0, 0.5, 0.5), 0.0


@attack(bridge_transfer)
def least_squares_on_both_worlds_at_once_arrives():
    yield met(0, 1, 1), 3**-0.5
    yield met(0, 0, 1, stand_ins=((0, 1, 0),)), 1.5**0.5


def in_other_axes(case, turn, stretch=1.0):
    """The same stream in other axes; its contexts stretched."""
    firsts = [LowRank(turn @ f.up, f.down @ turn.T) for f in (*case.stand_ins, case.partner)]
    prompts, subjects = (stretch * turn @ part for part in (case.prompts, case.subjects))
    parts = prompts, tuple(firsts[:-1]), subjects, firsts[-1], case.hop @ turn.T, case.slope
    return bridge_transfer.Case(*parts)


@symmetry(bridge_transfer, conditioned=True)
def axes_lengths_slopes_and_a_stand_in_twice(case, rng):
    turn = orthonormal(rng, len(case.prompts), len(case.prompts))
    yield in_other_axes(case, turn, 3.0), 3.0
    yield replace(case, slope=2 * case.slope), 2.0
    yield replace(case, stand_ins=(*case.stand_ins, case.stand_ins[0])), 1.0
    yield replace(case, hop=case.hop + rng.standard_normal(case.hop.shape)), 1.0


@symmetry("transfer-error", conditioned=True)
def axes_lengths_and_a_stand_in_twice(case, rng):
    turn = orthonormal(rng, len(case.prompts), len(case.prompts))
    yield in_other_axes(case, turn, 3.0), 3.0
    yield replace(case, hop=2 * case.hop), 2.0
    yield replace(case, stand_ins=(*case.stand_ins, case.stand_ins[0])), 1.0


@road(bridge_transfer, conditioned=True)
def least_squares_leaves_what_is_lost(case, _):
    mix = np.linalg.lstsq(case.lessons, case.met, rcond=1e-9)[0]
    outside = case.met - case.lessons @ mix
    sigma = np.sort(np.linalg.eigvalsh(outside.T @ outside))[::-1][: len(case.hop)]
    yield case, case.slope * max(0.0, sigma.sum()) ** 0.5
    # the stand-ins' own states, mixed, are answered whatever the values
    again = case.lessons[:, :1] - case.prompts[:, :1]
    known = LowRank(again, np.linalg.pinv(case.prompts[:, :1]))
    yield replace(case, subjects=case.prompts[:, :1], partner=known), 0.0


# composition order


def chain_of(coefficients, pattern="overwrite"):
    frames = [np.eye(9)[:, : 2 + j] for j in range(len(coefficients))]
    return Prompt(pattern, coefficients, tuple(frames), tuple(frames[1:]))


@example(composition_order)
def two_hops_at_a_half_are_a_quarter_all_of_it_in_the_second_order():
    for order, logit in enumerate((0.0, 0.0, 0.25)):
        yield composition_order.Case(chain_of((0.5, 0.5)), order), logit


@road(composition_order, conditioned=True, size=6)
def all_orders_together_are_the_model_itself(case, rng):
    prompt = case.prompt
    full = replace(case, order=len(prompt.coefficients))
    model = composition_order.rival(full, rng)
    exact = float(model.output(prompt.keys[0][:, 0], prompt.coefficients)[0])
    yield full, exact, (model, exact)


@road(composition_order, conditioned=True, size=6)
def central_differences_at_the_base_are_the_first_order(case, _):
    """Far beyond one, too: the tangent model never moves the target of two hops or more."""
    prompt, hops = case.prompt, len(case.prompt.coefficients)
    model, key = composition_order.attain(case), prompt.keys[0][:, 0]

    def answer(coefficients):
        return float(model.output(key, coefficients.tolist())[0])

    slopes = [(answer(3 * e) - answer(-3 * e)) / 6 for e in np.eye(hops)]
    yield replace(case, order=1), float(np.dot(prompt.coefficients, slopes))


@symmetry(composition_order, size=6)
def size_and_rotation_of_all_frames(case, rng):
    yield replace(case, prompt=turned(case.prompt, rng, values=True)), 1.0


# composition merge


@example(composition_merge)
def keys_at_a_cosine_of_three_fifths_are_missed_by_four_fifths():
    """Keys (1, 0) and (3, 4)/5; at right angles all is missed, in one direction nothing."""
    assert 1 - Fraction(3, 5) ** 2 == Fraction(4, 5) ** 2
    case = composition_merge.Case(np.array([[1.0], [0.0]]), np.array([[3.0], [4.0]]), 2)
    y, z, k1, k2 = np.eye(2)[:, :1], np.eye(2)[:, 1:], np.array([[1.0, 0]]), np.array([[0.6, 0.8]])
    none = LowRank(0 * y, k1)
    chain = Chain((none, none), (LowRank(k2.T, y.T),), (LowRank(y, k1), LowRank(z, k2)))
    merges = ((0.0, 0.6), 0.8), ((0.0, 0.0), 1.0), ((1.0, 1.0), 1.8**0.5)
    yield case, 0.8, *((composition_merge.Merged(chain, c), error) for c, error in merges)
    one, eye = np.ones((1, 1)), np.eye(3)
    yield composition_merge.Case(one, one, 2), 0.0
    yield composition_merge.Case(eye[:, :1], eye[:, 1:], 2), 1.0
    yield composition_merge.Case(eye, eye[:, :1], 2), 0.0


@attack(composition_merge, rel=1e-12)
def at_right_angles_projections_find_nothing_and_say_so():
    yield composition_merge.Case(np.eye(4)[:, :2], np.eye(4)[:, 2:], 3), 1.0


@symmetry(composition_merge)
def rotation_size_and_gauge(case, rng):
    d = len(case.first)
    turn, found = 1e3 * orthonormal(rng, d, d), composition_merge.attain(case)
    yield replace(case, first=turn @ case.first, second=-(turn @ case.second)), 1.0
    again = replace(found, chain=regauged(found.chain))
    yield case, 1.0, (again, composition_merge.measure(case, found))


# interpolating composition


@example("interpolating-composition")
def keys_that_overlap_by_three_fifths_in_one_read():
    """The merge leads by 1; the sum by 2/5, as the other edit answers 3/5 of its own token."""
    case = interpolating_merge.Reads((np.array([[1.0, 0.6], [0.0, 0.8]]),), (), (((0,), (1,)),))
    yield case, 1.0
    model = interpolating_merge.model(case, interpolating_merge.least_norm_edits(case), "sum")
    np.testing.assert_allclose(interpolating_merge.margins(case, model), 0.4, rtol=1e-13)


def exact_outputs(keys, values, owners, merge):
    """All matrices in rationals: old facts, least-norm edits, their merge from edits and Gram."""
    state = keys[0]
    for hop, (key, value) in enumerate(zip(keys, values, strict=True)):
        n, rows = key.cols, [key[:, i].pinv() for (i,) in owners[hop]]
        edits = [
            (value[:, i] - value[:, n + i]) * row
            for (i,), row in zip(owners[hop], rows, strict=True)
        ]
        gram = sum((row.pinv() * row for row in rows), sp.zeros(key.rows))
        old = sp.Matrix.hstack(value[:, n:], value[:, 2:n]) * key.pinv()
        state = (old + sum(edits, sp.zeros(*old.shape)) * merge(gram)) * state
        state = keys[1] * value.inv() * state if hop == 0 else state
    return state


@example("interpolating-composition")
def two_reads_in_exact_rationals():
    """Oblique keys, owners crossed: the merge says the new tokens alone, sum and mean do not."""
    keys = sp.Matrix([[1, 1], [0, 2], [1, 0], [0, 1]]), sp.eye(4) + sp.ones(4)
    values, owners = (
        (sp.Matrix(4, 4, lambda i, j: min(i, j) + 1), sp.eye(6)),
        (((0,), (1,)), ((1,), (0,))),
    )
    case = interpolating_merge.Reads(tuple(map(floats, keys)), (floats(values[0]),), owners)
    library = interpolating_merge.least_norm_edits(case)
    for rule, merge, margins in (
        ("interpolate", sp.Matrix.pinv, "1 1"),
        ("sum", lambda gram: gram**0, "5/42 1/14"),
        ("mean", lambda gram: gram**0 / 2, "-1/28 -1/28"),
    ):
        out = exact_outputs(keys, values, owners, merge)
        exact = [out[i, i] - max(out[:i, i].col_join(out[i + 1 :, i])) for i in range(2)]
        assert exact == [sp.Rational(margin) for margin in margins.split()]
        assert (out == sp.eye(6)[:, :2]) == (rule == "interpolate")
        model = interpolating_merge.model(case, library, rule)
        found = interpolating_merge.margins(case, model)
        np.testing.assert_allclose(found, [float(x) for x in exact], rtol=1e-12)
    yield case, 1.0


@symmetry("interpolating-composition")
def rotation_size_and_order_of_adapters(case, rng):
    turn = 5.0 * orthonormal(rng, len(case.keys[0]), len(case.keys[0]))
    keys, values = (tuple(turn @ f for f in part) for part in (case.keys, case.values))
    yield replace(case, keys=keys, values=values, owners=tuple(r[::-1] for r in case.owners)), 1.0


# context composition


def by_loops(first, second, subject, sharpness):
    """Another road: no codes, no arrays, one dictionary a layer."""
    n, look = len(first), math.exp(sharpness)
    seen = dict.fromkeys(range(n), 0.0)
    for i in range(n):
        seen[first[i]] += (look if i == subject else 1.0) / (look + 2 * n - 1)
    raw = {j: math.exp(sharpness * seen[j]) for j in range(n)}
    total = sum(raw.values()) + n
    right = second[first[subject]]
    return sum(raw[j] / total for j in range(n) if second[j] == right)


@example(context_composition)
def two_things_at_sharpness_ln_3_put_a_half_on_x_and_a_sixth_astray():
    """If both have one image nothing goes astray: 1/2 + 1/6 on the right key."""
    share, luck = (
        3 ** float(a) / (3 ** float(a) + rest)
        for a, rest in ((Fraction(3, 6), 3 ** float(Fraction(1, 6)) + 2), (Fraction(2, 3), 3))
    )
    case = context_composition.Case(np.eye(6), math.log(3))
    asked = context_composition.Question((0, 0), (0, 1), 0)
    worst = context_composition.Question((0, 1), (0, 1), 0)
    yield case, share, (worst, share), (asked, luck)


@road(context_composition, size=7)
def loops_do_what_the_codes_do(case, rng):
    asked = context_composition.rival(case, rng)
    worst = (0, *[1] * (case.things - 1)), tuple(range(case.things)), 0
    found = by_loops(asked.first, asked.second, asked.subject, case.sharpness)
    yield case, by_loops(*worst, case.sharpness), (asked, found)


@symmetry(context_composition, size=7)
def rotation_and_names(case, rng):
    n, d = case.things, len(case.codes)
    order = np.concatenate([k * n + rng.permutation(n) for k in range(3)])
    other = replace(case, codes=orthonormal(rng, d, d) @ case.codes[:, order])
    asked = context_composition.rival(case, rng)
    yield other, 1.0, (asked, context_composition.measure(case, asked))


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


# spread region


def spread(coefficients, edits, facts):
    """Shares as they are given, over entities along axes."""
    hops = len(coefficients)
    count = (hops + 1) * (hops + 2) // 2 + 1
    edits, facts = np.array(edits, float), np.array(facts, float)
    return spread_region.Case(tuple(map(float, coefficients)), edits, facts, np.eye(count))


@example(spread_region)
def two_hops_by_hand_and_in_exact_rationals():
    """Masses 1, 2/3 and 1/3 for even edits over facts at both ends of three reads."""
    even, ends = [[1 / 3] * 3] * 2, [[1, 0, 0], [0, 0, 1]]
    yield spread((1.0, 1.0), even, ends), 0.0  # 1/3 against 2/3 - 1/3 and 1 - 2/3
    yield spread((1.5, 1.0), even, ends), 0.0  # 1/2 against 1 - 1/2: the second is not enough
    yield spread((1.0, 1.5), even, ends), 0.5 - 1 / 3
    yield spread((1.0, 1.0), even, even), 1 / 3
    third, half = sp.Rational(1, 3), sp.Rational(1, 2)
    case = ((half, 2, 1), [[third] * 3, [0, half, half], [0, 0, 1]], [[half, half, 0]] * 3)
    weights = exact_paths(*case)
    expected = float(weights[0] - max(0, *weights[1:]))
    yield spread(*case), expected


def exact_paths(coefficients, edits, facts):
    """The weight of each end token, path by path and read by read, in rationals."""
    hops, reads = len(coefficients), len(edits[0])
    weights = []
    for left in (0, *range(1, hops + 1)):
        total = sp.Integer(0)
        for places in product(range(reads), repeat=hops):
            if any(a >= b for a, b in pairwise(places)):
                continue
            term = sp.Integer(1)
            for hop, read in enumerate(places, 1):
                new, old = coefficients[hop - 1] * edits[hop - 1][read], facts[hop - 1][read]
                stays = left == 0 or hop < left
                term *= new if stays else old - new if hop == left else old
            total += term
        weights.append(total)
    return weights


@symmetry(spread_region)
def reads_that_hold_nothing_and_entities_of_another_length(case, rng):
    turn = float(rng.uniform(0.1, 10)) * orthonormal(rng, len(case.entities), len(case.entities))
    place = int(rng.integers(0, case.edits.shape[1] + 1))
    idle = [np.insert(shares, place, 0.0, axis=1) for shares in (case.edits, case.facts)]
    yield replace(case, entities=turn @ case.entities), 1.0
    yield replace(case, edits=idle[0], facts=idle[1]), 1.0
    yield replace(case, edits=3 * case.edits, facts=3 * case.facts), 3.0**case.hops


@symmetry("alike-spread")
def three_times_the_facts_at_each_hop(case, _):
    yield replace(case, edits=3 * case.edits, facts=3 * case.facts), 3.0**case.hops


@symmetry("even-edits")
def more_reads_move_no_border(case, _):
    yield replace(case, reads=case.reads + (7 if case.reads > 2 else 0)), 1.0


@example("alike-spread")
def at_the_golden_ratio_nothing_leads_whatever_the_order_mass():
    golden, rows = (5**0.5 - 1) / 2, [[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]
    yield spread((golden, golden), rows, rows), 0.0
    yield spread((1.0, 1.0), rows, rows), 0.5 * 0.75 + 0.25 * 0.5


@example("even-edits")
def twice_the_golden_ratio_over_two_reads():
    yield spread_region.Even(2, np.eye(7)), 2 * (5**0.5 - 1) / 2
    yield spread_region.Even(5, np.eye(7)), 1.0


@road(spread_region)
def one_read_a_hop_is_the_region_in_a_row_and_one_late_share_is_placement(case, rng):
    hops, (one, two) = case.hops, rng.uniform(0.6, 1.4, 2)
    placed = replace(case, edits=np.eye(hops), facts=np.eye(hops))
    yield placed, two_read_region.margin(case.coefficients)
    late = invisible_placement.share_needed(one, two)
    pair = [[0, 1, 0], [1 - late, 0, late]]
    border = spread((one, two), pair, [[0, 1, 0], [0, 0, 1]])
    yield border, 0.0


@road("alike-spread")
def normalising_the_stream_moves_no_threshold(case, _):
    stream, state = spread_region.attain(case), case.entities[:, 0]
    for read, memory in enumerate(stream.memories):
        normal = state / np.linalg.norm(state)
        parts = zip(case.coefficients, stream.edits, strict=True)
        state = state + memory @ normal + sum(c * (edit[read] @ normal) for c, edit in parts)
    logits = case.dual[case.ends] @ state
    lead, bound = logits[0] - logits[1:].max(), spread_region.as_in_a_row(case)
    if abs(bound) > 1e-6:
        assert (lead > 0) == (bound > 0)
    yield case, bound
