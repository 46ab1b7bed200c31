"""Names, phrases and sentences by hand; rows are read back; files hold what the sets hold."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import seeds
from worlds import some, three

from loratheory.tasks.two_hop import (
    ImpossibleError,
    Language,
    Prompts,
    along,
    distracted,
    edit,
    every,
    export,
    identities,
    inverted,
    language,
    lessons,
    marked,
    plain,
    relations_first,
    texts,
    thought,
    trials,
    world,
)
from loratheory.tasks.two_hop._text import (
    ENDINGS,
    KINDS,
    MOST_NAMES,
    RELATIONS,
    Clause,
    nested,
    readings,
    sentence,
)
from loratheory.tasks.two_hop._world import MOST_HOPS, MOST_RELATIONS


@settings(max_examples=5)
@given(seeds)
def test_no_name_stands_inside_another(seed):
    here, rng = some(seed, hops=4)
    names = language(here, rng=rng).names
    assert sorted(names) == [
        *map(here.canary, range(here.canaries)),
        *range(here.level(0).start, here.level(4).stop),
    ]
    said = [*names.values()]
    assert len(set(said)) == len(said)
    assert not [(a, b) for a in said for b in said if a != b and a in b]


def test_names_tell_the_level():
    here, rng = some(0, hops=4)
    names = language(here, rng=rng).names
    for level, ending in enumerate(("", "ria", "x", "nd", "sk")):
        for token in here.level(level):
            words = names[token].split()
            assert len(words) == (2 if level == 0 else 1)
            assert all(word == word.capitalize() for word in words)
            assert names[token].endswith(ending)
            assert len(words[-1]) == 6 + len(ending)


def test_a_seed_determines_the_names():
    here, _ = some(0)
    one, same, other = (language(here, rng=np.random.default_rng(seed)).names for seed in (1, 1, 2))
    assert one == same != other
    assert not set(one.values()) & {name for name in other.values() if "canary" in name}


def test_more_entities_than_names_are_refused():
    here = world(0, hops=1, entities=MOST_NAMES + 1)
    with pytest.raises(ImpossibleError, match=f"there are {MOST_NAMES} names"):
        language(here, rng=np.random.default_rng(0))


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


def test_a_sentence_starts_large_and_changes_nothing_else():
    assert sentence("the Home of x") == "The Home of x"
    assert sentence("") == ""


@settings(max_examples=15)
@given(seeds)
def test_every_form_is_read_as_its_question(seed):
    here, rng = some(seed, hops=3, relations=3, entities=9)
    questions = every(here, start=1)[rng.integers(81, size=5)]
    ways = along(here, questions)
    x, y, z = (here.entity(level + 1, ways[:, level]).tolist() for level in range(3))
    paths = [((1, r), (2, s)) for r, s in questions.relations.tolist()]
    asked = [Clause(e, path) for e, path in zip(x, paths, strict=True)]
    for form in (plain, relations_first):
        found = readings(here, form(here, questions))
        assert [one.question for one in found] == asked
        assert [one.answer for one in found] == z
        assert all(one.bridges == () == one.aside for one in found)
    for mark in (False, True):
        found = readings(here, thought(here, questions, marked=mark))
        assert [one.question for one in found] == asked
        assert [one.bridges for one in found] == [(bridge,) for bridge in y]
        assert [one.answer for one in found] == z
    back = readings(here, inverted(here, questions))
    backwards = [Clause(e, path[::-1], backwards=True) for e, path in zip(z, paths, strict=True)]
    assert [one.question for one in back] == backwards
    assert [one.answer for one in back] == x


def test_what_stands_aside_is_not_asked():
    here, rng = some(0)
    prompts = distracted(here, plain(here, every(here))[np.arange(4)], rng=rng)
    for row, found in zip(prompts.tokens.tolist(), readings(here, prompts), strict=True):
        assert found.aside == (Clause(row[0], ((0, 0),)),)
        assert found.question == Clause(row[2], ((0, 0), (1, 0)))


def test_entities_alone_and_canaries():
    here = three()
    same = readings(here, identities(here, 1, np.array([2])))[0]
    assert (same.question, same.answer) == (Clause(14, (), identity=True), 14)
    canary = readings(here, marked(here, plain(here, every(here)), 1))[-1]
    assert (canary.question, canary.answer, canary.bridges) == (Clause(4, ()), -1, ())


@pytest.mark.parametrize(
    ("tokens", "message"), [([0, 0], "asks nothing"), ([5, 6], "has no subject")]
)
def test_rows_of_another_make_are_refused(tokens, message):
    row = Prompts(np.array([tokens]), np.array([[-1, -1]]), np.array([1]), "strange")
    with pytest.raises(ImpossibleError, match=message):
        readings(three(), row)


NAMES = ("Ann", "Bob", "Cyd", "Ria", "Sia", "Tia", "Elk", "Fox", "Gnu")


def told():
    """Three entities a level, with names that are easy to check."""
    here = three()
    names = dict(zip(range(9, 18), NAMES, strict=True))
    return Language(here, names | {3: "canary-0", 4: "canary-1"})


def said(prompts, **wanted):
    found = texts(told(), prompts, **wanted)[0]
    return f"{found.prompt} | {found.answer}"


HERE = three()
BOB = every(HERE)[np.array([1])]  # Bob's country is Tia, whose animal is Fox
TIA = every(HERE, start=1)[np.array([2])]


@pytest.mark.parametrize(
    ("style", "wording", "text"),
    [
        ("cloze", 0, "The national animal of the country of birth of Bob is | Fox"),
        ("cloze", 1, "Bob's country of birth's national animal is | Fox"),
        ("cloze", 2, "The state animal of the birth country of Bob is | Fox"),
        ("cloze", 3, "Bob's birth country's state animal is | Fox"),
        ("question", 0, "What is the national animal of the country of birth of Bob? | Fox"),
        ("question", 3, "What is Bob's birth country's state animal? | Fox"),
    ],
)
def test_two_hops_in_all_wordings(style, wording, text):
    assert said(plain(HERE, BOB), style=style, wording=wording) == text
    assert said(relations_first(HERE, BOB), style=style, wording=wording) == text


def test_one_hop():
    assert said(plain(HERE, TIA)) == "The national animal of Tia is | Fox"
    assert said(plain(HERE, TIA), style="question") == "What is the national animal of Tia? | Fox"


def test_step_by_step():
    steps = "The country of birth of Bob is Tia. The national animal of Tia is Fox."
    asked = "he national animal of the country of birth of Bob"
    for mark in (False, True):
        prompts = thought(HERE, BOB, marked=mark)
        assert said(prompts) == f"T{asked}, step by step: | {steps}"
        assert said(prompts, style="question") == f"What is t{asked}? Step by step: | {steps}"


def test_backwards():
    whose = "he person whose birth country is the country whose state animal is Fox"
    assert said(inverted(HERE, BOB), wording=2) == f"T{whose} is | Bob"
    assert said(inverted(HERE, BOB), wording=2, style="question") == f"Who is t{whose}? | Bob"
    country = "What is the country whose national animal is Fox? | Tia"
    assert said(inverted(HERE, TIA), style="question") == country


def test_beside():
    both = plain(HERE, every(HERE))[np.array([1, 2])]
    found = texts(told(), distracted(HERE, both, rng=np.random.default_rng(0)))
    assert found[0].prompt == (
        "Leave the country of birth of Cyd aside. "
        "The national animal of the country of birth of Bob is"
    )
    assert said(identities(HERE, 1, np.array([2]))) == "The name of Tia is | Tia"
    canary = texts(told(), marked(HERE, both, 1))[-1]
    assert canary == ("canary-1", "", ())


def test_candidates_are_the_names_of_the_answers_level():
    assert texts(told(), plain(HERE, BOB))[0].candidates == ("Elk", "Fox", "Gnu")
    assert texts(told(), inverted(HERE, BOB))[0].candidates == ("Ann", "Bob", "Cyd")
    assert texts(told(), thought(HERE, BOB))[0].candidates == ("Elk", "Fox", "Gnu")
    assert texts(told(), plain(HERE, every(HERE, hops=1)))[0].candidates == ("Ria", "Sia", "Tia")


def test_the_longest_chains_of_the_largest_world_have_words():
    here, rng = some(0, hops=4, relations=8, entities=3)
    words = Language(here, {token: f"N{token}" for token in range(here.vocabulary)})
    prompts = plain(here, every(here)[rng.integers(3 * 8**4, size=50)])
    for wording in range(4):
        found = texts(words, prompts, wording=wording)
        assert all(text.answer in text.candidates for text in found)
        assert len({text.prompt for text in found}) == len({*map(tuple, prompts.tokens.tolist())})


@pytest.mark.parametrize(
    ("wanted", "message"),
    [({"style": "verse"}, "style is 'verse'"), ({"wording": 4}, "wording is 4; .* from 0 to 3")],
)
def test_unknown_styles_are_refused(wanted, message):
    with pytest.raises(ImpossibleError, match=message):
        texts(told(), plain(HERE, BOB), **wanted)


@pytest.fixture
def exported():
    here, rng = some(0)
    one = edit(here, 3, rng=rng)
    studied = lessons(one, rng=rng, retained=5, examples=6)
    asked = trials(one, studied, rng=rng, count=4)
    sets = {"first": studied.hops[0].prompts, "bridged": studied.bridged.prompts}
    return language(here, rng=rng), sets | {"two-hop": asked.chains}


def test_files_hold_tokens_and_words(exported, tmp_path):
    words, sets = exported
    folder = export(tmp_path / "out", sets, words, style="question", wording=1, card={"seed": 0})
    assert sorted(p.name for p in folder.iterdir()) == [
        "bridged.jsonl",
        "card.json",
        "first.jsonl",
        "two-hop.jsonl",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    for name, prompts in sets.items():
        lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        said = texts(words, prompts, style="question", wording=1)
        assert len(lines) == len(prompts)
        for number, line in enumerate(lines):
            row = json.loads(line)
            assert [*row] == ["prompt", "answer", "tokens", "targets", "asked"]
            assert (row["prompt"], row["answer"]) == said[number][:2]
            tokens = prompts.tokens[number].tolist()
            assert row["tokens"] == tokens[: len(row["tokens"])]
            assert not any(tokens[len(row["tokens"]) :])
            assert row["tokens"][-1] != 0
            assert row["targets"] == prompts.targets[number].tolist()[: len(row["tokens"])]
            assert row["asked"] == prompts.asked[number]
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert card["seed"] == 0
    assert card["sets"]["bridged"]["rows"] == len(sets["bridged"])
    assert card["sets"]["bridged"]["kind"] == "single+chain+kept"
    assert card["sets"]["two-hop"]["canaries"] == []
    marks = [card["sets"][name]["canaries"] for name in ("first", "bridged")]
    assert marks == [[words.names[words.world.canary(number)]] for number in (0, 4)]
    assert card["candidates"][2] == [*texts(words, sets["two-hop"])[0].candidates]
    assert (card["style"], card["wording"], card["vocabulary"]) == (
        "question",
        1,
        words.world.vocabulary,
    )


def test_equal_sets_give_equal_bytes(exported, tmp_path):
    words, sets = exported
    one, same = (export(tmp_path / name, sets, words) for name in ("one", "same"))
    for file in one.iterdir():
        assert file.read_bytes() == (same / file.name).read_bytes()


def test_nothing_is_overwritten(exported, tmp_path):
    words, sets = exported
    (tmp_path / "out").mkdir()
    with pytest.raises(ImpossibleError, match="out exists already; name a new folder"):
        export(tmp_path / "out", sets, words)
    with pytest.raises(ImpossibleError, match=r"there is no folder .*nowhere"):
        export(tmp_path / "nowhere" / "out", sets, words)


@pytest.mark.parametrize("name", ["card", "../up", "", "a b", "x.y"])
def test_a_set_needs_the_name_of_a_file(exported, tmp_path, name):
    words, sets = exported
    with pytest.raises(ImpossibleError, match="use letters, digits, hyphens and underscores"):
        export(tmp_path / "out", {name: sets["first"][np.array([0])]}, words)
    assert [*tmp_path.iterdir()] == []
