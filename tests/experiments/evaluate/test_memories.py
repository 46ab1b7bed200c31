"""Exact memories: a rule's thresholds are those of the theorems, whatever its multiple."""

import math

import numpy as np
import pytest

from loratheory.experiments.evaluate import OwnRule, rule_named, survival
from loratheory.lowrank import LowRank

GOLDEN = (math.sqrt(5) - 1) / 2


def times(share):
    def _rule(updates, weights):
        up = np.concatenate(
            [share * w * low.up for w, low in zip(weights, updates, strict=True)], 1
        )
        return LowRank(up, np.concatenate([low.down for low in updates]))

    return OwnRule("a:b", "merge", _rule)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.7])
def test_facts_start_at_a_half_and_their_composition_at_the_golden_ratio(share):
    told = survival(times(share), seed=3)
    for kind in ("hop_1", "hop_2", "same_read"):
        assert told.starts[kind] == pytest.approx(0.5 / share, abs=1e-6)
    assert told.starts["two_hop"] == pytest.approx(GOLDEN / share, abs=1e-6)
    for row in told.curve:
        c = share * row["coefficient"]
        if c <= 1:
            assert row["hop_1"] == pytest.approx(2 * c - 1, abs=1e-8)
            assert row["hop_2"] == pytest.approx(2 * c - 1, abs=1e-8)
            assert row["same_read"] == pytest.approx(2 * c - 1, abs=1e-8)
            assert row["two_hop"] == pytest.approx(c * c - max(1 - c, c * (1 - c)), abs=1e-8)


def test_what_never_answers_starts_nowhere():
    told = survival(times(0.1))
    assert set(told.starts.values()) == {None}
    swap = OwnRule("a:b", "merge", lambda updates, weights: weights[0] * updates[0])
    starts = survival(swap).starts
    assert starts["hop_1"] == pytest.approx(0.5)
    assert starts["hop_2"] is starts["two_hop"] is starts["same_read"] is None


def test_a_perfect_router_is_the_sum_and_half_of_it_the_mean():
    starts = survival(rule_named("my_rules:largest")).starts
    assert starts["hop_1"] == pytest.approx(0.5, abs=1e-6)
    assert starts["two_hop"] == pytest.approx(GOLDEN, abs=1e-6)
    assert starts["same_read"] == pytest.approx(0.5, abs=1e-6)

    class Half:
        def weights(self, x):
            return np.full((len(x), 2), 0.5)

    starts = survival(OwnRule("a:b", "router", lambda *_: Half())).starts
    assert starts["hop_2"] == pytest.approx(1.0, abs=1e-6)
    assert starts["two_hop"] == pytest.approx(2 * GOLDEN, abs=1e-6)


def test_a_router_is_calibrated_on_unedited_keys_and_asked_at_edited_ones():
    seen = []

    class Spy:
        def __init__(self, updates, activations):
            self.updates = updates
            own = [np.linalg.norm(activations @ low.dense().T, axis=1) for low in updates]
            seen.append(("base", activations.shape[1], max(x.mean() for x in own)))

        def weights(self, x):
            seen.append(
                (
                    "asked",
                    x.shape[1],
                    max(np.linalg.norm(x @ low.dense().T, axis=1).mean() for low in self.updates),
                )
            )
            return np.ones((len(x), 2))

    survival(OwnRule("a:b", "router", Spy))
    base = [size for kind, _, size in seen if kind == "base"]
    asked = [size for kind, _, size in seen if kind == "asked"]
    assert len(base) == 3
    assert max(asked) > 3 * max(base)
