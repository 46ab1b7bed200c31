"""Second routes of the theorems on editing and training: real steps, exact counts, slopes."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from theorems.editing import TWO
from theorems.owed import over, theorem_of

from loratheory.lowrank import LowRank, orthonormal
from loratheory.theorems import (
    argmax_margin,
    counting_ceiling,
    hebbian_memory,
    superposition_floor,
)
from loratheory.theorems.expressiveness._frozen_rows import gaussian_rows, lattice_rows

# Edits


@over()
def test_the_harmonic_frame_is_tight_and_of_unit_columns(rng):
    spent, facts = sorted(rng.integers(1, 30, 2).tolist())
    frame = superposition_floor.harmonic(facts, spent)
    assert frame.shape == (spent, facts)
    np.testing.assert_allclose((frame**2).sum(axis=0), 1.0, atol=1e-13)
    np.testing.assert_allclose(frame @ frame.T, facts / spent * np.eye(spent), atol=1e-12)
    quiet = superposition_floor.least_crosstalk
    assert quiet(facts + 1, spent) >= quiet(facts, spent) <= 1 / spent
    assert quiet(facts + 1, spent + 1) < quiet(facts + 1, spent)


@over()
def test_dependent_and_more_keys_than_dimensions_obey_the_floor_too(rng):
    """It asks nothing of the embeddings: here eight facts live in four dimensions."""
    keys, outputs = rng.standard_normal((4, 8)), rng.standard_normal((4, 8))
    update = LowRank(rng.standard_normal((4, 2)), rng.standard_normal((2, 4)))
    own = (outputs * (update @ keys)).sum(axis=0)
    case = superposition_floor.Case(keys, outputs / own, rank=2)
    least = superposition_floor.least_crosstalk(8, 2)
    assert superposition_floor.measure(case, update) >= least * (1 - 1e-9)


def test_uneven_starts_stay_at_unit_responses_and_nonsense_is_refused():
    """Seed 117 draws codes of very different lengths."""
    keys, outputs = (orthonormal(np.random.default_rng(seed), 27, 3) for seed in (0, 1))
    case, theorem = superposition_floor.Case(keys, outputs, 1), theorem_of(superposition_floor)
    assert theorem.check(case, theorem.adversary(case, np.random.default_rng(117))).holds
    silent = LowRank(2 * np.eye(4)[:, :2], np.eye(4)[:2])
    with pytest.raises(ValueError, match="own key"):
        theorem.check(superposition_floor.Case(np.eye(4), np.eye(4), rank=2), silent)
    with pytest.raises(ValueError, match="give a rank of at least 1"):
        superposition_floor.least_crosstalk(3, 0)
    with pytest.raises(ValueError, match="give at least one of each"):
        superposition_floor.least_energy(0, 1)


# Memories with a frozen random factor


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8])
def test_the_rule_integrates_gaussian_rows(n):
    rows = gaussian_rows(n, 1)
    assert rows.standard
    assert rows.weights.sum() == pytest.approx(1.0, rel=1e-13)
    assert n > 4 or lattice_rows(n, 1).standard


@pytest.mark.parametrize(
    ("facts", "width", "spent"), [(1, 1, 1), (2, 1, 1), (2, 1, 2), (3, 1, 1), (1, 2, 1)]
)
def test_the_laws_of_gaussian_embeddings_by_exact_integration(facts, width, spent):
    """Every entry of factor, keys, outputs and read is a variable of its own."""
    sizes = [(spent, width), (facts, width), (facts, width), (width,)]
    sides = [math.prod(size) for size in sizes]
    nodes = np.array(list(product([-math.sqrt(3), 0.0, math.sqrt(3)], repeat=sum(sides))))
    weights = np.prod(np.where(nodes == 0, 2 / 3, 1 / 6), axis=1)
    parts = np.split(nodes, np.cumsum(sides)[:-1], axis=1)
    parts = [part.reshape(-1, *size) for part, size in zip(parts, sizes, strict=True)]
    frozen, (keys, outputs, read) = parts[0] / spent**0.5, (p / width**0.5 for p in parts[1:])
    inner = np.einsum("pra,pfa->prf", frozen, keys)
    said = np.einsum("pa,pfa->pf", read, outputs)
    scores = np.einsum("pf,prf,pr->p", said, inner, inner[:, :, 0])
    assert (weights * scores).sum() == pytest.approx(0.0, abs=1e-12)
    expected = hebbian_memory.stored_crosstalk(facts, width, spent)
    assert (weights * scores**2).sum() == pytest.approx(expected, rel=1e-10)
    if facts > 1:  # leave the asked fact out of the memory: its key is a foreign query
        others = np.einsum("pf,prf,pr->p", said[:, 1:], inner[:, :, 1:], inner[:, :, 0])
        expected = hebbian_memory.foreign_crosstalk(facts - 1, width, spent)
        assert (weights * others**2).sum() == pytest.approx(expected, rel=1e-10)


def test_real_adapters_scatter_as_the_law_says():
    """Six standard errors over four thousand frozen factors; the mean is the memory itself."""
    rng, spent, trials = np.random.default_rng(5), 4, 4000
    outputs, keys = rng.standard_normal((6, 3)), rng.standard_normal((5, 3))
    case = hebbian_memory.Case(LowRank(outputs, keys.T), rng.standard_normal(6), keys[:, 0], spent)
    frozen = rng.standard_normal((trials, spent, 5)) / spent**0.5
    trained = np.einsum("mf,trn,nf->tmr", outputs, frozen, keys)
    scores = np.einsum("m,tmr,trn,n->t", case.read, trained, frozen, case.query, optimize=True)
    signal = case.read @ outputs @ keys.T @ case.query
    for found, law in ((scores, signal), (scores**2, hebbian_memory.bound(case))):
        assert abs(found.mean() - law) <= 6 * found.std() / trials**0.5


@settings(max_examples=20)
@given(st.integers(1, 99), st.integers(1, 99), st.integers(1, 99))
def test_crosstalk_grows_with_facts_and_falls_with_rank_and_width(facts, width, spent):
    foreign, stored = hebbian_memory.foreign_crosstalk, hebbian_memory.stored_crosstalk
    for law in (foreign, stored):
        assert law(facts + 1, width, spent) > law(facts, width, spent)
        assert max(law(facts, width + 1, spent), law(facts, width, spent + 1)) < law(
            facts, width, spent
        )
    assert stored(facts, width, spent) > foreign(facts, width, spent)


# Counting


@pytest.mark.parametrize("facts", [2, 5, 9])
def test_a_full_circle_finds_exactly_the_dichotomies_that_cover_counted(facts):
    """Two tokens and rank one in the plane: 2 N maps, below the ceiling and its reason to exist."""
    keys = np.random.default_rng(facts).standard_normal((2, facts))
    turn = np.linspace(0, 2 * np.pi, 20001)[:-1]
    down = np.stack([np.cos(turn), np.sin(turn)], axis=1)[:, None, :]
    case = counting_ceiling.Case(keys, TWO, rank=1)
    circle = counting_ceiling.Memories(np.ones((len(turn), 1, 1)), down, keys[None])
    assert len(counting_ceiling.answers(case, circle)) == 2 * facts
    assert math.log(2 * facts) <= counting_ceiling.bound(case)


def test_ceilings_by_hand_and_a_walk_finds_many_maps():
    log_ceiling = counting_ceiling.log_ceiling
    assert log_ceiling(50, 3, 1, 1, 1) == pytest.approx(math.log(4 * math.e * 300), rel=1e-14)
    # p = 2 (3 + 3 - 2) = 8 variables, 100 * 2 * 1 = 200: (800 e / 8)^8 = (100 e)^8
    expected = min(8 * (math.log(100) + 1), 100 * math.log(2))
    assert log_ceiling(100, 2, 3, 3, 2) == pytest.approx(expected)
    rng = np.random.default_rng(3)
    case = counting_ceiling.Case(rng.standard_normal((2, 30)), rng.standard_normal((2, 3)), rank=2)
    assert counting_ceiling.measure(case, counting_ceiling.adversary(case, rng)) > math.log(40)
    wanted = rng.integers(0, 50, 900).tolist()  # outputs chosen after the facts escape
    assert np.argmax(argmax_margin.circle(wanted, 50).dense(), axis=0).tolist() == wanted
    assert log_ceiling(900, 50, 2, 2, 2) < 900 * math.log(50) / 50
    for wrong in ((0, 2, 1, 1, 1), (1, 1, 1, 1, 1), (1, 2, 3, 2, 3)):
        with pytest.raises(ValueError, match="give at least one fact"):
            log_ceiling(*wrong)


@over()
def test_more_of_anything_allows_more_and_never_more_than_all(rng):
    facts, tokens, m, n = rng.integers((1, 2, 1, 1), (400, 9, 6, 6)).tolist()
    spent = int(rng.integers(1, min(m, n) + 1))
    here = counting_ceiling.log_ceiling(facts, tokens, m, n, spent)
    assert here <= facts * math.log(tokens) * (1 + 1e-15)
    for f, t, a, b in np.eye(4, dtype=int).tolist():
        more = counting_ceiling.log_ceiling(facts + f, tokens + t, m + a, n + b, spent)
        assert more >= here * (1 - 1e-12)


@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (2048, 128, 128, 32), (10, 8, 6, 3)])
def test_the_largest_memory_fits_and_one_more_fact_does_not(shape):
    facts, every = counting_ceiling.largest_memory(*shape), math.log(shape[0])
    assert counting_ceiling.log_ceiling(facts, *shape) == pytest.approx(facts * every, rel=1e-11)
    assert counting_ceiling.log_ceiling(facts + 1, *shape) < (facts + 1) * every
    for spent in (1, 8, 32, 128):  # fewer than three facts a parameter, at any rank
        assert (
            1 < counting_ceiling.largest_memory(2048, 128, 128, spent) / (spent * (256 - spent)) < 3
        )
