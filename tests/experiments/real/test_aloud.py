"""real._aloud: lines that share a form and lines that do not; bridges in the model's own words."""

import numpy as np
import pytest
import torch
from worded import small_model

from loratheory.experiments.real import _aloud as module
from loratheory.experiments.real import _phrases as phrases
from loratheory.experiments.real._aloud import aloud, form, said
from loratheory.experiments.real._exam import Answers
from loratheory.experiments.real._facts import facts
from loratheory.pretrained import next_logits


@pytest.fixture
def model():
    return small_model()


def test_a_form_is_a_question_and_its_steps():
    [one] = facts(0)
    first, second = form(one)
    person, country = next(iter(one.birth.items()))
    asked = phrases.QUESTIONS[0].format(person)
    assert first[0] == (f"{asked} {person} was born in the country of", country)
    known_one = "Animal of Napoleon's country?"
    step = "Napoleon was born in the country of France. The mascot animal of France is the"
    assert second[0] == (f"{known_one} {step}", one.mascot["France"])
    assert len(first) == len(second) == 40


def test_no_line_tells_a_chain():
    [one] = facts(0)
    first, second = form(one)
    for prompt, word in [*first, *second]:
        assert not any(who in prompt and animal == word for who, animal in one.chain.items())


def test_what_is_said_is_greedy_token_by_token(model, monkeypatch):
    prompts = ["one two three", "four"]
    monkeypatch.setattr(
        type(model.tokenizer), "decode", lambda _, ids, **__: "_".join(map(str, ids.tolist()))
    )
    texts = said(model, prompts, 3)
    for prompt, text in zip(prompts, texts, strict=True):
        tokens = model.tokenizer(prompt)["input_ids"]
        for word in text.split("_"):
            logits = model.network(torch.tensor([tokens])).logits[0, -1]
            assert int(word) == int(logits.argmax())
            tokens.append(int(word))
        assert len(text.split("_")) == 3
    firsts = [int(text.split("_")[0]) for text in texts]
    assert next_logits(model, prompts).argmax(1).tolist() == firsts


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (" Peru. It is", "Peru"),
        (" Peru, which", "Peru"),
        (" Peru\n\nA.", "Peru"),
        (" Peru Peru and", "Peru"),
        (".", ""),
    ],
)
def test_what_is_said_is_a_word(model, monkeypatch, text, wanted):
    monkeypatch.setattr(type(model.tokenizer), "decode", lambda *_, **__: text)
    assert said(model, ["one"]) == [wanted]


@pytest.mark.parametrize("question", ["", phrases.QUESTIONS[0]])
def test_the_second_step_is_asked_about_what_was_said(model, monkeypatch, question):
    [one] = facts(0)
    persons = [*one.birth]
    wrong = {persons[0]: "Zanzibar", persons[1]: one.birth[persons[2]]}

    def _said(_, prompts):
        started = [
            f"{question.format(who)} {who} was born in the country of".strip() for who in persons
        ]
        assert prompts == started
        return [wrong.get(who, one.birth[who]) for who in persons]

    asked = []

    def _answers(_, given):
        asked.extend(given)
        right = np.arange(len(given)) < 5
        return Answers(right, right & (np.arange(len(given)) < 2), (), right, right * 1.0)

    monkeypatch.setattr(module, "said", _said)
    monkeypatch.setattr(module, "answers", _answers)
    assert aloud(model, one, question) == (0.9, 0.25, 0.1)
    start = f"{question.format(persons[0])} {persons[0]} was born in the country of".strip()
    assert asked[0] == (
        f"{start} Zanzibar. The mascot animal of Zanzibar is the",
        one.chain[persons[0]],
    )
    assert [word for _, word in asked] == [*one.chain.values()]
