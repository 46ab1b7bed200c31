"""Second hops taught by descriptions: what is read, what is asked, what a cell measures."""

import pytest
import torch

from loratheory.experiments import real_rehearsal
from loratheory.experiments.bench import described, portable
from loratheory.bench.language import answers
from loratheory.bench.sentences import ASKED
from loratheory.pretrained import _rehearse, attached, first_tokens, things_in


@pytest.fixture(autouse=True)
def knows(monkeypatch):
    """A base that resolves every description of a country."""
    country = things_in()["country"]
    told = {text: name for name in country.subjects for _, text in country.descriptions(name)}

    def _says(model, prompts):
        rows = torch.zeros(len(prompts), 4001)
        for row, prompt in zip(rows, prompts, strict=True):
            meant = {name for text, name in told.items() if text[1:] in prompt}
            row[first_tokens(model, sorted(meant)).tolist()] = 9.0
        return rows

    monkeypatch.setattr(_rehearse, "next_logits", _says)


def test_what_is_asked_by_description_is_in_no_lesson_and_no_sentence_that_was_read(both):
    made, asked = described.lessons(both), described.questions(both)
    read = {one.prompt for one in made.lessons} | {prompt for prompt, _ in both.world.lessons[1]}
    assert {one.kind for one in made.lessons} == {"capital", "city"}
    sights = {value for each in things_in()["country"].kinds["sight"].of.values() for value in each}
    for name, questions in asked.items():
        assert len(questions) > 20
        assert len({*questions}) == len(questions)
        assert not {prompt for prompt, _ in questions} & read
        assert all(any(s in prompt for s in sights) == (name == "portability")
                   for prompt, _ in questions)  # fmt: skip
    lower = {text.replace("{}", one.description) for one in made.lessons for text in ASKED["hop_2"]}
    assert {prompt for prompt, _ in asked["portability_read"]} == lower
    animals = {one.description: both.world.second[one.subject] for one in made.lessons}
    for prompt, animal in asked["portability_read"]:
        assert {animals[text] for text in animals if text in prompt} == {animal}


def test_descriptions_are_read_by_the_described_adapter_alone(both, monkeypatch):
    read = set()

    def _seen(factors, prompts, wanted):
        read.update(prompts)
        return step(factors, prompts, wanted)

    from loratheory.pretrained import _train

    step = _train.step
    monkeypatch.setattr(_train, "step", _seen)
    described.adapter(both, "plain, 90 steps")
    assert not any("whose capital" in prompt for prompt in read)
    read.clear()
    monkeypatch.setattr(portable.Recipe, "training", portable.Recipe.training.__class__(
        steps=20, batch=32, enough=0.0))  # fmt: skip
    one = described.adapter(both, "described")
    assert any("the country" in prompt for prompt in read)
    assert not any(person in prompt for person in both.world.first for prompt in read)
    again = described.adapter(both, "described")
    assert all((one[name].up == again[name].up).all() for name in one)
    read.clear()
    described.adapter(both, "described, silent")
    others = {*things_in()["country"].subjects} - {*both.world.second}
    assert any(f" {name} " in f"{prompt} " for prompt in read for name in others)


def test_recipes_change_what_is_read_by_description_as_they_say(both):
    made, animals = described.lessons(both).lessons, both.world.second
    read = {name: dict(items(both)) for name, items in described.RECIPES.items()}
    own = read["described"]
    assert read["one kind"].items() < own.items()
    assert {one.kind for one in made if one.prompt in read["one kind"]} == {"capital"}
    half = {one.subject for one in made if one.prompt in read["half described"]}
    assert half == {*[*animals][::2]}
    assert read["half described"].items() < own.items()
    others = described.questions(both, "half described")
    for name, asked in described.questions(both).items():
        named = {animals[subject] for subject in half}
        assert {*others[name]} == {one for one in asked if one[1] not in named}
    wrong = read["wrong answers"]
    assert wrong.keys() == own.keys()
    assert sorted(wrong.values()) == sorted(own.values())
    assert not wrong.items() & own.items()
    told = {one.description for one in made}
    assert all(sum(text in prompt for text in told) for prompt in read["in prose"])
    assert not read["in prose"].keys() & own.keys()
    assert len(read["in prose"]) <= len(own)


def test_a_cell_has_the_second_alone_and_beside_two_firsts(both, model):
    config = real_rehearsal.Config("described", seed=both.seed)
    rows = real_rehearsal.cell(config)
    firsts = ["none", "plain", "plain, 90 steps", "two stand-ins"]
    assert [(row["first"], row["second"]) for row in rows] == [(f, "described") for f in firsts]
    with attached(model, [described.adapter(both, "described")]):
        for name, asked in described.questions(both).items():
            assert rows[0][name] == answers(model, asked).vocabulary_right.mean()
    assert all(row["portability"] != row["portability"] for row in rows[1:])
    assert rows[0].keys() == rows[1].keys()
