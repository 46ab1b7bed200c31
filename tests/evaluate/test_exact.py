"""A stranger's rule by laws and exact memories: what it was written to obey, and what it breaks."""

import math

import numpy as np
import pytest

from loratheory.adapters import LAWS, MERGE_METHODS, LawCase, Options
from loratheory.evaluate import OwnRule, laws, rule_named, survival
from loratheory.lowrank import LowRank

GOLDEN = (math.sqrt(5) - 1) / 2
ROUTING = ["gauge", "permutation", "repeatable", "token scale", "shares"]


def merge(rule):
    return OwnRule("a:b", "merge", rule)


def router(weights):
    """A router that weighs tokens so, whatever the updates."""
    kind = type("Weigher", (), {"weights": lambda _, x: weights(x)})
    return OwnRule("a:b", "router", lambda *_: kind())


@pytest.mark.parametrize("name", ["sum", "cat", "iso", "factor-linear"])
def test_known_methods_get_the_laws_that_they_obey(name):
    method = MERGE_METHODS[name]
    for law in laws(merge(lambda updates, weights: method.rule(updates, weights, Options()))):
        if law.name not in ("exact", "idempotent"):  # a method may be exact as itself
            gaps = [LAWS[law.name](LawCase(method, "full", seed)) for seed in range(4)]
            assert law.holds is (max(gaps) <= 1e-9), law
        assert law.meaning


def squared(updates, weights):
    return MERGE_METHODS["cat"].rule(updates, [w * w for w in weights], Options())


BROKEN = {  # rule: laws that it breaks, laws that it keeps
    "half": (rule_named("my_rules:half"), {"exact"}, {"linear"}),
    "first": (rule_named("my_rules:first"), {"permutation", "sign"}, {"idempotent"}),
    "weights squared": (merge(squared), {"exact", "sign"}, set()),
    "largest norm": (rule_named("my_rules:largest"), set(), {*ROUTING}),
    "everything": (rule_named("my_rules:everything"), {"shares"}, {*ROUTING} - {"shares"}),
    "relative": (rule_named("my_rules:relative"), {*ROUTING}, set()),
    "negative": (router(lambda x: np.array([[2.0, -1.0, 0.0]] * len(x))), {"shares"}, set()),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_law_comes_with_the_seed_of_a_counterexample(name):
    rule, breaks, keeps = BROKEN[name]
    found = {law.name: law for law in laws(rule)}
    assert (list(found) == ROUTING) == (rule.form == "router")
    for law in breaks:
        assert (found[law].holds, found[law].seed) == (False, 0)
        assert found[law].gap > 1e-9
    for law in keeps:
        assert (found[law].holds, found[law].seed) == (True, None)
        assert found[law].gap < 1e-9
    gaps = {"half": ("exact", 1 / 3), "negative": ("shares", 1.0)}
    if name in gaps:
        assert found[gaps[name][0]].gap == pytest.approx(gaps[name][1])


def times(share):
    def _rule(updates, weights):
        up = [share * w * low.up for w, low in zip(weights, updates, strict=True)]
        return LowRank(np.concatenate(up, 1), np.concatenate([low.down for low in updates]))

    return merge(_rule)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.7])
def test_facts_start_at_a_half_and_their_composition_at_the_golden_ratio(share):
    found = survival(times(share), seed=3)
    for row in found.curve:
        c = share * row["coefficient"]
        for kind in ("hop_1", "hop_2"):
            assert found.starts[kind] == pytest.approx(0.5 / share, abs=1e-6)
            assert c > 1 or row[kind] == pytest.approx(2 * c - 1, abs=1e-8)
        if c <= 1:
            assert row["two_hop"] == pytest.approx(c * c - max(1 - c, c * (1 - c)), abs=1e-8)
    assert found.starts["two_hop"] == pytest.approx(GOLDEN / share, abs=1e-6)


STARTS = {  # of hop 1, hop 2, and both
    "a tenth of the sum": (times(0.1), (None, None, None)),
    "the first adapter": (merge(lambda updates, w: w[0] * updates[0]), (0.5, None, None)),
    "largest norm": (rule_named("my_rules:largest"), (0.5, 0.5, GOLDEN)),
    "half of each": (router(lambda x: np.full((len(x), 2), 0.5)), (1.0, 1.0, 2 * GOLDEN)),
}


@pytest.mark.parametrize("name", STARTS)
def test_memories_start_where_the_rule_says(name):
    rule, wanted = STARTS[name]
    found = survival(rule).starts
    assert list(found) == ["hop_1", "hop_2", "two_hop"]
    for start, value in zip(found.values(), wanted, strict=True):
        assert start == (value if value is None else pytest.approx(value, abs=1e-6))


def test_a_router_is_calibrated_on_unedited_keys_and_asked_at_edited_ones():
    base, asked = [], []

    class Spy:
        def __init__(self, updates, activations):
            self.updates = updates
            base.append(self.response(activations))

        def response(self, x):
            return max(np.linalg.norm(x @ u.dense().T, axis=1).max() for u in self.updates)

        def weights(self, x):
            asked.append(self.response(x))
            return np.ones((len(x), 2))

    survival(OwnRule("a:b", "router", Spy))
    assert len(base) == 2
    assert max(asked) > 3 * max(base)
