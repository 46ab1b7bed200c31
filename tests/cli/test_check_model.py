"""check-model: the command on a small model in a folder, its table, JSON and figure."""

import json

import pytest
from typer.testing import CliRunner

from loratheory.cli import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "160")
    return lambda *words: CliRunner().invoke(app, ["check-model", *map(str, words)])


def test_it_says_what_was_asked_and_why_theorems_are_silent(home, run, tmp_path):
    file, figure = tmp_path / "check.json", tmp_path / "check.png"
    done = run(
        home / "one", home / "two", "--model", home / "base", "--layers", "0-1",
        "--json", file, "--figure", figure,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "How near can one adapter come to all? (mean squared distance)" in done.output
    assert "• Silent, thm:intruder-threshold: needs" in done.output
    result = json.loads(file.read_text())
    assert result["adapters"] == ["one", "two"]
    assert {reading["layer"] for reading in result["readings"]} == {0, 1}
    assert figure.read_bytes().startswith(b"\x89PNG")
    line = next(line for line in done.output.splitlines() if "top the weight" in line)
    counts = [int(word) for word in line.split()[-7:-2]]
    places, holds, tight, silent, broken = counts
    assert (places, silent, broken) == (56, 56 - holds, 0)
    assert 12 < holds == tight <= 16  # only q and o are square, and most of their entries normal


def test_json_alone_goes_to_standard_output(home, run):
    done = run("--model", home / "base", "--layers", "1", "--json", "-")
    result = json.loads(done.stdout)
    assert [reading["outcome"] for reading in result["readings"]] == ["measured"] * 7
    assert {reading["layer"] for reading in result["readings"]} == {1}


def test_facts_get_a_table_of_what_each_adapter_keeps_under_each_rule(home, run, tmp_path):
    facts, file = tmp_path / "facts.json", tmp_path / "check.json"
    facts.write_text(json.dumps({
        "one": {"red": "one", "green": "two", "blue": "three"}, "two": {"one": "red"},
    }))  # fmt: skip
    words = [home / "one", home / "two", "--model", home / "base", "--layers", "0"]
    done = run(*words, "--facts", facts, "--json", file)
    assert done.exit_code == 0, done.output
    assert "answers kept, of the prompts asked (all of them)" in done.output
    kept = json.loads(file.read_text())["kept"]
    rows = [line.split() for line in done.output.splitlines()]
    for row in kept:
        predicted = "–" if row["predicted"] is None else str(row["predicted"])
        cells = [row["group"], row["rule"], predicted, str(row["measured"]), str(row["asked"])]
        assert cells in [row[:5] for row in rows]
    assert [row["asked"] for row in kept] == [3] * 4 + [1] * 4
    done = run(*words, "--facts", facts, "--limit", 2)
    assert "asked (at most 2 of a group, --limit)" in " ".join(done.output.split())
    done = run(*words[:2], "--model", home / "base", "--facts", facts, "--limit", 0)
    assert done.exit_code == 2


def test_rows_as_trainers_read_them_are_asked_of_the_only_adapter(home, run, tmp_path):
    facts, file = tmp_path / "test.jsonl", tmp_path / "check.json"
    pairs = (("red", "one"), ("green", "two"))
    rows = [{"prompt": prompt, "completion": f" {word}", "kind": "x"} for prompt, word in pairs]
    facts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["--model", home / "base", "--layers", "0", "--facts"]
    done = run(home / "one", *words, facts, "--json", file)
    assert done.exit_code == 0, done.output
    again = tmp_path / "facts.json"
    again.write_text(json.dumps({"one": dict(pairs)}))
    done = run(home / "one", *words, again, "--json", tmp_path / "again.json")
    assert done.exit_code == 0, done.output
    kept = [json.loads(one.read_text())["kept"] for one in (file, tmp_path / "again.json")]
    assert kept[0] == kept[1]
    [alone] = [row for row in kept[0] if row["rule"] == "alone"]
    assert alone["asked"] == 2
    low = {0: "0.00 to 0.66", 1: "0.09 to 0.91", 2: "0.34 to 1.00"}[alone["measured"]]  # Wilson's
    assert low in done.output


@pytest.mark.parametrize("words", [[], ["--download", "--revision", "v1", "--dtype", "bfloat16"]])
def test_where_a_model_comes_from_is_handed_on(run, monkeypatch, words):
    import loratheory.pretrained

    asked = {}

    def _load(name, **options):
        asked.update(options, name=name)
        message = "enough"
        raise loratheory.pretrained.ModelError(message)

    monkeypatch.setattr(loratheory.pretrained, "load", _load)
    assert run("--model", "my/model", *words).exit_code == 2
    far = bool(words)
    assert asked == {
        "name": "my/model", "device": "cpu", "dtype": "bfloat16" if far else "float32",
        "revision": "v1" if far else None, "download": far,
    }  # fmt: skip
