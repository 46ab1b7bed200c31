"""data: what is written, what is proved of it, and the command that makes it again."""

import json
from pathlib import Path

import pytest
from sums import read

KINDS = {"word-problems": ("--n", 40), "two-hop": ("--n", 20)}


@pytest.fixture
def made(run):
    """A function that writes data of a kind into a folder."""
    return lambda kind, folder, *words: run("data", kind, *KINDS[kind], *words, "-o", folder)


def rows(folder, name):
    text = (Path(folder) / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_problems_are_written_split_and_right(made):
    assert made("word-problems", "out", "--split", "template")[0] == 0
    train, test = rows("out", "train"), rows("out", "test")
    assert (len(train), len(test)) == (32, 8)
    assert not {row["template"] for row in train} & {row["template"] for row in test}
    for row in train + test:
        assert str(read(row["problem"])) == row["answer"]
    assert {row["steps"] for row in train + test} == {1, 2, 3}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("word-problems", "--split pair --pair percent,multiply --skills multiply,percent,add"),
        ("two-hop", "--split 0.5"),
    ],
)
def test_the_card_holds_the_command_that_makes_the_same_bytes(run, made, kind, words):
    assert made(kind, "out", *words.split(), "--seed", 3)[0] == 0
    card = Path("out/README.md").read_text(encoding="utf-8")
    command = card.split("`loratheory data ")[1].split("`")[0]
    assert run("data", *command.split(), "-o", "same")[0] == 0
    for file in Path("out").iterdir():
        assert file.read_bytes() == (Path("same") / file.name).read_bytes()
    assert made(kind, "other", *words.split(), "--seed", 4)[0] == 0
    assert rows("other", "train") != rows("out", "train")
    if kind == "word-problems":
        assert "the pairs of skills held out: multiply+percent" in card
        for row in rows("out", "test"):
            assert {"multiply", "percent"} <= {*row["template"].split(", ")}


def test_data_are_overwritten_only_when_told(made):
    assert made("word-problems", "out")[0] == 0
    before = Path("out/train.jsonl").read_bytes()
    code, out, err = made("word-problems", "out", "--seed", 1)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert Path("out/train.jsonl").read_bytes() == before
    assert made("word-problems", "out", "--seed", 1, "--force")[0] == 0
    assert Path("out/train.jsonl").read_bytes() != before
