"""single_read_no_go: by exact enumeration, brute force, and with every merge of the package."""

from dataclasses import replace
from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from loratheory import toy
from loratheory.adapters import METHODS, Adapter, Router, arrow_scores, merge, response_scores
from loratheory.lowrank import orthonormal
from loratheory.theorems import AssumptionError
from loratheory.theorems.routing.single_read_no_go import CONTROLS, THEOREM, Case, bound, measure

SHARE = {3: pytest.approx(1 / 3, abs=1e-15), 4: pytest.approx(1 / 4, abs=1e-15)}


def drawn(seed, n=3, **changes):
    rng = np.random.default_rng(seed)
    one, two, both = toy.relu_keys(rng, n, 12)
    base = toy.interpolating(np.concatenate([one, two], axis=1), np.eye(2 * n)).dense()
    base = base + 0.1 * rng.standard_normal((2 * n, 1)) * rng.standard_normal(12)
    shown = tuple(rng.permutation(n).tolist())
    return replace(Case("values", 1, shown, True, base, (one, two, both)), **changes)


def test_hand_example():
    """Two entities, orthonormal keys: the sum answers with hop 2's favourite, right half the time.

    Prompts read both hop-2 keys, so Z gets D2 k = 0 and the base's tie: token 0 in both worlds.
    """
    eye = np.eye(4)
    prompts = np.array([[1.0, 0], [0, 1], [1, 1], [1, 1]])
    case = Case("values", 1, (1, 0), True, eye, (eye[:, :2], eye[:, 2:], prompts))
    right = [[(1, 0)[y] == 0 for y in values] for values in permutations(range(2))]
    assert Fraction(sum(map(sum, right)), 4) == Fraction(1, 2)
    assert measure(case, toy.added(1, 1)) == bound(case) == 0.5


@pytest.mark.parametrize("n", [3, 4])
@given(seed=seeds)
def test_row_local_merges_answer_by_chance_exactly(n, seed):
    case, rng = drawn(seed, n), np.random.default_rng(seed)
    for weights in [(1, 1), (0.5, 0.5), tuple(rng.normal(size=2).tolist())]:
        assert THEOREM.check(case, toy.added(*weights)).value == SHARE[n]


OPTIONS = {
    "svd": {"rank": 2},
    "ties": {"density": 0.5, "rank": 6},
    "magnitude": {"density": 0.5, "rank": 6},
    "dare": {"density": 0.5, "rank": 6},
    "dare-ties": {"density": 0.5, "rank": 6},
}


def by_method(name, **options):
    """One of the package's merges, its random masks the same in every world."""

    def rule(q):
        adapters = [Adapter.of({"m": low}) for low in (q.first, q.second)]
        rng = np.random.default_rng(5)
        merged = merge(adapters, name, rng=rng, **OPTIONS.get(name, {}), **options)["m"]
        return [q.logits(q.base) + q.logits(merged)]

    return rule


@pytest.mark.parametrize("method", sorted(METHODS))
def test_no_merge_method_beats_chance_where_the_base_hides_the_bridge(method):
    for seed in range(2):
        case = drawn(seed, hidden="pairing")
        assert THEOREM.check(case, by_method(method)).value == SHARE[3]


@pytest.mark.parametrize("method", ["ties", "dare"])
def test_knots_does_not_either(method):
    case = drawn(7, hidden="pairing")
    assert THEOREM.check(case, by_method(method, space="knots")).value == SHARE[3]


@pytest.mark.parametrize("method", ["sum", "mean", "cat", "ties", "dare", "dare-ties", "magnitude"])
def test_row_local_methods_keep_answers_apart_from_the_first_hop(method):
    for seed in range(2):
        assert THEOREM.check(drawn(seed), by_method(method)).value == SHARE[3]


def test_flattening_is_not_row_local():
    """The answers' logits move with the first hop's values: only part (c) covers it."""
    case = drawn(0, shown=(1, 2, 0))
    logits = [toy.flattened(q)[0] for q in case.worlds]
    size = np.abs(logits[0]).max()
    assert max(np.abs(one - logits[0]).max() for one in logits) > 1e-3 * size
    logits = [toy.added(1, 1)(q)[0] for q in case.worlds]
    assert max(np.abs(one - logits[0]).max() for one in logits) == 0


