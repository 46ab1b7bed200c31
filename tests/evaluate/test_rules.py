"""A rule under evaluation: found by name, refused in words, tried by laws and exact memories."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from loratheory.adapters import LAWS, MERGE_METHODS, LawCase, Options
from loratheory.evaluate import OwnRule, RuleError, laws, rule_named, survival
from loratheory.lowrank import LowRank


def pair(seed=0):
    rng = np.random.default_rng(seed)
    return [LowRank(rng.normal(size=(4, 2)), rng.normal(size=(2, 3))) for _ in range(2)]


def test_a_merge_gets_and_gives_numpy_and_does_what_its_rule_does():
    seen = []

    def _rule(updates, weights):
        seen.append((updates, weights))
        return updates[0]

    low = LowRank(torch.ones(4, 2, dtype=torch.float32), torch.ones(2, 3, dtype=torch.float32))
    merged = OwnRule("here:rule", "merge", _rule).merge([low, low], [1, 2])
    for factor in (seen[0][0][1].up, merged.up, merged.down):
        assert isinstance(factor, np.ndarray)
        assert factor.dtype == np.float64
    assert seen[0][1] == [1.0, 2.0]
    one, two = pair()
    half = rule_named("my_rules:half")
    assert half.form == "merge"
    merged = half.merge([one, two], [1.0, -3.0])
    np.testing.assert_allclose(merged.dense(), one.dense() / 2 - 1.5 * two.dense())


def test_a_router_weighs_tokens_as_its_rule_does():
    rule, updates = rule_named("my_rules:largest"), pair()
    assert rule.form == "router"
    x = np.random.default_rng(1).normal(size=(9, 3))
    weights = rule.route(updates, torch.ones(5, 3))(torch.tensor(x))
    size = [np.linalg.norm(x @ low.dense().T, axis=1) for low in updates]
    assert weights.argmax(axis=1).tolist() == np.argmax(size, axis=0).tolist()
    assert isinstance(weights, np.ndarray)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_rules", r"'my_rules' names no function: write package.module:function"),
        (":half", r"names no function"),
        ("my_rules:", r"names no function"),
        ("my_rules.py:half", r"names a file, not a module: write my_rules:half$"),
        ("./mine/my_rules.py:half", r"names a file, not a module: write mine.my_rules:half$"),
        ("no_such_module_x:rule", r"module no_such_module_x cannot be imported \(ModuleNotFound"),
        ("my_rules:haf", r"module my_rules has no haf: it has .*half"),
        ("my_rules:NUMBER", r"my_rules:NUMBER is a int, no function"),
        ("my_rules:three", r"takes \(updates, weights, extra\): a merge is rule\(updates, weights"),
        ("my_rules:swapped", r"takes \(weights, updates\)"),
        ("my_rules:Weights", r"takes \(make\)"),
    ],
)
def test_what_is_no_rule_is_refused(name, message):
    with pytest.raises(RuleError, match=message):
        rule_named(name)


def weights(make):
    """A router that weighs tokens by whatever it is given."""
    return lambda *_: SimpleNamespace(weights=make)


ANY = np.ones((5, 3))
REFUSED = [
    ("merge", lambda u, _: u[0].dense(), "returned a ndarray: return a loratheory.lowrank.LowRank"),
    ("merge", lambda u, _: u[0].rows(slice(1, 3)), r"\(2, 3\): return the shape of .* \(4, 3\)"),
    (
        "merge",
        lambda u, _: LowRank(u[0].up * np.nan, u[0].down),
        "infinity in the first factor",
    ),
    (
        "merge",
        lambda u, _: LowRank(u[0].up, u[0].down / 0.0),
        "infinity in the second factor",
    ),
    ("merge", lambda _, w: w[7], "a:b raised IndexError: .*, on 2 updates: mend the rule"),
    ("router", lambda *_: None, "returned a NoneType without a method weights"),
    ("router", lambda u, _: u[0], "returned a LowRank without a method weights"),
    ("router", weights(lambda _: np.ones((5, 1))), r"shape \(5, 1\): .*, here \(5, 2\)"),
    ("router", weights(lambda _: np.full((5, 2), np.inf)), "NaN or infinity in its weights"),
    ("router", weights(lambda x: x[0, 10_000]), r"a:b: weights\(x\) raised IndexError"),
]


@pytest.mark.parametrize(("form", "rule", "message"), REFUSED)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_a_rule_may_not_return_is_refused(form, rule, message):
    asked = OwnRule("a:b", form, rule)
    with pytest.raises(RuleError, match=message):
        asked.merge(pair(), [1.0, 1.0]) if form == "merge" else asked.route(pair(), ANY)(ANY)


def test_the_current_folder_is_searched(tmp_path, monkeypatch):
    (tmp_path / "own_rule_here.py").write_text(
        "def mine(updates, weights, shift=0, *, power=2, **_):\n    return updates[0]\n"
    )
    (tmp_path / "broken_rule.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    assert rule_named("own_rule_here:mine").form == "merge"
    with pytest.raises(RuleError, match=r"cannot be imported \(ZeroDivisionError"):
        rule_named("broken_rule:mine")


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


def weighted_mean(updates, weights):
    return MERGE_METHODS["sum"].rule(updates, np.array(weights) / sum(weights), Options())


BROKEN = {  # rule: laws that it breaks, laws that it keeps
    "half": (rule_named("my_rules:half"), {"exact"}, {"linear"}),
    "first": (rule_named("my_rules:first"), {"permutation", "sign"}, {"idempotent"}),
    "weighted mean": (merge(weighted_mean), set(), {"exact"}),
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
    with pytest.raises(ValueError, match="checks nothing"):
        laws(rule, draws=0)
    assert (list(found) == ROUTING) == (rule.form == "router")
    for law in breaks:
        assert (found[law].holds, found[law].seed) == (False, 0)
        assert found[law].gap > 1e-9
    for law in keeps:
        assert (found[law].holds, found[law].seed) == (True, None)
        assert found[law].gap < 1e-9
    gaps = {"half": ("exact", 1 / 5), "negative": ("shares", 1.0)}
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
