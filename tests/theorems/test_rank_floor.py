"""Second routes of the rank-r floor: published rules, formats, averages over frozen factors."""

from dataclasses import replace

import numpy as np
import pytest
from theorems.owed import over, theorem_of
from theorems.rank_floor import batch, on_inputs, white

from loratheory.lowrank import LowRank, gaussian, orthonormal
from loratheory.theorems import rank_floor


@pytest.mark.parametrize("spent", [0, 1, 2, 3])
def test_exact_edits_of_independent_facts_need_one_rank_each_and_shared_answers_share_it(spent):
    rng = np.random.default_rng(5)
    keys, wanted = rng.standard_normal((8, 4)), rng.standard_normal((7, 4))
    assert rank_floor.bound(rank_floor.Case(keys, wanted, rank=spent)) > 1e-3
    enough = rank_floor.Case(keys, wanted, rank=4)
    assert rank_floor.attain(enough).rank == 4
    shared = rank_floor.Case(keys, np.outer(wanted[:, 0], wanted[0]), rank=1)
    for case in (enough, shared):
        assert rank_floor.measure(case, rank_floor.attain(case)) <= 1e-11


def test_edits_that_miss_a_little_and_weights_that_leave_a_direction_free_are_refused():
    theorem = theorem_of("least-change-edit")
    case = theorem.draw(np.random.default_rng(1), 8)
    with pytest.raises(ValueError, match="exactly"):
        theorem.check(case, theorem.attain(case) * (1 - 1e-6))
    zero = LowRank(np.zeros((case.values.shape[0], 1)), np.zeros((1, len(case.keys))))
    assert not theorem.judge(case, zero).holds
    with pytest.raises(ValueError, match="add a positive ridge"):
        batch(np.eye(2), np.eye(2), np.diag([1.0, -0.5]), rank=1)
    far = theorem.draw(np.random.default_rng(167), 80)  # descent starts far from the keys' edit
    assert theorem.check(far, theorem.adversary(far, np.random.default_rng(167))).holds


@over("covariance-floor")
def test_no_covariance_floor_is_above_the_data_free_one(case):
    largest = max(float(np.linalg.norm(x, 2)) ** 2 for x in case.inputs)
    worst = rank_floor.bound(white(case, largest))
    room = worst * 1e-9 + 1e-10 * rank_floor.scale(case)
    guarantee = rank_floor.attain(rank_floor.Tasks(case.updates, case.rank))
    assert rank_floor.bound(case) <= worst + room
    assert rank_floor.measure(case, guarantee) <= worst + room


@over()
def test_without_a_limit_on_the_rank_the_covariance_floor_is_met_by_regmean(rng):
    updates = tuple(gaussian(rng, 4, 5, 2) for _ in range(2))
    inputs = tuple(rng.standard_normal((5, 9)) for _ in range(2))
    moments = [x @ x.T for x in inputs]
    top = sum(low.dense() @ c for low, c in zip(updates, moments, strict=True))
    best = rank_floor.attain(on_inputs(updates, inputs, 4)).dense()
    np.testing.assert_allclose(best, np.linalg.solve(sum(moments), top.T).T, atol=1e-9)


@over("quantised-floor")
def test_errors_larger_than_the_adapters_and_the_merge_of_rounded_adapters_on_the_true_tasks(
    case, rng
):
    tiny = replace(case, updates=tuple(low * 1e-40 for low in case.updates), error=1.0)
    assert theorem_of("quantised-floor").check(tiny, rank_floor.rounded_anyhow(tiny, rng)).holds
    assert theorem_of("quantised-floor").scale(tiny) >= 1.0
    merged = rank_floor.attain(rank_floor.Tasks(rank_floor.rounded_anyhow(case, rng), case.rank))
    true = rank_floor.measure(rank_floor.Tasks(case.updates, case.rank), merged) ** 0.5
    assert true <= case.floor + 2 * case.error + 1e-11 * theorem_of("quantised-floor").scale(case)


@over()
def test_frozen_factors_lose_their_share_on_average(rng):
    """The coordinate blocks of one random basis average exactly as random frames do."""
    basis, white = orthonormal(rng, 6, 6), np.sqrt(6) * np.eye(6)
    target, any_inputs = gaussian(rng, 6, 6, 4), rng.standard_normal((6, 7))
    for side, inputs, r in (("up", any_inputs, 2), ("down", white, 3)):
        frames = (basis[:, k : k + r] for k in range(0, 6, r))
        cases = [rank_floor.Frozen(target, inputs, frame, side) for frame in frames]
        energy = theorem_of("factor-asymmetry").scale(cases[0])
        share = np.mean([rank_floor.bound(case) for case in cases]) / energy
        assert share == pytest.approx(rank_floor.expected_share(r, 6), rel=1e-9)
    for wrong in (-1, 5):
        with pytest.raises(ValueError, match="give from 0 to 4"):
            rank_floor.expected_share(wrong, 4)


@pytest.mark.parametrize(("directions", "down_wins"), [(slice(0, 8), True), (slice(52, 60), False)])
def test_training_up_wins_where_inputs_vary_most_and_loses_where_least(directions, down_wins):
    rng = np.random.default_rng(7)
    inputs = np.diag(np.sqrt(60 / np.arange(1.0, 61)))
    target, losses = LowRank(rng.standard_normal((60, 8)), np.eye(60)[directions]), []
    for side in ("down", "up"):
        frames = [orthonormal(rng, 60, 6) for _ in range(20)]
        cases = [rank_floor.Frozen(target, inputs, frame, side) for frame in frames]
        losses.append(np.mean([rank_floor.bound(case) for case in cases]))
    share = losses[1] / theorem_of("factor-asymmetry").scale(cases[0])
    assert share == pytest.approx(rank_floor.expected_share(6, 60), rel=0.03)
    assert (losses[0] < 0.75 * losses[1]) if down_wins else (losses[0] > 1.05 * losses[1])