@pytest.mark.parametrize("scores", [arrow_scores, response_scores])
@given(seed=seeds)
def test_gates_that_see_the_gram_matrix_do_not_help_on_new_facts(scores, seed):
    """Part (b), with the package's routers and real-valued weights."""

    def rule(q):
        weights = Router(scores([q.first, q.second]), top_k=2).weights(q.prompts.T)
        parts = [w * q.logits(low) for w, low in zip(weights.T, (q.first, q.second), strict=True)]
        return [q.logits(q.base) + sum(parts)]

    if scores is arrow_scores:  # equal strengths leave Arrow's vector to rounding
        assert measure(drawn(seed, hidden="pairing"), rule) == SHARE[3]
    else:
        assert THEOREM.check(drawn(seed, known=False), rule).value == SHARE[3]


@given(seeds)
def test_the_gram_matrix_is_constant_only_for_new_facts(seed):
    for known in (False, True):
        worlds = drawn(seed, known=known).worlds
        grams = [(q.first.T @ q.first).dense() for q in worlds]
        spread = max(np.abs(gram - grams[0]).max() for gram in grams)
        assert (spread < 1e-9 * np.abs(grams[0]).max()) == (not known)


def test_all_pairings_and_all_answers_together_are_chance():
    """Both bijections drawn: 36 worlds, the weights built anew in each, another road to 1/n."""
    right, count = 0, 0
    for shown in permutations(range(3)):
        case = drawn(3, hidden="pairing", shown=shown)
        for q in case.worlds:
            rows = toy.chosen(by_method("iso")(q)[0])
            right += sum(row == answer for row, answer in zip(rows, q.answers, strict=True))
            count += 3
    assert Fraction(right, count) == Fraction(1, 3)


@pytest.mark.parametrize("hidden", ["values", "pairing"])
@pytest.mark.parametrize("patterns", [1, 2, 3])
def test_brute_force_over_all_fixed_predictions_reaches_m_over_n_and_no_more(hidden, patterns):
    """Every list of m prediction tables: the best is exactly m/n."""
    case = drawn(1, hidden=hidden, patterns=patterns)
    answers = [q.answers for q in case.worlds]
    best, every = 0, list(product(range(3), repeat=3))[:: 13 if patterns == 3 else 1]
    for tables in product(every, repeat=patterns):
        hits = sum(any(t[x] == a[x] for t in tables) for a in answers for x in range(3))
        best = max(best, Fraction(hits, 18))
    assert best == Fraction(patterns, 3)
    assert bound(case) == pytest.approx(patterns / 3)
    assert THEOREM.check(case, THEOREM.attain(case)).tight


def test_an_oracle_over_on_and_off_beats_chance_but_not_two_over_n():
    values = [measure(drawn(seed, patterns=2), toy.gated((0.0, 1.0))) for seed in range(30)]
    assert max(values) == pytest.approx(2 / 3)
    assert min(values) >= 1 / 3 - 1e-15
    with pytest.raises(AssumptionError, match="gate patterns"):
        THEOREM.check(drawn(0), toy.gated((0.0, 1.0)))


def test_more_patterns_than_entities_are_no_more_than_certain():
    assert bound(drawn(0, patterns=7)) == 1.0


@given(st.floats(0.1, 10.0), seeds)
def test_scaling_rotation_and_order_do_not_matter(factor, seed):
    case, rng = drawn(seed, hidden="pairing"), np.random.default_rng(seed)
    turn, order = orthonormal(rng, 12, 12), rng.permutation(3)
    one, two, both = (factor * turn @ keys for keys in case.keys)
    moved = replace(case, base=case.base @ turn.T / factor, keys=(one, two, both[:, order]))
    for rule in (toy.added(1, 1), toy.flattened, toy.crossed, toy.responsive):
        assert THEOREM.check(moved, rule).value == measure(case, rule) == SHARE[3]


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, rule = control.example()
    with pytest.raises(AssumptionError, match=control.breaks):
        THEOREM.check(case, rule)
    verdict = THEOREM.judge(case, rule)
    expected = 2 / 3 if "subtracted" in control.name else 1.0
    assert verdict.value == pytest.approx(expected)
    assert not verdict.holds
