"""The card holds its three parts, for the profile that was asked for."""

import pytest
from reused import SMALL, TAUGHT, cache

from loratheory.experiments.evaluate import Profile, RuleError, _card, card, found

__all__ = ["cache"]

TINY = Profile((SMALL,), (101,), TAUGHT)


def test_the_card_has_laws_memories_and_marks():
    steps = []
    told = card(found("my_rules:half"), TINY, steps.append)
    assert (told.rule, told.form, told.profile) == ("my_rules:half", "merge", "own")
    assert len(told.laws) == 9
    assert set(told.memories.starts) == {"hop_1", "hop_2", "two_hop", "same_read"}
    assert len(told.marks) == 11
    assert steps[:2] == ["laws", "exact memories"]
    assert len(steps) == 14


def test_profiles_go_by_name(monkeypatch):
    seen = []
    monkeypatch.setattr(_card, "trained", lambda _, profile, __: seen.append(profile) or [])
    assert card(found("my_rules:loudest"), "quick").profile == "quick"
    card(found("my_rules:loudest"), "paper")
    assert seen == [_card.PROFILES["quick"], _card.PROFILES["paper"]]
    with pytest.raises(RuleError, match="there is no profile 'fast': choose quick or paper"):
        card(found("my_rules:half"), "fast")
