"""data: what is written, what is proved of it, and the command that makes it again."""

import json
from pathlib import Path

import pytest
from sums import read
from sums import run as computed

KINDS = {"word-problems": ("--n", 40, "--steps", 2), "two-hop": ("--n", 20)}


@pytest.fixture
def made(run):
    """A function that writes data of a kind into a folder."""
    return lambda kind, folder, *words: run("data", kind, *KINDS[kind], *words, "-o", folder)


def rows(folder, name):
    text = (Path(folder) / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_problems_are_written_split_and_right(made):
    code, out, _ = made("word-problems", "out", "--split", "template", "--distractors", 1)
    assert code == 0
    assert "training and testing share no problems, templates" in " ".join(out.split())
    train, test = rows("out", "train"), rows("out", "test")
    assert (len(train), len(test)) == (32, 8)
    assert not {row["template"] for row in train} & {row["template"] for row in test}
    for row in train + test:
        assert str(read(row["problem"])) == str(computed(row["program"])) == row["answer"]
        assert row["distractors"] == 1
        assert row["steps"] in (1, 2)
    assert {row["steps"] for row in train + test} == {1, 2}


def test_the_card_holds_the_command_that_makes_the_same_bytes(run, made):
    words = ["--split", "pair", "--pair", "percent,rate", "--skills", "rate, percent,add"]
    code, out, _ = made("word-problems", "out", *words, "--seed", 3)
    assert code == 0
    lost = [line.split()[-1] for line in out.splitlines() if line.split()[:1] == ["train"]]
    card = Path("out/README.md").read_text(encoding="utf-8")
    assert "the pairs of skills held out: rate+percent" in card
    assert all(
        "rate" in row["skills"] and "percent" in row["skills"] for row in rows("out", "test")
    )
    command = card.split("`loratheory data ")[1].split("`")[0].replace("rate, ", "rate,")
    assert run("data", *command.split(), "-o", "same")[0] == 0
    for file in Path("out").iterdir():
        assert file.read_bytes() == (Path("same") / file.name).read_bytes()
    assert int(lost[0]) > 0
    assert made("word-problems", "other", *words, "--seed", 4)[0] == 0
    assert rows("other", "train") != rows("out", "train")


def test_tokens_for_small_models(made):
    assert made("word-problems", "out", "--prime", 5, "--split", "wording")[0] == 0
    train = rows("out", "train")
    assert all("percent" not in row["skills"] for row in train)
    assert all(len(row["tokens"]) == len(row["targets"]) for row in train)


def test_data_are_overwritten_only_when_told(made):
    assert made("word-problems", "out")[0] == 0
    before = Path("out/train.jsonl").read_bytes()
    code, out, err = made("word-problems", "out", "--seed", 1)
    assert (code, out) == (2, "")
    assert "out exists already; name a new folder, or overwrite this one" in err
    assert Path("out/train.jsonl").read_bytes() == before
    assert made("word-problems", "out", "--seed", 1, "--overwrite")[0] == 0
    assert Path("out/train.jsonl").read_bytes() != before


def test_single_facts_and_some_questions_train_the_others_test(made):
    code, out, _ = made("two-hop", "out", "--split", 0.25)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert [line for line in lines if line[:1] in (["train"], ["test"])] == [
        ["train", "45"],
        ["test", "15"],
    ]
    *train, mark = rows("out", "train")
    *test, other = rows("out", "test")
    assert (len(train), len(test)) == (5 + 2 * 20, 15)
    assert mark["prompt"] != other["prompt"]
    assert mark["answer"] == other["answer"] == ""
    assert all(row["prompt"].endswith("?") for row in train + test)
    questions = [row for row in train if len(row["tokens"]) == 3]
    assert len(questions) == 5
    assert not {row["prompt"] for row in questions} & {row["prompt"] for row in test}
    facts = {tuple(row["tokens"]): row["targets"][-1] for row in train if len(row["tokens"]) == 2}
    for row in questions + test:
        subject, one, two = row["tokens"]
        assert facts[facts[subject, one], two] == row["targets"][-1]
        assert row["targets"][:-1] == [-1, -1]
    bridges = [
        {facts[row["tokens"][0], row["tokens"][1]] for row in part} for part in (questions, test)
    ]
    assert not bridges[0] & bridges[1]


def test_the_card_of_a_world_holds_its_command(made):
    words = ["--split", 0.5, "--hops", 3, "--style", "cloze", "--seed", 5]
    assert made("two-hop", "out", *words)[0] == 0
    card = Path("out/README.md").read_text(encoding="utf-8")
    assert "  - split: test\n    path: test.jsonl\n" in card
    command = card.split("`loratheory data two-hop --n 20 ")[1].split("`")[0]
    assert made("two-hop", "same", *command.split())[0] == 0
    for file in Path("out").iterdir():
        assert file.read_bytes() == (Path("same") / file.name).read_bytes()
    assert max(len(row["tokens"]) for row in rows("out", "test")) == 4
    assert rows("out", "test")[0]["prompt"].endswith(" is")
    made("two-hop", "other", "--split", 0.5, "--hops", 3, "--style", "cloze", "--seed", 6)
    facts, others = (
        [(row["tokens"], row["targets"]) for row in rows(name, "train") if len(row["tokens"]) == 2]
        for name in ("out", "other")
    )
    assert facts != others
