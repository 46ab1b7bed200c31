"""A stranger's rule on tiny transformers: as what it equals, beside its controls."""

from functools import cache as once

import numpy as np
import pytest
import torch
from reused import SMALL, TAUGHT, cache, enlarged, taught, update

from loratheory.experiments.bench.answers import accuracies
from loratheory.experiments.bench.library import acting
from loratheory.experiments.bench.rules import coefficients, rule
from loratheory.experiments.evaluate import OwnRule, Profile, _card, rule_named
from loratheory.experiments.evaluate._card import PROFILES, compared, reused, trained
from loratheory.toy.transformer import Site

__all__ = ["cache"]

TINY = Profile((SMALL,), (101, 102), TAUGHT)
SITE = Site("mlp.in", 1, 0)


@once
def found_marks():
    steps = []
    return trained(rule_named("my_rules:half"), TINY, steps.append), steps


def change(adapt, site=SITE):
    """The dense change that acts, replica by replica."""
    eye = torch.eye(16).expand(4, 16, 16)
    return adapt(site, eye).double().mT.numpy()


def test_half_of_the_sum_is_half_of_the_sum():
    here = enlarged(taught())
    (mine, _), (known, _) = (
        acting(here, act) for act in (reused(rule_named("my_rules:half")), coefficients(0.5))
    )
    np.testing.assert_allclose(change(mine), change(known), atol=1e-4)


def test_a_router_is_asked_token_by_token():
    here = enlarged(taught())
    everything = acting(here, reused(rule_named("my_rules:everything")))[0]
    np.testing.assert_allclose(change(everything), change(acting(here, rule("sum"))[0]), atol=1e-4)
    largest = change(acting(here, reused(rule_named("my_rules:largest")))[0])
    for e in range(4):
        for token in range(16):
            parts = [update(a, SITE.name, e).numpy()[:, token] for a in here.adapters]
            best = max(parts, key=np.linalg.norm)
            np.testing.assert_allclose(largest[e][:, token], best, atol=1e-4)


def test_the_rule_stands_beside_known_rules_and_controls():
    names = list(compared(rule_named("my_rules:half")))
    assert names[:8] == [
        "base", "hop 1 alone", "hop 2 alone", "mean", "sum", "Arrow", "gates", "oracle",
    ]  # fmt: skip
    assert names[8:] == ["my_rules:half", "my_rules:half, shuffled", "my_rules:half, noise"]
    here = enlarged(taught())
    table = compared(rule_named("my_rules:half"))
    for hop in (0, 1):
        alone = acting(here, table[f"hop {hop + 1} alone"])[1]
        by_hand = [update(here.pairs[1][hop], SITE.name, e).numpy() for e in range(4)]
        np.testing.assert_allclose(change(alone), by_hand, atol=1e-4)
    assert acting(here, table["base"])[0](SITE, torch.ones(4, 1, 16)) is None


def test_shuffled_edits_and_noise_go_through_the_same_rule():
    here = enlarged(taught())
    table = compared(rule_named("my_rules:half"))
    mixed = change(acting(here, table["my_rules:half, shuffled"])[0])
    for e in range(4):
        other = e ^ 1  # the other repetition on the same base
        by_hand = sum(
            update(pair[0], SITE.name, e) + update(pair[1], SITE.name, other) for pair in here.pairs
        )
        np.testing.assert_allclose(mixed[e], by_hand.numpy() / 2, atol=1e-4)
    random = change(acting(here, table["my_rules:half, noise"])[0])
    size = sum(np.linalg.norm(update(a, SITE.name, 0)) ** 2 for a in here.adapters) / 4
    assert np.linalg.norm(random[0]) ** 2 == pytest.approx(size, rel=0.5)
    assert not np.allclose(random, change(acting(here, table["my_rules:half"])[0]), atol=0.1)


def test_marks_are_means_with_intervals_over_bases():
    told, steps = found_marks()
    assert [mark.coverage for mark in told] == [0.5] * 11
    assert len(steps) == 12
    for mark in told:
        assert mark.low <= mark.two_hop <= mark.high
    here = taught()
    for name in ("sum", "base"):
        act = compared(rule_named("my_rules:half"))[name]
        by_hand = accuracies(here, acting(here, act))
        (mark,) = [m for m in told if (m.rule, m.coverage) == (name, 0.5)]
        for kind in (
            "two_hop",
            "hop_1",
            "hop_2",
            "other_hops",
            "other_two_hop",
            "shortcut",
            "chance",
        ):
            assert getattr(mark, kind) == pytest.approx(by_hand[kind].mean())


def test_intervals_come_from_bases_not_from_repetitions(monkeypatch):
    values = np.array([0.0, 0.5, 0.5, 1.0])
    kinds = ("hop_1", "hop_2", "other_hops", "other_two_hop", "shortcut", "chance")
    monkeypatch.setattr(
        _card, "accuracies", lambda *_: {"two_hop": values, **dict.fromkeys(kinds, values / 2)}
    )
    mark = _card._mark("x", taught(), rule("mean"))
    assert (mark.two_hop, mark.low, mark.high) == (0.5, 0.25, 0.75)
    assert mark.shortcut == 0.25


def test_profiles_use_bases_that_no_experiment_uses():
    for profile in PROFILES.values():
        assert min(profile.seeds) > 200
        assert profile.teaching.sets >= 2
        assert {setting.coverage for setting in profile.settings} == {0.0, 0.5}
    assert len(PROFILES["paper"].seeds) == 8


def test_the_rule_may_fail_on_the_way():
    from loratheory.experiments.evaluate import RuleError

    wide = OwnRule("a:b", "merge", lambda updates, _: updates[0].T)
    with pytest.raises(RuleError, match="a:b returned an update of shape"):
        reused(wide)(taught())
