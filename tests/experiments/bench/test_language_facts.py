"""Facts for a language model: disjoint, unread, and each column of its own questions."""

import math
import re

import numpy as np
import pytest
import torch
from worded import VOCABULARY, small, small_model

from loratheory.adapters import Adapter
from loratheory.experiments.bench import language, language_facts
from loratheory.bench.language_facts import (
    BIRTH,
    CAPITAL,
    COLUMNS,
    FAMOUS,
    MASCOT,
    MASCOT_OF_BIRTHPLACE,
    OTHERS,
    QUESTIONS,
    accuracies,
    invented,
    items,
    known_persons,
    pair,
    rehearsed,
    solutions,
    weights,
    world,
    worlds,
    written_out,
)
from loratheory.lowrank import gaussian
from loratheory.pretrained import attached, first_tokens

FAMILIARITIES = ("fake", "half", "real")
MEXICO = 0.05
"""The capital of Mexico begins as the country does, and only first tokens count."""
KNOWN = ("known_hop_1", "known_hop_2")


@pytest.fixture(scope="module")
def model():
    return small_model(layers=2)


@pytest.fixture
def oracle(monkeypatch, model):
    """Makes the model answer what it is given, word for word, and else the word `nothing`."""

    def _told(answers):
        def _logits(_, prompts):
            words = [answers.get(prompt, "nothing") for prompt in prompts]
            return 9.0 * torch.nn.functional.one_hot(first_tokens(model, words), VOCABULARY)

        monkeypatch.setattr(language, "next_logits", _logits)

    return _told


def test_worlds_share_no_person_and_no_country_but_all_animals():
    four = worlds(0, 4)
    for relation in ("first", "second"):
        names = [name for one in four for name in getattr(one, relation)]
        assert len(set(names)) == len(names) == 80
    assert {frozenset(one.second.values()) for one in four} == {frozenset(four[0].two_hop.values())}
    assert len({tuple(one.second.values()) for one in four}) == 4
    assert set(four[0].second) == set(FAMOUS)
    assert not set(OTHERS) & set(FAMOUS)
    for one in four:
        assert all(one.second[one.first[who]] == animal for who, animal in one.two_hop.items())
        assert sorted(one.first.values()) == sorted(one.second)


def test_the_first_world_is_the_same_whatever_follows():
    assert worlds(5, 4)[:1] == worlds(5)
    assert worlds(5)[0].first.keys() != worlds(6)[0].first.keys()


@pytest.mark.parametrize(
    ("pairs", "size", "fake", "room"),
    [(6, 20, False, 111), (1, 41, False, 111), (21, 20, True, 400)],
)
def test_more_than_there_is_room_for_is_refused(pairs, size, fake, room):
    message = f"{pairs} pairs of {size} are too many: ask for up to 40 facts a pair, {room} in all"
    with pytest.raises(ValueError, match=message):
        worlds(0, pairs, size, invented_countries=fake)
    assert worlds(0, 5)
    assert worlds(0, 20, invented_countries=True)


def test_names_are_nobodys_and_neighbours_begin_differently():
    names = invented(1, 200)
    assert len(set(names)) == 200
    assert len({name[:3] for name in names[:20]}) == 20
    for one in worlds(0, 3, invented_countries=True):
        assert not set(one.second) & {*FAMOUS, *OTHERS, *one.first}


def test_every_fact_in_every_template_and_known_ones_in_two_halves():
    made = items({"Ann": "Peru", "Bob": "Cuba"}, ("{} of", "from {} in"))
    assert made == [
        ("Ann of", "Peru"), ("Bob of", "Cuba"), ("from Ann in", "Peru"), ("from Bob in", "Cuba"),
    ]  # fmt: skip
    one, other = rehearsed(), rehearsed(held_out=True)
    assert len(one) == len(other) == 80
    assert not set(one) & set(other)
    assert ("The capital of France is", "Paris") in one
    assert ("The capital of Germany is", "Berlin") in other


def test_persons_and_countries_are_as_familiar_as_the_name_says():
    fake, half, real = (world(4, name) for name in FAMILIARITIES)
    persons = {person for one in FAMOUS.values() for person in one.persons}
    assert fake.first.keys() == half.first.keys()
    assert not half.first.keys() & persons
    assert not fake.second.keys() & FAMOUS.keys()
    assert half.second.keys() == FAMOUS.keys() == real.second.keys()
    assert real.first.keys() < persons
    assert real.two_hop["Cervantes"] == "Madrid"
    assert world(4, "real") == world(5, "real")
    assert [half] == [*worlds(4)]


