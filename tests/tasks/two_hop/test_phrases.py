"""_phrases: enough words for the largest world, none of them twice."""

import pytest

from loratheory.tasks.two_hop._text import (
    ENDINGS,
    KINDS,
    RELATIONS,
    WORDINGS,
    nested,
    sentence,
)
from loratheory.tasks.two_hop._world import MOST_HOPS, MOST_RELATIONS


def test_there_are_words_for_the_largest_world():
    assert len(KINDS) == len(ENDINGS) == MOST_HOPS + 1
    assert [len(names) for names in RELATIONS] == [MOST_RELATIONS] * MOST_HOPS
    assert len(set(ENDINGS)) == len(ENDINGS)


def test_no_relation_shares_a_name():
    said = [name for hop in RELATIONS for names in hop for name in names]
    assert len(set(said)) == len(said) == 2 * MOST_HOPS * MOST_RELATIONS


def test_relations_end_in_what_they_lead_to():
    for kind, hop in zip(KINDS[1:], RELATIONS, strict=True):
        assert all(kind in name.split() for names in hop for name in names)


@pytest.mark.parametrize(
    ("wording", "phrase"),
    [
        (0, "the home of Mira"),
        (1, "Mira's home"),
        (2, "the house of Mira"),
        (3, "Mira's house"),
    ],
)
def test_wordings_by_hand(wording, phrase):
    assert nested("Mira", ("home", "house"), wording) == phrase


def test_all_wordings_differ():
    found = {nested("Mira", ("home", "house"), wording) for wording in range(WORDINGS)}
    assert len(found) == WORDINGS


def test_a_sentence_starts_large_and_changes_nothing_else():
    assert sentence("the Home of x") == "The Home of x"
    assert sentence("") == ""
