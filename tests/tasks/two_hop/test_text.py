"""Names, phrases and sentences by hand; every form says what its tokens say."""

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
    every,
    export,
    identities,
    language,
    marked,
    plain,
    texts,
    thought,
    world,
)
from loratheory.tasks.two_hop._text import ENDINGS, MOST_NAMES, RELATIONS
from loratheory.tasks.two_hop._world import MOST_HOPS, MOST_RELATIONS


@settings(max_examples=3)
@given(seeds)
def test_names_tell_their_level_and_none_stands_inside_another(seed):
    here, rng = some(seed, hops=4, entities=20, spare=4)
    names = language(here, rng=rng).names
    last = range(here.level(0).start, here.level(4).stop)
    assert sorted(names) == [*map(here.canary, range(here.canaries)), *last]
    every_name = [*names.values()]
    assert not [(a, b) for a in every_name for b in every_name if a != b and a in b]
    assert len({*every_name}) == len(every_name)
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
    assert not {*one.values()} & {name for name in other.values() if "canary" in name}
    with pytest.raises(ImpossibleError, match=f"there are {MOST_NAMES} names"):
        language(world(0, hops=1, entities=MOST_NAMES + 1), rng=np.random.default_rng(0))


def test_there_are_words_for_the_largest_world():
    assert len({*ENDINGS}) == MOST_HOPS + 1
    assert [len(names) for names in RELATIONS] == [MOST_RELATIONS] * MOST_HOPS
    every_name = [name for hop in RELATIONS for names in hop for name in names]
    assert len({*every_name}) == len(every_name) == 2 * MOST_HOPS * MOST_RELATIONS
    for kind, hop in zip(("country", "animal", "plant", "mineral"), RELATIONS, strict=True):
        assert all(kind in name.split() for names in hop for name in names)
    here, rng = some(0, hops=4, relations=8, entities=3)
    words = Language(here, {token: f"N{token}" for token in range(here.vocabulary)})
    prompts = plain(here, every(here)[rng.integers(3 * 8**4, size=50)])
    for wording in range(4):
        said = {text.prompt for text in texts(words, prompts, wording=wording)}
        assert len(said) == len({*map(tuple, prompts.tokens.tolist())})


HERE = three()
NAMES = ("Ann", "Bob", "Cyd", "Ria", "Sia", "Tia", "Elk", "Fox", "Gnu")
WORDS = Language(HERE, dict(zip(range(9, 18), NAMES, strict=True)) | {3: "canary-0", 4: "canary-1"})
BOB = every(HERE)[np.array([1])]  # Bob's country is Tia, whose animal is Fox
TIA = every(HERE, start=1)[np.array([2])]
LONG = "he national animal of the country of birth of Bob"
STEPS = "The country of birth of Bob is Tia. The national animal of Tia is Fox."


@pytest.mark.parametrize(
    ("prompts", "style", "wording", "text"),
    [
        (plain(HERE, BOB), "cloze", 0, f"T{LONG} is | Fox"),
        (plain(HERE, BOB), "cloze", 1, "Bob's country of birth's national animal is | Fox"),
        (
            plain(HERE, BOB).final(),
            "cloze",
            2,
            "The state animal of the birth country of Bob is | Fox",
        ),
        (plain(HERE, BOB), "cloze", 3, "Bob's birth country's state animal is | Fox"),
        (plain(HERE, BOB), "question", 0, f"What is t{LONG}? | Fox"),
        (plain(HERE, BOB), "question", 3, "What is Bob's birth country's state animal? | Fox"),
        (plain(HERE, TIA), "cloze", 0, "The national animal of Tia is | Fox"),
        (plain(HERE, TIA).padded(4), "question", 0, "What is the national animal of Tia? | Fox"),
        (thought(HERE, BOB), "cloze", 0, f"T{LONG}, step by step: | {STEPS}"),
        (thought(HERE, BOB), "question", 0, f"What is t{LONG}? Step by step: | {STEPS}"),
        (identities(HERE, 1, np.array([2])), "cloze", 0, "The name of Tia is | Tia"),
        (marked(plain(HERE, BOB), 4)[np.array([1])], "question", 0, "canary-1 | "),
    ],
)
def test_every_form_in_words(prompts, style, wording, text):
    (found,) = texts(WORDS, prompts, style=style, wording=wording)
    assert " | ".join(found) == text


def row(*tokens):
    asked = np.array([len(tokens) - 1])
    return Prompts(np.array([tokens]), np.full((1, len(tokens)), -1), asked, "strange")


@pytest.mark.parametrize(
    ("prompts", "wanted", "message"),
    [
        (plain(HERE, BOB), {"style": "verse"}, "style is 'verse'; choose one of cloze, question"),
        (plain(HERE, BOB), {"wording": 4}, "wording is 4; .* from 0 to 3"),
        (row(0, 0), {}, r"the row \[0, 0\] asks nothing"),
        (row(5, 6), {}, "asks nothing; give rows that this package made"),
        (row(9, 10), {}, "asks nothing"),
    ],
)
def test_what_has_no_words_is_refused(prompts, wanted, message):
    with pytest.raises(ImpossibleError, match=message):
        texts(WORDS, prompts, **wanted)


def test_files_hold_tokens_and_words(tmp_path):
    sets = {
        "one": marked(thought(HERE, every(HERE)), HERE.canary(1)),
        "two": plain(HERE, TIA).padded(3),
    }
    folder = export(tmp_path / "out", sets, WORDS, style="question", wording=1, about="Made.")
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md", "card.json", "one.jsonl", "two.jsonl",
    ]  # fmt: skip
    for name, prompts in sets.items():
        lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        said = texts(WORDS, prompts, style="question", wording=1)
        for number, row in enumerate(map(json.loads, lines)):
            tokens, targets = prompts.tokens[number].tolist(), prompts.targets[number].tolist()
            length = sum(token != 0 for token in tokens)
            assert row == {
                "prompt": said[number].prompt,
                "answer": said[number].answer,
                "tokens": tokens[:length],
                "targets": targets[:length],
                "asked": prompts.asked[number],
            }
        assert len(lines) == len(prompts)
    assert json.loads((folder / "card.json").read_text(encoding="utf-8")) == {
        "sets": {
            "one": {"kind": "thought", "rows": 4, "canaries": ["canary-1"]},
            "two": {"kind": "single", "rows": 1, "canaries": []},
        },
        "style": "question",
        "wording": 1,
        "vocabulary": 18,
        "candidates": [[*NAMES[:3]], [*NAMES[3:6]], [*NAMES[6:]]],
    }
    assert "# Two-hop questions\n\nMade.\n" in (folder / "README.md").read_text(encoding="utf-8")