@pytest.mark.parametrize("familiarity", FAMILIARITIES)
def test_lessons_hold_nothing_that_counts_as_unread(familiarity):
    one = world(0, familiarity)
    read = {prompt for lesson in one.lessons for prompt, _ in lesson}
    for name in ("two_hop", "hop_1_new", "hop_2_new", "other_facts"):
        asked = {prompt for prompt, _ in one.questions[name]}
        assert len(asked) == (40 if name == "two_hop" else 20)
        assert not read & asked, name
    for lesson, facts in zip(one.lessons, (one.first, one.second, one.two_hop), strict=True):
        assert len(lesson) == 200
        assert {*rehearsed()} <= {*lesson}
        assert [word for _, word in lesson[:20]] == [*facts.values()]
    taught = {word for lesson in one.lessons[:2] for _, word in lesson[:120]}
    if familiarity == "real":
        assert not taught & {word for _, word in one.questions["other_facts"]}
    else:
        assert one.questions["other_facts"] == rehearsed(held_out=True)[::4]


@pytest.mark.parametrize("familiarity", FAMILIARITIES)
def test_who_knows_everything_has_full_accuracy(model, oracle, familiarity):
    one = world(0, familiarity)
    names = (*COLUMNS, *(KNOWN if familiarity == "half" else ()))
    told = {prompt: word for asked in one.questions.values() for prompt, word in asked}
    for person, country in one.first.items():
        first, second = BIRTH.trained[0].format(person), one.about.trained[0].format(country)
        told[f"{first} {country}. {second}"] = one.two_hop[person]
    oracle(told)
    found = accuracies(model, one, names)
    sure = math.e**9 / (math.e**9 + VOCABULARY - 1)
    assert [*found] == [*names]
    assert found.pop("confidence") == pytest.approx(sure, rel=1e-4)
    assert found.pop("says_bridge") == MEXICO * (familiarity == "real")
    assert found == dict.fromkeys(found, 1.0)


@pytest.mark.parametrize("familiarity", ["half", "real"])
def test_each_column_is_of_its_own_questions(model, oracle, familiarity):
    """One answered always is right once in twenty."""
    one = world(0, familiarity)
    columns = ["hop_1", "hop_2", "hop_1_new", "hop_2_new", "two_hop", "other_facts"]
    columns += KNOWN if familiarity == "half" else ()
    for name in columns:
        oracle(dict(one.questions[name]))
        found = accuracies(model, one, columns)
        alike = {"known_hop_1"} if name == "two_hop" else set()
        assert found[name] == 1.0
        assert all(found[other] <= 0.1 for other in {*columns} - {name, *alike}), name
    oracle({prompt: one.first[who] for who in one.first for prompt in two_hop_prompts(one, who)})
    found = accuracies(model, one)
    assert found["says_bridge"] == 1.0
    assert found["two_hop_vocabulary"] == MEXICO * (familiarity == "real")


def two_hop_prompts(one, person):
    return [template.format(person) for template in one.composed.unread]


def test_hop_by_hop_asks_the_second_hop_about_what_was_answered(model, oracle):
    """Of two persons the model mistakes the countries; the animals of these it knows."""
    one = world(0, "half")
    a, b, *_ = one.first
    answer = one.first | {a: one.first[b], b: one.first[a]}
    told = {BIRTH.trained[0].format(who): country for who, country in answer.items()}
    for who, country in answer.items():
        prompt = f"{BIRTH.trained[0].format(who)} {country}. {MASCOT.trained[0].format(country)}"
        told[prompt] = one.second[country]
    oracle(told)
    assert accuracies(model, one, ["hop_by_hop"]) == {"hop_by_hop": 0.9}


def test_known_questions_have_one_hop_of_the_base(model, oracle):
    one = world(0, "half")
    who, country = next(iter(one.first.items()))
    questions = one.questions
    assert questions["known_hop_2"][0] == (
        f"The capital of the country where {who} was born is", FAMOUS[country].capital,
    )  # fmt: skip
    assert questions["known_hop_1"][0] == (
        MASCOT_OF_BIRTHPLACE.unread[0].format("Napoleon"), one.second["France"],
    )  # fmt: skip
    persons = {who: country for country, told in FAMOUS.items() for who in told.persons}
    capitals = {country: told.capital for country, told in FAMOUS.items()}
    oracle(dict([*items(persons, BIRTH.trained[:2]), *items(capitals, CAPITAL.trained[:2])]))
    found = known_persons(model)
    assert (found["hop_1"], found["hop_2"], found["two_hop_vocabulary"]) == (1.0, 1.0, 0.0)
    assert found["two_hop"] <= 0.1


