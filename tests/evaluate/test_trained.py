"""A stranger's rule on tiny transformers: as what it equals, beside its controls."""

import numpy as np
import pytest
import torch
from reused import SMALL, TAUGHT, enlarged, taught, update

from loratheory.bench.answers import accuracies
from loratheory.bench.library import acting
from loratheory.bench.rules import coefficients, rule
from loratheory.evaluate import OwnRule, Profile, RuleError, _card, rule_named
from loratheory.evaluate._card import PROFILES, compared, reused, trained
from loratheory.toy.transformer import Site

TINY = Profile((SMALL,), (101, 102), TAUGHT)
SITE = Site("mlp.in", 1, 0)
HALF = rule_named("my_rules:half")


@pytest.fixture(scope="module")
def adapted():
    return enlarged(taught())


def change(adapt):
    """The dense change that acts, replica by replica."""
    eye = torch.eye(16).expand(4, 16, 16)
    return adapt(SITE, eye).double().mT.numpy()


def alike(one, other):
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "known"), [("half", coefficients(0.5)), ("everything", rule("sum"))]
)
def test_a_rule_of_ones_own_is_the_known_rule_that_it_equals(adapted, name, known):
    mine, same = (
        acting(adapted, act)[0] for act in (reused(rule_named(f"my_rules:{name}")), known)
    )
    alike(change(mine), change(same))


def test_a_router_is_asked_token_by_token(adapted):
    chosen = change(acting(adapted, reused(rule_named("my_rules:largest")))[0])
    for e in range(4):
        for token in range(16):
            parts = [update(a, SITE.name, e).numpy()[:, token] for a in adapted.adapters]
            alike(chosen[e][:, token], max(parts, key=np.linalg.norm))


def test_the_rule_stands_beside_known_rules_and_controls(adapted):
    table = compared(HALF)
    assert list(table) == [
        "base", "hop 1 alone", "hop 2 alone", "mean", "sum", "Arrow", "gates", "oracle",
        "my_rules:half", "my_rules:half, shuffled", "my_rules:half, noise",
    ]  # fmt: skip
    for hop in (0, 1):
        alone = acting(adapted, table[f"hop {hop + 1} alone"])[1]
        alike(change(alone), [update(adapted.pairs[1][hop], SITE.name, e) for e in range(4)])
    assert acting(adapted, table["base"])[0](SITE, torch.ones(4, 1, 16)) is None
    mixed = change(acting(adapted, table["my_rules:half, shuffled"])[0])
    for e in range(4):  # the other repetition on the same base
        by_hand = sum(
            update(pair[0], SITE.name, e) + update(pair[1], SITE.name, e ^ 1)
            for pair in adapted.pairs
        )
        alike(mixed[e], by_hand / 2)
    random = change(acting(adapted, table["my_rules:half, noise"])[0])
    size = sum(np.linalg.norm(update(a, SITE.name, 0)) ** 2 for a in adapted.adapters) / 4
    assert np.linalg.norm(random[0]) ** 2 == pytest.approx(size, rel=0.5)
    assert not np.allclose(random, change(acting(adapted, table["my_rules:half"])[0]), atol=0.1)


def test_marks_are_means_with_intervals_over_bases():
    steps = []
    marks = trained(compared(HALF), TINY, steps.append)
    assert [mark.coverage for mark in marks] == [0.5] * 11
    assert len(steps) == 12
    for mark in marks:
        assert mark.low <= mark.two_hop <= mark.high
    library = taught()
    for mark in marks:
        if mark.rule in ("sum", "base"):
            by_hand = accuracies(library, acting(library, compared(HALF)[mark.rule]))
            for kind, right in by_hand.items():
                assert getattr(mark, kind) == pytest.approx(right.mean())


def test_intervals_come_from_bases_not_from_repetitions(monkeypatch):
    values = np.array([0.0, 0.5, 0.5, 1.0])
    kinds = ("hop_1", "hop_2", "other_hops", "other_two_hop", "shortcut", "chance")
    monkeypatch.setattr(
        _card, "accuracies", lambda *_: {"two_hop": values, **dict.fromkeys(kinds, values / 2)}
    )
    mark = _card._mark("x", [taught()], rule("mean"))
    assert (mark.two_hop, mark.low, mark.high) == (0.5, 0.25, 0.75)
    assert mark.shortcut == 0.25


def test_profiles_use_bases_that_no_experiment_uses():
    for profile in PROFILES.values():
        assert min(profile.seeds) > 200
        assert profile.teaching.sets >= 2
        assert {setting.coverage for setting in profile.settings} == {0.0, 0.5, 0.9}
    assert len(PROFILES["paper"].seeds) == 8


def test_the_rule_may_fail_on_the_way():
    wide = OwnRule("a:b", "merge", lambda updates, _: updates[0].T)
    with pytest.raises(RuleError, match="a:b returned an update of shape"):
        reused(wide)(taught())
