"""_arrow: margins and the blind spot, computed again from dense decompositions."""

from math import acos, cos, degrees

import numpy as np
import pytest

from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained.check._module import Module, arrow_blind, arrow_nearest

NAMES = ("one", "two")


def of_routing(name, names, updates, x):
    here = Module(name, np.zeros(updates[0].shape), names, tuple(updates), x)
    yield from arrow_nearest(here)
    yield from arrow_blind(here)


def dense_tops(updates):
    return [np.linalg.svd(low.dense())[2][0] for low in updates]


def test_the_nearest_token_leads_by_at_least_what_the_theorem_says():
    rng = np.random.default_rng(0)
    updates, x = [gaussian(rng, 6, 8, 2) for _ in NAMES], rng.standard_normal((40, 8))
    x = np.concatenate([x, [0.05 * x[0] + 3 * top for top in dense_tops(updates)]])
    margins = [*of_routing("m", NAMES, updates, x)][:2]
    tops = dense_tops(updates)
    for i, reading in enumerate(margins):
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        own, other = (np.abs(unit @ tops[j]) for j in (i, 1 - i))
        near = int(own.argmax())
        between = acos(abs(tops[0] @ tops[1]))
        angle = acos(own[near])
        assert reading.about == NAMES[i]
        assert reading.outcome in ("holds", "tight")
        assert reading.value == pytest.approx(own[near] - other[near])
        assert reading.bound == pytest.approx(own[near] - cos(between - angle))
        safe = (np.arccos(own) < between / 2).mean()
        assert f"{degrees(angle):.0f}° from the prototype" in reading.note
        assert f"{100 * safe:.2g} % of tokens are within half" in reading.note


def test_a_token_beyond_the_other_prototype_is_left_open():
    flat = [LowRank(np.eye(3)[:, :1], np.array([r])) for r in ([1.0, 0, 0], [0.8, 0.6, 0])]
    silent, _, __ = of_routing("m", NAMES, flat, np.array([[0.1, 0.0, 1.0]]))
    assert silent.outcome == "not applicable"
    assert "84° from the prototype" in silent.note


def test_orthonormal_edits_meet_the_blind_spot_exactly():
    eye = np.eye(8)
    updates = [LowRank(np.eye(6)[:, :3] * [3.0, 2, 1], eye[3 * i : 3 * i + 3]) for i in range(2)]
    *_, found = of_routing("m", NAMES, updates, np.ones((1, 8)))
    assert found.outcome == "tight"
    assert found.value == pytest.approx(1 / 3 + (2 / 3) / 2)
    unseen = (4 + 1) / (9 + 4 + 1)  # of an input that meets all keys alike
    assert f"of real answers {100 * unseen:.2g} %, {100 * unseen:.2g} % comes" in found.note


def test_overlapping_keys_are_outside_the_theorem_and_the_cosine_shows_it():
    rng = np.random.default_rng(1)
    updates = [gaussian(rng, 6, 8, 2) for _ in NAMES]
    *_, found = of_routing("m", NAMES, updates, rng.standard_normal((5, 8)))
    frames = [np.linalg.qr(low.down.T)[0] for low in updates]
    cosine = np.linalg.norm(frames[0].T @ frames[1], 2)
    assert found.outcome == "not applicable"
    assert f"meet at cosine {cosine:.2g};" in found.note