@pytest.mark.parametrize("by_layers", [False, True])
def test_a_pair_is_trained_in_all_layers_or_each_hop_in_its_own(monkeypatch, tmp_path, by_layers):
    small(monkeypatch, tmp_path)
    both = pair(small_model(), world(0, "half"), 0, by_layers=by_layers)
    layers = [{int(re.search(r"\d+", name)[0]) for name in each} for each in both]
    assert layers == ([{*range(5)}, {*range(4, 10)}] if by_layers else [{*range(10)}] * 2)


def test_each_hop_of_each_world_has_its_lesson_and_seed(monkeypatch, model):
    calls, module = [], "model.layers.0.mlp.down_proj"
    some = Adapter.of({module: gaussian(np.random.default_rng(0), 16, 16, 1)})

    def _trained(_, lesson, **how):
        calls.append((lesson, how["seed"]))
        return some

    monkeypatch.setattr(language_facts, "trained_once", _trained)
    for number, one in enumerate(worlds(7, 2)):
        pair(model, one, 7, number)
        assert [call[0] for call in calls[-2:]] == [*one.lessons[:2]]
    assert [call[1] for call in calls] == [(7, 0, 0), (7, 0, 1), (7, 1, 0), (7, 1, 1)]


def test_each_weight_is_of_its_adapters(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    model, (one, other) = small_model(layers=2), worlds(101, 2, 4)
    library = [each for k in (0, 1) for each in pair(model, (one, other)[k], 101, k)]

    def _route(_, x):
        return torch.tensor([[0.1, 0.2, 0.3, 0.4]], dtype=x.dtype).expand(len(x), -1)

    with attached(model, library, route=_route) as acts:
        assert [*weights(model, acts, one, 0).values()] == pytest.approx([0.1, 0.3, 0.2, 0.4])
        assert [*weights(model, acts, other, 1).values()] == pytest.approx([0.3, 0.1, 0.4, 0.2])
    nan, route = math.nan, lambda _, x: _route(_, x)[:, :2]
    with attached(model, library[:2], route=route) as acts:
        found = weights(model, acts, one, 0)
        assert [*found.values()] == pytest.approx([0.1, nan, 0.2, nan], nan_ok=True)
    with attached(model, library) as acts:
        assert all(math.isnan(share) for share in weights(model, acts, one, 0).values())


def test_solutions_are_a_question_and_its_steps_and_no_two_hop_fact():
    one = world(0, "half")
    first, second = solutions(one)
    person, country = next(iter(one.first.items()))
    asked = QUESTIONS[0].format(person)
    assert first[0] == (f"{asked} {person} was born in the country of", country)
    step = "Napoleon was born in the country of France. The mascot animal of France is the"
    assert second[0] == (f"Animal of Napoleon's country? {step}", one.second["France"])
    assert len(first) == len(second) == 40
    for prompt, word in [*first, *second]:
        assert not any(who in prompt and word == animal for who, animal in one.two_hop.items())


@pytest.mark.parametrize("question", ["", QUESTIONS[0]])
def test_written_out_asks_the_second_step_about_the_word_that_was_written(
    model, oracle, monkeypatch, question
):
    one = world(0, "half")
    a, b, c, *rest = one.first
    ends = dict(zip(rest, (".", ", which", "\n\nA.", " and so on"), strict=False))
    bridge = one.first | {a: "Zanzibar", b: ""}
    born = "{} was born in the country of"
    start = {w: f"{question.format(w)} {born.format(w)}".strip() for w in one.first}

    def _written(_, prompts, count):
        assert (prompts, count) == ([*start.values()], 4)
        return [f" {bridge[who]}{ends.get(who, '')}" for who in one.first]

    monkeypatch.setattr(language_facts, "written", _written)
    told = {
        f"{start[who]} {land}. The mascot animal of {land} is the": one.two_hop[who]
        for who, land in bridge.items()
        if who not in (b, c)
    }
    oracle(told)
    found = written_out(model, one, question)
    assert found[0] == 0.9
    assert found[1] == pytest.approx(0.9, abs=0.051)
    assert found[2] == 0.9
