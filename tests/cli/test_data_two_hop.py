"""``loratheory data two-hop``: a world as files, with its chains split and nothing leaked."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loratheory.cli import app


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def two_hop(*words):
    """Exit code, stdout, stderr."""
    result = CliRunner().invoke(app, ["data", "two-hop", "--n", "20", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def rows(name, folder="out"):
    text = (Path(folder) / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_single_facts_and_some_chains_train_the_others_test():
    code, out, _ = two_hop("--split", 0.25, "-o", "out")
    assert code == 0
    told = [line.split() for line in out.splitlines()]
    assert [line for line in told if line[:1] in (["train"], ["test"])] == [
        ["train", "45"],
        ["test", "15"],
    ]
    *train, mark = rows("train")
    *test, other = rows("test")
    assert (len(train), len(test)) == (5 + 2 * 20, 15)
    assert mark["prompt"] != other["prompt"]
    assert mark["answer"] == other["answer"] == ""
    assert all(row["prompt"].endswith("?") for row in train + test)
    chains = [row for row in train if len(row["tokens"]) == 3]
    assert len(chains) == 5
    assert not {row["prompt"] for row in chains} & {row["prompt"] for row in test}
    facts = {tuple(row["tokens"]): row["targets"][-1] for row in train if len(row["tokens"]) == 2}
    for row in chains + test:
        subject, one, two = row["tokens"]
        assert facts[facts[subject, one], two] == row["targets"][-1]
        assert row["targets"][:-1] == [-1, -1]
    bridges = [
        {facts[row["tokens"][0], row["tokens"][1]] for row in part} for part in (chains, test)
    ]
    assert not bridges[0] & bridges[1]


def test_the_card_holds_the_command_that_makes_the_same_bytes():
    words = ["--split", 0.5, "--hops", 3, "--style", "cloze", "--seed", 5]
    assert two_hop(*words, "-o", "out")[0] == 0
    card = Path("out/README.md").read_text(encoding="utf-8")
    assert "  - split: test\n    path: test.jsonl\n" in card
    command = card.split("`loratheory data two-hop --n 20 ")[1].split("`")[0]
    assert two_hop(*command.split(), "-o", "same")[0] == 0
    for file in Path("out").iterdir():
        assert file.read_bytes() == (Path("same") / file.name).read_bytes()
    assert max(len(row["tokens"]) for row in rows("test")) == 4
    assert rows("test")[0]["prompt"].endswith(" is")
    two_hop("--split", 0.5, "--hops", 3, "--style", "cloze", "--seed", 6, "-o", "other")
    facts, others = (
        [(row["tokens"], row["targets"]) for row in rows("train", name) if len(row["tokens"]) == 2]
        for name in ("out", "other")
    )
    assert facts != others


def test_data_are_overwritten_only_when_told():
    assert two_hop("-o", "out")[0] == 0
    code, out, err = two_hop("--seed", 1, "-o", "out")
    assert (code, out) == (2, "")
    assert "out exists already" in err
    assert two_hop("--seed", 1, "-o", "out", "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--split", "1"], "--split 1 leaves no chain for testing: ask for a smaller fraction"),
        (["--style", "haiku"], "style is 'haiku'; choose one of cloze, question"),
        (["--split", "0.01"], "coverage 0.01 is out of reach"),
        (["-o", "no/where"], "there is no folder no for where"),
    ],
)
def test_wrong_input_is_one_paragraph_exit_code_two_and_nothing_written(words, says):
    code, out, err = two_hop(*([] if "-o" in words else ["-o", "out"]), *words)
    assert (code, out) == (2, "")
    assert says in " ".join(err.split())
    assert not [*Path().iterdir()]


def test_a_place_that_is_taken_is_met_before_anything_else():
    Path("out").mkdir()
    (Path("out") / "mine.txt").write_text("mine")
    _, _, err = two_hop("--style", "haiku", "-o", "out", "--overwrite")
    assert "out is not only data, but holds mine.txt" in err
