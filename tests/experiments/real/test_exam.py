"""real._exam: marks of models whose answers are known, and of one that knows nothing."""

import math

import numpy as np
import pytest
import torch
from worded import VOCABULARY, small_model

from loratheory.experiments.real import _exam as module
from loratheory.experiments.real import _known as known
from loratheory.experiments.real._exam import CAPITALS, PERSONS, answers, ceilings, exam, knows, own
from loratheory.experiments.real._facts import facts, items, rehearsed
from loratheory.pretrained import first_tokens, next_logits


@pytest.fixture
def model():
    return small_model()


def oracle(monkeypatch, model, told):
    """The model says what it is told, word for word, and else the word `nothing`."""

    def _logits(_, prompts):
        words = [told.get(prompt, "nothing") for prompt in prompts]
        return 9.0 * torch.nn.functional.one_hot(first_tokens(model, words), VOCABULARY)

    monkeypatch.setattr(module, "next_logits", _logits)


def test_answers_are_leading_tokens(model):
    [one] = facts(0)
    asked = items(one.birth, known.BIRTH[:1])
    found = answers(model, asked)
    logits = next_logits(model, [prompt for prompt, _ in asked]).double().numpy()
    words = [word for _, word in asked]
    ids = first_tokens(model, words).tolist()
    for i, row in enumerate(logits):
        best = max(range(20), key=lambda j: row[ids[j]])
        assert found.said[i] == words[best]
        assert found.right[i] == (best == i)
        assert found.first[i] == int(np.argmax(row))
        assert found.free[i] == (int(np.argmax(row)) == ids[i])
        assert found.confidence[i] == pytest.approx(np.exp(row - row.max()).sum() ** -1, rel=1e-4)


def test_candidates_may_be_others(model, monkeypatch):
    oracle(monkeypatch, model, {"Q": "Peru"})
    assert answers(model, [("Q", "Cuba")], ["Cuba", "Peru"]).said == ("Peru",)


def test_who_knows_everything_has_full_marks(model, monkeypatch):
    [one] = facts(0)
    asked = [
        *items(one.birth, (*known.BIRTH, known.BIRTH_NEW)),
        *items(one.mascot, (*known.MASCOT, known.MASCOT_NEW)),
        *items(one.chain, known.TWO_HOP),
        *rehearsed(held_out=True),
    ]
    by_steps = [
        (f"{known.BIRTH[0].format(p)} {c}. {known.MASCOT[0].format(c)}", one.chain[p])
        for p, c in one.birth.items()
    ]
    oracle(monkeypatch, model, dict(asked + by_steps))
    marks = exam(model, one)
    few = exam(model, one, brief=True)
    more = ("hop_1_new", "hop_2_new", "hop_by_hop", "other_facts")
    assert few == {name: marks[name] for name in marks if name not in more}
    assert knows(model) == marks["other_facts"]
    confidence = marks.pop("confidence")
    assert marks == dict.fromkeys(marks, 1.0) | {"says_bridge": 0.0}
    assert confidence == pytest.approx(math.e**9 / (math.e**9 + VOCABULARY - 1), rel=1e-4)


def test_each_mark_is_of_its_own_questions(model, monkeypatch):
    [one] = facts(0)
    first = dict(items(one.birth, known.BIRTH[:1]))
    oracle(monkeypatch, model, first)
    found = exam(model, one)
    assert found["hop_1"] == 1.0
    assert found["other_facts"] == found["two_hop_vocabulary"] == found["says_bridge"] == 0
    assert max(found["hop_2"], found["hop_1_new"], found["hop_2_new"]) <= 0.1
    oracle(monkeypatch, model, dict(items(one.mascot, [known.MASCOT_NEW])))
    assert [exam(model, one)[hop] for hop in ("hop_1_new", "hop_2_new")] == [
        pytest.approx(0.05, abs=0.05),
        1.0,
    ]
    chains = {
        prompt: one.birth[person]
        for person in one.birth
        for prompt in (template.format(person) for template in known.TWO_HOP)
    }
    oracle(monkeypatch, model, chains)
    found = exam(model, one)
    assert found["says_bridge"] == 1.0
    assert found["two_hop_vocabulary"] == 0.0
    assert found["hop_by_hop"] <= 0.1


def test_ceilings_have_one_hop_of_the_base(model, monkeypatch):
    [one] = facts(0)
    capital = {
        t.format(p): CAPITALS[c] for p, c in one.birth.items() for t in known.CAPITAL_TWO_HOP
    }
    oracle(monkeypatch, model, capital)
    assert ceilings(model, one)["known_hop_2"] == 1.0
    assert ceilings(model, one)["known_hop_1"] <= 0.1
    real = {known.TWO_HOP[0].format(told[2][0]): one.mascot[c] for c, told in known.FAMOUS.items()}
    oracle(monkeypatch, model, real)
    assert ceilings(model, one)["known_hop_1"] == 1.0
    assert ceilings(model, one)["known_hop_2"] <= 0.1
    assert len(PERSONS) == 40


def test_what_the_base_does_by_itself(model, monkeypatch):
    persons = {t.format(p): c for p, c in PERSONS.items() for t in known.BIRTH[:2]}
    capitals = {t.format(c): w for c, w in CAPITALS.items() for t in known.CAPITAL}
    oracle(monkeypatch, model, persons | capitals)
    found = own(model)
    assert (found["hop_1"], found["hop_2"], found["two_hop_vocabulary"]) == (1.0, 1.0, 0.0)
    assert found["two_hop"] <= 0.1
