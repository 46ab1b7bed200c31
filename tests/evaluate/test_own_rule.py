"""A rule under evaluation: found by name, called with NumPy, refused in plain words."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from loratheory.evaluate import OwnRule, RuleError, rule_named
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
        ("my_rules", r"'my_rules' names no rule: write package.module:rule"),
        (":half", r"names no rule"),
        ("my_rules:", r"names no rule"),
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
