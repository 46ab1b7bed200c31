"""Laws of a stranger's rule: those that it was written to obey hold, the others are caught."""

import numpy as np
import pytest

from loratheory.adapters import LAWS, METHODS, LawCase, Options
from loratheory.experiments.evaluate import OwnRule, laws, rule_named

OBEY = ("sum", "cat", "iso", "factor-linear")


@pytest.mark.parametrize("name", OBEY)
def test_known_methods_get_the_laws_that_they_obey(name):
    method = METHODS[name]
    asked = OwnRule(
        "a:b", "merge", lambda updates, weights: method.rule(updates, weights, Options())
    )
    for law in laws(asked):
        if law.name not in ("exact", "idempotent"):  # a method may be exact as itself
            gaps = [LAWS[law.name](LawCase(method, "full", seed)) for seed in range(4)]
            assert law.holds is (max(gaps) <= 1e-9), law
        assert law.meaning


def test_a_broken_law_comes_with_the_seed_of_a_counterexample():
    by_name = {law.name: law for law in laws(rule_named("my_rules:half"))}
    assert (by_name["exact"].holds, by_name["exact"].seed) == (False, 0)
    assert by_name["exact"].gap == pytest.approx(1 / 3)
    assert by_name["linear"].holds
    assert by_name["linear"].seed is None
    assert by_name["linear"].gap < 1e-12
    first = {law.name: law.holds for law in laws(rule_named("my_rules:first"))}
    assert not first["permutation"]
    assert not first["sign"]
    assert first["idempotent"]


def test_weights_are_neither_one_nor_all_of_a_sign():
    def _squared(updates, weights):
        return METHODS["cat"].rule(updates, [w * w for w in weights], Options())

    found_for = {law.name: law.holds for law in laws(OwnRule("a:b", "merge", _squared))}
    assert not found_for["exact"]
    assert not found_for["sign"]


def test_routers_are_asked_for_laws_of_their_own():
    largest = {law.name: law.holds for law in laws(rule_named("my_rules:largest"))}
    assert list(largest) == ["gauge", "permutation", "repeatable", "token scale", "shares"]
    assert all(largest.values())
    everything = {law.name: law.holds for law in laws(rule_named("my_rules:everything"))}
    assert [name for name, holds in everything.items() if not holds] == ["shares"]
    assert not any(law.holds for law in laws(rule_named("my_rules:relative")))


def test_negative_shares_are_no_shares():
    class Odd:
        def weights(self, x):
            return np.array([[2.0, -1.0, 0.0]] * len(x))

    (law,) = [
        law for law in laws(OwnRule("a:b", "router", lambda *_: Odd())) if law.name == "shares"
    ]
    assert (law.holds, law.gap) == (False, 1.0)
