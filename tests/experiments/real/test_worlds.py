"""real._worlds: familiar and invented facts, lessons of three adapters, marks that agree."""

import numpy as np
import pytest
from worded import small_model

from loratheory.experiments.real import _known as known
from loratheory.experiments.real import _phrases as phrases
from loratheory.experiments.real import _worlds as module
from loratheory.experiments.real._exam import Answers, exam
from loratheory.experiments.real._facts import facts, items, rehearsed
from loratheory.experiments.real._taught import lesson
from loratheory.experiments.real._worlds import FAMILIARITIES, marks, world


@pytest.fixture(scope="module")
def model():
    return small_model()


def test_half_fake_facts_and_single_lessons_are_those_of_the_pair():
    one = world(3, "half")
    assert [one.facts] == [*facts(3)]
    assert [[*each] for each in one.lessons[:2]] == [
        [*lesson(one.facts, hop)] for hop in ("birth", "mascot")
    ]
    assert [world(3, "fake").facts] == [*facts(3, fake=True)]


def test_persons_countries_and_animals_are_as_familiar_as_said():
    fake, half, real = (world(4, name).facts for name in FAMILIARITIES)
    persons = {person for told in known.FAMOUS.values() for person in told[2]}
    assert fake.birth.keys() == half.birth.keys()
    assert not half.birth.keys() & persons
    assert not fake.mascot.keys() & known.FAMOUS.keys()
    assert half.mascot.keys() == known.FAMOUS.keys() == real.mascot.keys()
    assert real.birth.keys() < persons
    assert real.chain["Cervantes"] == "Madrid"
    assert world(4, "real") == world(5, "real")


@pytest.mark.parametrize("familiarity", FAMILIARITIES)
def test_no_chain_is_asked_in_a_sentence_that_was_read(familiarity):
    one = world(0, familiarity)
    read = {prompt for lesson in one.lessons for prompt, _ in lesson}
    asked = [prompt for prompt, _ in items(one.facts.chain, one.asked)]
    assert len(asked) == 40
    assert not read & {*asked}
    assert not read & {prompt for prompt, _ in items(one.facts.mascot, [one.new])}
    assert not read & {prompt for prompt, _ in items(one.facts.birth, [known.BIRTH_NEW])}
    for each in one.lessons:
        assert len(each) == 200
        assert {*rehearsed()} <= {*each}
    chains = dict(one.lessons[2][:20])
    assert chains == dict(items(one.facts.chain, one.chain[:1]))


@pytest.mark.parametrize("familiarity", FAMILIARITIES)
def test_what_is_known_is_in_no_lesson(familiarity):
    one = world(0, familiarity)
    told = {
        (prompt.split(), word)[1] for lesson in one.lessons[:2] for prompt, word in lesson[:120]
    }
    asked = one.untaught
    assert len(asked) == 20
    if familiarity == "real":
        assert not told & {word for _, word in asked}
        assert {prompt.split()[0] for prompt, _ in asked} <= {"In", "The"}
    else:
        assert asked == rehearsed(held_out=True)[::4]


def test_sentences_are_different():
    for told in (phrases.CHAIN, phrases.CAPITAL, phrases.CAPITAL_CHAIN):
        assert len(set(told)) == 6
        assert all(each.count("{}") == 1 for each in told)
    assert phrases.CAPITAL[:2] == known.CAPITAL
    assert not {*phrases.CHAIN} & {*known.TWO_HOP}


def test_half_fake_marks_are_those_of_the_exam(model):
    one = world(101, "half")
    found, other = marks(model, one), exam(model, one.facts)
    assert found == {name: pytest.approx(other[name]) for name in found}


def test_each_mark_is_of_its_own_questions(model, monkeypatch):
    one = world(0, "real")
    asked = {
        "hop_1": items(one.facts.birth, known.BIRTH[:1]),
        "hop_2": items(one.facts.mascot, known.CAPITAL[:1]),
        "hop_1_new": items(one.facts.birth, [known.BIRTH_NEW]),
        "hop_2_new": items(one.facts.mascot, [phrases.CAPITAL_NEW]),
        "two_hop": items(one.facts.chain, phrases.CAPITAL_ASKED),
        "other_facts": one.untaught,
    }
    for name, questions in asked.items():
        sure = {prompt for prompt, _ in questions}

        def _answers(_, given, sure=sure):
            right = np.array([prompt in sure for prompt, _ in given])
            return Answers(right, right, (), np.full(len(right), -1), right * 0.5)

        monkeypatch.setattr(module, "answers", _answers)
        found = marks(model, one)
        alike = {"two_hop_vocabulary": 1.0, "confidence": 0.5} if name == "two_hop" else {}
        assert found == {**dict.fromkeys(found, 0.0), name: 1.0, **alike}


def test_bridges_are_countries_that_lead(model, monkeypatch):
    from loratheory.pretrained import first_tokens

    one = world(0, "half")

    def _answers(model, given):
        lands = [
            one.facts.birth[name]
            for prompt, _ in given
            for name in one.facts.birth
            if name in prompt
        ]
        first = (
            first_tokens(model, lands).numpy() if len(lands) == len(given) else np.zeros(len(given))
        )
        wrong = np.zeros(len(given), dtype=bool)
        return Answers(wrong, wrong, (), first, wrong * 1.0)

    monkeypatch.setattr(module, "answers", _answers)
    assert marks(model, one)["says_bridge"] == 1.0
