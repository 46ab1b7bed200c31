"""A rule under evaluation: found by name, called with NumPy, refused in plain words."""

import sys

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


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dense", r"my_rules:dense returned a ndarray: return a loratheory.lowrank.LowRank"),
        ("narrow", r"shape \(4, 2\): return the shape of the updates, \(4, 3\)"),
        ("nan", r"returned NaN or infinity in the (first|second) factor of the merged update"),
        ("raising", r"my_rules:raising raised IndexError: .*, on 2 updates: mend the rule"),
    ],
)
def test_what_a_merge_may_not_return_is_refused(name, message):
    with pytest.raises(RuleError, match=message):
        rule_named(f"my_rules:{name}").merge(pair(), [1.0, 1.0])
    low, bad = pair()[0], np.full((2, 3), np.inf)
    for wrong in (LowRank(low.up, bad), LowRank(np.full((4, 2), np.nan), low.down)):
        with pytest.raises(RuleError, match="NaN or infinity"):
            OwnRule("a:b", "merge", lambda *_, w=wrong: w).merge([low], [1.0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", r"returned a NoneType without a method weights"),
        ("first_as_router", r"returned a LowRank without a method weights"),
        ("short", r"array of shape \(5, 1\): .*, here \(5, 2\)"),
        ("infinite", r"returned NaN or infinity in its weights"),
        ("lost", r"my_rules:lost: weights\(x\) raised IndexError"),
    ],
)
def test_what_a_router_may_not_return_is_refused(name, message):
    asked = rule_named(f"my_rules:{name.removesuffix('_as_router')}")
    with pytest.raises(RuleError, match=message):
        asked.route(pair(), np.ones((6, 3)))(np.ones((5, 3)))


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
