"""interpolating_composition: by hand, exactly, mean and sum, permuted answers, symmetries."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from strategies import seeds

from loratheory.lowrank import LowRank, orthonormal, project, row_space
from loratheory.theorems import AssumptionError
from loratheory.theorems.composition.interpolating_composition import (
    CONTROLS,
    THEOREM,
    Case,
    attain,
    margins,
    measure,
    model,
)
from loratheory.theorems.composition.two_read_region import margin


def drawn(seed, size=8):
    return THEOREM.draw(np.random.default_rng(seed), size)


def room(case):
    return 1e-11 * THEOREM.condition(case)


def crowd(seed, adapters, facts, d, common=0.0):
    """Two reads, Gaussian keys with a common part, owners in order."""
    rng = np.random.default_rng(seed)
    edited = adapters * facts
    frames = [rng.standard_normal((d, n)) for n in (edited, 2 * edited, 2 * edited)]
    shared = common * rng.standard_normal((d, 1))
    owners = tuple(tuple(tuple(range(i, edited, adapters)) for i in range(adapters)) for _ in "ab")
    return Case((frames[0] + shared, frames[1] + shared), (frames[2],), owners)


def test_hand_example():
    """Keys (1, 0) and (3/5, 4/5) in one read: the sum leads by 1 - 3/5·(...), the merge by 1."""
    case = Case((np.array([[1.0, 0.6], [0.0, 0.8]]),), (), (((0,), (1,)),))
    assert measure(case, attain(case)) == pytest.approx(1.0, rel=1e-13)
    # Δ1 = d1 (1, 0), Δ2 = d2 (3/5, 4/5), and the second answers 3/5 of d2 on the first key:
    # the new token 1 gets 1, the second's new token 3/5, so 2/5 is left of the lead
    found = margins(case, model(case, attain(case), "sum"))
    assert found == pytest.approx(0.4, rel=1e-13)


def floats(matrix):
    return np.array(matrix, float)


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


@pytest.mark.parametrize(
    ("rule", "merge", "leads"),
    [
        ("interpolate", sp.Matrix.pinv, "1 1"),
        ("sum", lambda gram: gram**0, "5/42 1/14"),
        ("mean", lambda gram: gram**0 / 2, "-1/28 -1/28"),
    ],
)
def test_two_reads_in_exact_rationals(rule, merge, leads):
    """Oblique keys, owners crossed: the merge says the new tokens alone, sum and mean do not."""
    keys = sp.Matrix([[1, 1], [0, 2], [1, 0], [0, 1]]), sp.eye(4) + sp.ones(4)
    values = sp.Matrix(4, 4, lambda i, j: min(i, j) + 1), sp.eye(6)
    owners = ((0,), (1,)), ((1,), (0,))
    out = exact_outputs(keys, values, owners, merge)
    exact = [out[i, i] - max(out[:i, i].col_join(out[i + 1 :, i])) for i in range(2)]
    assert exact == [sp.Rational(lead) for lead in leads.split()]
    assert (out == sp.eye(6)[:, :2]) == (rule == "interpolate")
    case = Case(tuple(map(floats, keys)), (floats(values[0]),), owners)
    found = margins(case, model(case, attain(case), rule))
    assert found == pytest.approx(list(map(float, exact)), rel=1e-12, abs=0)
    if rule == "interpolate":
        ends = THEOREM.bound(case), measure(case, attain(case))
        assert ends == pytest.approx((1, 1), rel=1e-12)


@given(seeds)
@settings(max_examples=30)
def test_every_chain_and_every_single_hop_keeps_its_margin(seed):
    case = drawn(seed)
    found = margins(case, model(case, attain(case)))
    assert found == pytest.approx(np.ones(case.edited), abs=room(case))
    logits = model(case, attain(case)).output(
        case.keys[0][:, : case.edited], [1.0] * len(case.keys)
    )
    np.testing.assert_allclose(logits[: case.edited], np.eye(case.edited), atol=room(case))


@given(seeds)
@settings(max_examples=25)
def test_the_merge_in_dense_arrays(seed):
    """By another road: pseudo-inverse of the keys, no row space, read after read."""
    case = drawn(seed)
    state = case.keys[0][:, : case.edited]
    for index, hop in enumerate(case.hops):
        edited = np.linalg.pinv(hop.keys[:, : case.edited])
        weight = hop.old @ np.linalg.pinv(hop.keys)
        weight = weight + (hop.new - hop.old)[:, : case.edited] @ edited
        state = weight @ state
        if index < len(case.values):
            state = case.keys[index + 1] @ np.linalg.pinv(case.values[index]) @ state
    found = model(case, attain(case)).output(case.keys[0][:, : case.edited], [1.0] * len(case.keys))
    np.testing.assert_allclose(found, state, atol=room(case))


@pytest.mark.parametrize(("adapters", "facts"), [(2, 2), (3, 2), (4, 3)])
def test_the_mean_never_composes_and_a_crowded_sum_fails(adapters, facts):
    case = crowd(1, adapters, facts, 2 * adapters * facts + 8, common=1.0)
    shelves = attain(case)
    assert float(margins(case, model(case, shelves)).min()) == pytest.approx(1, abs=room(case))
    assert float(margins(case, model(case, shelves, "mean")).max()) < 0.5
    assert float(margins(case, model(case, shelves, "sum")).min()) < 0.9


def test_in_orthonormal_frames_the_mean_leads_as_the_region_says():
    """Two adapters, weight 1/2 a read: the closed form of `two-read-region`, case B."""
    eye = np.eye(12)
    case = Case((eye[:, :2], eye[:, :4]), (eye[:, :4],), (((0,), (1,)), ((0,), (1,))))
    found = margins(case, model(case, attain(case), "mean"))
    assert found == pytest.approx(margin((0.5, 0.5), "A"), abs=1e-13)
    assert margins(case, model(case, attain(case), "sum")) == pytest.approx(1.0)


def test_permuted_answers_leave_the_row_space_and_the_margin():
    """Two facts that swap their values change them by d and -d: rank one cannot hold both keys."""
    rng = np.random.default_rng(3)
    keys, change = rng.standard_normal((8, 2)), np.array([[1.0, -1.0], [-1.0, 1.0]])
    low = LowRank(change, np.linalg.pinv(keys))
    inside = project(keys, row_space(low))
    leak = np.linalg.norm(keys - inside, axis=0) / np.linalg.norm(keys, axis=0)
    assert row_space(low).shape[1] == 1
    assert float(leak.min()) > 0.1


@given(seeds)
@settings(max_examples=20)
def test_rotation_size_and_order_of_adapters_do_not_matter(seed):
    case, rng = drawn(seed), np.random.default_rng(seed)
    d = len(case.keys[0])
    turn = 5.0 * orthonormal(rng, d, d)
    moved = replace(
        case,
        keys=tuple(turn @ f for f in case.keys),
        values=tuple(turn @ f for f in case.values),
        owners=tuple(read[::-1] for read in case.owners),
    )
    assert measure(moved, attain(moved)) == pytest.approx(1.0, abs=room(case))


def test_one_adapter_composes_with_itself():
    case = crowd(0, 1, 3, 16)
    assert measure(case, attain(case)) == pytest.approx(1.0, abs=room(case))


def test_wide_reads_need_no_dense_matrix():
    case = crowd(0, 4, 3, 4096)
    assert THEOREM.check(case, attain(case)).tight


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: c.name)
def test_each_hypothesis_is_needed(control):
    case, shelves = control.example()
    with pytest.raises(AssumptionError, match=control.breaks.split("(")[0]):
        THEOREM.check(case, shelves)
    assert THEOREM.judge(case, shelves).slack < -0.1
