"""_pairs: floors and cross-talk of one module, every number by dense arithmetic."""

import numpy as np
import pytest

from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained.check._module import (
    Module,
    crosstalk,
    factor_mean,
    floor,
    input_floor,
    summed_rank,
)

NAMES = ("one", "two")


def shelf(widths=(2, 3)):
    rng = np.random.default_rng(0)
    return [gaussian(rng, 7, 9, width) for width in widths], rng.standard_normal((20, 9))


def of_weights(name, names, updates):
    here = Module(name, np.zeros(updates[0].shape), names, tuple(updates))
    return [*floor(here), *summed_rank(here), *factor_mean(here)]


def of_inputs(name, names, updates, x):
    here = Module(name, np.zeros(updates[0].shape), names, tuple(updates), x)
    return [*input_floor(here), *crosstalk(here)]


def by_label(readings):
    found = {}
    for reading in readings:
        found.setdefault(reading.label.removeprefix("thm:"), []).append(reading)
    return found


def test_the_floor_is_met_and_the_rank_adds_up():
    updates, _ = shelf()
    found = by_label(of_weights("m", NAMES, updates))
    dense = [low.dense() for low in updates]
    mean = sum(dense) / 2
    left, sigma, right = np.linalg.svd(mean)
    best = left[:, :3] * sigma[:3] @ right[:3]
    error = sum(((best - one) ** 2).sum() for one in dense) / 2
    (floor,) = found["merge-floor"]
    assert floor.outcome == "tight"
    assert floor.value == pytest.approx(error)
    (rank,) = found["rank-subadditivity"]
    assert (rank.value, rank.outcome) == (np.linalg.matrix_rank(sum(dense)), "tight")


def test_the_mean_of_factors_is_judged_where_there_is_one():
    (silent,) = by_label(of_weights("m", NAMES, shelf()[0]))["factor-mean-residual"]
    assert silent.outcome == "not applicable"
    assert silent.note.endswith("they have 2, 3")
    updates, _ = shelf((2, 2))
    (found,) = by_label(of_weights("m", NAMES, updates))["factor-mean-residual"]
    one, two = updates
    factors = (one.up + two.up) / 2 @ ((one.down + two.down) / 2)
    assert found.value == pytest.approx((((one.dense() + two.dense()) / 2 - factors) ** 2).sum())
    assert found.outcome == "tight"


def test_the_covariance_floor_is_below_what_the_data_free_optimum_does():
    updates, x = shelf()
    (found,) = by_label(of_inputs("m", NAMES, updates, x))["covariance-floor"]
    dense = [low.dense() for low in updates]
    left, sigma, right = np.linalg.svd(sum(dense) / 2)
    best = left[:, :3] * sigma[:3] @ right[:3]
    error = np.mean([((x @ (best - one).T) ** 2).sum(axis=1).mean() for one in dense])
    assert found.value == pytest.approx(error)
    assert found.outcome == "holds"


def test_crosstalk_is_that_of_the_worst_token_as_far_as_the_reader_reads_it():
    updates, x = shelf()
    found = by_label(of_inputs("m", NAMES, updates, x))["interference-angle"]
    assert [reading.about for reading in found] == ["one ← two", "two ← one"]
    for reading, (reader, other) in zip(found, (updates, updates[::-1]), strict=True):
        frame = np.linalg.qr(reader.down.T)[0]
        read = x @ frame @ frame.T
        answers = np.linalg.norm(read @ other.dense().T, axis=1) / np.linalg.norm(read, axis=1)
        whole = np.linalg.norm(x @ other.dense().T, axis=1) / np.linalg.norm(x, axis=1)
        share = np.median((read**2).sum(axis=1) / (x**2).sum(axis=1))
        assert reading.value == pytest.approx(answers.max())
        assert reading.outcome == "holds"
        assert reading.note.startswith(f"{100 * share:.2g} % of an input's energy")
        assert f"up to {whole.max():.3g} of" in reading.note


def test_orthogonal_readers_keep_silent_to_each_other():
    eye = np.eye(9)
    updates = [LowRank(np.eye(7)[:, :2], eye[:2]), LowRank(np.eye(7)[:, :3], eye[2:5])]
    found = by_label(of_inputs("m", NAMES, updates, shelf()[1]))["interference-angle"]
    assert [round(reading.value, 12) for reading in found] == [0, 0]
