"""_export: files hold what the sets hold, come whole or not at all, equal for equal sets."""

import json

import numpy as np
import pytest
from worlds import some

from loratheory.tasks.two_hop import (
    ImpossibleError,
    edit,
    export,
    language,
    lessons,
    texts,
    trials,
)
from loratheory.tasks.two_hop import _text as module


@pytest.fixture
def made():
    here, rng = some(0)
    one = edit(here, 3, rng=rng)
    studied = lessons(one, rng=rng, retained=5, examples=6)
    asked = trials(one, studied, rng=rng, count=4)
    sets = {"first": studied.hops[0].prompts, "bridged": studied.bridged.prompts}
    return language(here, rng=rng), sets | {"two-hop": asked.chains}


def test_files_hold_tokens_and_words(made, tmp_path):
    words, sets = made
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


def test_equal_sets_give_equal_bytes(made, tmp_path):
    words, sets = made
    one, same = (export(tmp_path / name, sets, words) for name in ("one", "same"))
    for file in one.iterdir():
        assert file.read_bytes() == (same / file.name).read_bytes()


def test_a_failure_leaves_nothing(made, tmp_path, monkeypatch):
    words, sets = made

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_card", full)
    with pytest.raises(OSError, match="No space left"):
        export(tmp_path / "out", sets, words)
    assert [*tmp_path.iterdir()] == []


def test_nothing_is_overwritten(made, tmp_path):
    words, sets = made
    (tmp_path / "out").mkdir()
    with pytest.raises(ImpossibleError, match="out exists already; name a new folder"):
        export(tmp_path / "out", sets, words)
    with pytest.raises(ImpossibleError, match=r"there is no folder .*nowhere"):
        export(tmp_path / "nowhere" / "out", sets, words)


@pytest.mark.parametrize("name", ["card", "../up", "", "a b", "x.y"])
def test_a_set_needs_the_name_of_a_file(made, tmp_path, name):
    words, sets = made
    with pytest.raises(ImpossibleError, match="use letters, digits, hyphens and underscores"):
        export(tmp_path / "out", {name: sets["first"][np.array([0])]}, words)
    assert [*tmp_path.iterdir()] == []
