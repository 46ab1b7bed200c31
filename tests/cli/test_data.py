"""``loratheory data word-problems``: what is written, what is proved, what is refused."""

import json
from pathlib import Path

import pytest
from sums import read, run
from typer.testing import CliRunner

from loratheory.cli import app


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def data(*words):
    """Exit code, stdout, stderr."""
    result = CliRunner().invoke(app, ["data", *(str(word) for word in words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def problems(*words):
    return data("word-problems", "--n", 40, "--steps", 2, *words)


def rows(folder, name):
    text = (Path(folder) / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_help_teaches_with_an_example():
    for words in (["--help"], ["word-problems", "--help"], ["two-hop", "--help"]):
        code, out, _ = data(*words)
        assert code == 0
        assert "Example: loratheory data" in out or "word-problems" in out


def test_problems_are_written_split_and_right():
    code, out, _ = problems("--split", "template", "--distractors", 1, "-o", "out")
    assert code == 0
    assert "nothing in common of problems, templates" in out
    train, test = rows("out", "train"), rows("out", "test")
    assert (len(train), len(test)) == (32, 8)
    assert not {row["template"] for row in train} & {row["template"] for row in test}
    for row in train + test:
        assert str(read(row["problem"])) == str(run(row["program"])) == row["answer"]
        assert row["distractors"] == 1
        assert row["steps"] in (1, 2)
    assert {row["steps"] for row in train + test} == {1, 2}


def test_the_card_holds_the_command_that_makes_the_same_bytes():
    words = ["--split", "pair", "--pair", "percent,rate", "--skills", "rate, percent,add"]
    code, out, _ = problems(*words, "--seed", 3, "-o", "out")
    assert code == 0
    lost = [line.split()[-1] for line in out.splitlines() if line.split()[:1] == ["train"]]
    card = Path("out/README.md").read_text(encoding="utf-8")
    assert "the pairs of skills held out: rate+percent" in card
    assert all(
        "rate" in row["skills"] and "percent" in row["skills"] for row in rows("out", "test")
    )
    command = card.split("`loratheory data ")[1].split("`")[0].replace("rate, ", "rate,")
    assert data(*command.split(), "-o", "same")[0] == 0
    for file in Path("out").iterdir():
        assert file.read_bytes() == (Path("same") / file.name).read_bytes()
    assert int(lost[0]) > 0
    assert problems(*words, "--seed", 4, "-o", "other")[0] == 0
    assert rows("other", "train") != rows("out", "train")


def test_tokens_for_small_models():
    assert problems("--prime", 5, "--split", "wording", "-o", "out")[0] == 0
    train = rows("out", "train")
    assert all("percent" not in row["skills"] for row in train)
    assert all(len(row["tokens"]) == len(row["targets"]) for row in train)


def test_data_are_overwritten_only_when_told():
    assert problems("-o", "out")[0] == 0
    before = Path("out/train.jsonl").read_bytes()
    code, out, err = problems("--seed", 1, "-o", "out")
    assert (code, out) == (2, "")
    assert "out exists already; name a new folder, or overwrite this one" in err
    assert Path("out/train.jsonl").read_bytes() == before
    assert problems("--seed", 1, "-o", "out", "--overwrite")[0] == 0
    assert Path("out/train.jsonl").read_bytes() != before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--skills", "add,sing"], "unknown skills: 'sing'; choose from add, subtract, multiply"),
        (["--split", "luck"], "split is 'luck'; choose one of pair, template, depth, wording"),
        (["--pair", "add,rate"], "--pair add,rate goes with --split pair"),
        (["--skills", "rate", "--split", "pair"], "this split leaves no problem for testing"),
        (["--split", "pair", "--pair", "add,add"], "name two different skills"),
        (["--prime", "9"], "numbers modulo 9 are asked for; choose a prime of"),
        (["--prime", "5", "--skills", "percent"], "100 is 0 modulo 5"),
        (["--prime", "2", "--skills", "add", "--split", "wording"], "no new numbers for"),
        (["--distractors", "12"], "quantities would need names"),
        (["--n", "1000001"], "less than or equal to 1000000"),
        (["-o", "no/where"], "there is no folder no for where"),
    ],
)
def test_wrong_input_is_one_paragraph_exit_code_two_and_nothing_written(words, says):
    code, out, err = problems(*([] if "-o" in words else ["-o", "out"]), *words)
    assert (code, out) == (2, "")
    assert says in " ".join(err.split())
    assert "Traceback" not in err
    assert not [*Path().iterdir()]


def test_a_place_that_is_taken_is_met_before_anything_else():
    Path("out").mkdir()
    (Path("out") / "mine.txt").write_text("mine")
    _, _, err = problems("--skills", "sing", "-o", "out", "--overwrite")
    assert "out is not only data, but holds mine.txt" in err
