"""real._solved: what is written token by token, and marks of solvers whose errors are known."""

import pytest
import torch
from worded import small_model

from loratheory.experiments.real import _solved as module
from loratheory.experiments.real._solved import (
    copied,
    expression,
    number,
    result,
    sentence,
    solved,
    value,
    written,
)
from loratheory.experiments.real._stepwise import Step, Stepwise, drawn, worked

CHAIN = ("add", "subtract")


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def problems():
    return drawn(CHAIN, 12, 0, lesson=False, size="to 20")


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"repetition_penalty": 9.0},
        {"num_beams": 3},
        {"no_repeat_ngram_size": 1},
        {"do_sample": True, "temperature": 9.0},
    ],
)
@pytest.mark.parametrize("parrot", [False, True])
def test_what_is_written_are_the_likeliest_tokens_whatever_batch_and_settings(own, parrot):
    model = small_model()
    for name, told in own.items():
        setattr(model.network.generation_config, name, told)
    if parrot:  # what was read last is likely again
        model.network.lm_head.weight = model.network.model.embed_tokens.weight
    prompts = ["one two three", "four", "five six seven eight nine"]
    for prompt, words in zip(prompts, written(model, prompts, 4, size=2), strict=True):
        ids, said = model.tokenizer(prompt)["input_ids"], []
        for _ in range(4):
            logits = model.network(input_ids=torch.tensor([[*ids, *said]])).logits[0, -1]
            said.append(int(logits.argmax()))
        assert words == model.tokenizer.decode(said)


def oracle(monkeypatch, says):
    """Solutions are written by a function of the prompt, and something more."""

    def _written(_, prompts, count=module.LENGTH):
        return [f"{says(p)}{' hens' if count > 3 else ' h'}" for p in prompts]

    monkeypatch.setattr(module, "written", _written)


def by_heart(problems, before=""):
    """What to say to every prompt that solves the problems."""
    told = {before + one.at_once: one.answer for one in problems}
    for one in problems:
        told |= {before + one.until(k, one.said): said for k, said in enumerate(one.said)}
    return told


def test_who_knows_the_solutions_has_full_marks(model, problems, monkeypatch):
    told = by_heart(problems)
    oracle(monkeypatch, told.__getitem__)
    assert solved(model, problems) == dict.fromkeys(solved(model, problems), 1.0)


def test_shown_problems_precede_each_with_steps_or_at_once(model, problems, monkeypatch):
    shown = drawn(CHAIN, 2, 0, lesson=True)
    told = by_heart(problems, worked(shown))
    told |= {worked(shown, at_once=True) + one.at_once: one.answer for one in problems}
    for one in problems:
        del told[worked(shown) + one.at_once]
    oracle(monkeypatch, told.__getitem__)
    assert set(solved(model, problems, shown).values()) == {1.0}


def test_a_wrong_first_step_is_taken_on_and_is_not_what_given_means(model, problems, monkeypatch):
    told = by_heart(problems)
    firsts = {one.until(0, []) for one in problems}

    def _says(prompt):
        if prompt in firsts:
            return "1 + 1 = 0"
        return told.get(prompt, "0 + 1 = 1")

    oracle(monkeypatch, _says)
    marks = solved(model, problems)
    lucky = sum(one.answer == "1" for one in problems) / len(problems)
    assert marks == {
        "steps": lucky,
        "expression": 0.0,
        "sum": 1.0,
        "step 1": 0.0,
        "given": 1.0,
        "at once": 1.0,
    }


def test_reading_and_computing_are_told_apart(model, monkeypatch):
    single = drawn(("subtract",), 8, 0, lesson=False)
    told = by_heart(single)

    def _off_by_one(prompt):
        *start, last = told[prompt].split()
        return " ".join([*start, str(int(last) + 1)])

    oracle(monkeypatch, _off_by_one)
    marks = solved(model, single)
    assert (marks["expression"], marks["steps"], marks["sum"]) == (1.0, 0.0, 0.0)
    assert marks["given"] == marks["steps"] == marks["step 1"] == marks["at once"] == 0.0


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("3 + 4 = 1", "7"),
        ("7 - 2 = 1", "5"),
        ("2 - 17 = 1", "-15"),
        ("4 * 5 = 1", "20"),
        ("some + 4 = 1", "nothing"),
        ("3 = 4 = 1", "nothing"),
        ("", "nothing"),
    ],
)
def test_what_a_sum_should_be(said, wanted):
    assert value(said) == wanted


def test_order_matters_for_differences_alone():
    assert expression("3 + 4 = 1") == expression("4 + 3 = 2")
    assert expression("3 * 4 = 1") == expression("4 * 3 = 2")
    assert expression("3 - 4 = 1") != expression("4 - 3 = 1")
    assert expression("3 + 4 = 1") != expression("3 * 4 = 1")
    assert expression("three hens") == ()


def test_a_sentence_ends_with_its_result():
    assert sentence("12 + 3 = 15 hens.\nThe") == "12 + 3 = 15"
    assert sentence("12 more hens.\nThe") == "12 more hens. The"
    assert [number(words) for words in ("12 hens", "1", "hens 12", "")] == ["12", "1", "", ""]
    assert [result(said) for said in ("3 + 4 = 7", "")] == ["7", ""]


def test_copying_takes_the_best_place():
    def _one(answer, *told):
        story = f"A has {told[0]} keys. B has {told[1]} more, and {told[2]} someone."
        return Stepwise(story, (Step("B has", f"1 + 1 = {answer}", "keys."),))

    told = [_one("3", "1", "3", "2"), _one("3", "3", "3", "2"), _one("15", "1", "2", "15")]
    assert copied(told) == pytest.approx(2 / 3)
