"""rehearse: a folder of lessons, whole or not at all, and refusals in a line."""

import json

import pytest

FACTS = {"facts": {"red": "one", "green": "two"}, "sentences": ["{} one"], "unread": ["two {}"]}
COLOUR = {"source": "a test", "descriptions": ["three {}"], "of": {"red": ["blue"]}}
KINDS = {"colour": {"asked": ["{} two"], "kinds": {"first": COLOUR, "last": COLOUR}}}


@pytest.fixture(scope="module")
def home(home):
    (home / "facts.json").write_text(json.dumps(FACTS))
    (home / "kinds.json").write_text(json.dumps(KINDS))
    return home


@pytest.fixture
def rehearse(home, run, monkeypatch):
    """Runs the command on the small base, where one colour alone can be meant."""
    monkeypatch.setenv("LORATHEORY_CACHE", str(home / "cache"))
    model = ("--model", home / "base", "--kinds", home / "kinds.json")
    return lambda *words: run("rehearse", home / "facts.json", *model, *words)


def test_it_writes_lessons_and_says_which_subjects_have_none(home, rehearse):
    code, out, err = rehearse("-o", home / "made", "--json", home / "made.json")
    assert code == 0, err
    [row] = [json.loads(line) for line in (home / "made/train.jsonl").read_text().splitlines()]
    assert (row["prompt"], row["completion"], row["kind"]) == ("Three blue one", " one", "first")
    [row] = [json.loads(line) for line in (home / "made/test.jsonl").read_text().splitlines()]
    assert (row["prompt"], row["completion"], row["kind"]) == ("two three blue", " one", "last")
    told = json.loads((home / "made.json").read_text())
    assert [one["prompt"] for one in told["lessons"]] == ["Three blue one"]
    assert [one["share"] for one in told["found"]] == [1.0, 1.0]
    assert told["refused"] == {"green": "no kind of description has it"}
    assert "green: no lesson, no kind of description has it" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["first", "1", "1", "1", "0"] in rows
    assert ["last", "1", "1", "0", "1"] in rows
    code, _, err = rehearse("-o", home / "made")
    assert (code, err.count("\n")) == (2, 1)
    assert "exists already" in err
    code, _, err = rehearse("-o", home / "made", "--overwrite", "--unseen", "first")
    assert code == 0, err
    [row] = [json.loads(line) for line in (home / "made/train.jsonl").read_text().splitlines()]
    assert row["kind"] == "last"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "no/such"), "there is no folder no"),
        (("-o", "x", "--unseen", "taste"), "is no kind of description: name one of capital"),
        (("-o", "x", "--kinds", "none.json"), "none.json"),
        (("-o", "x", "--model", ""), "--model is empty"),
    ],
)
def test_what_cannot_be_done_is_refused_before_a_model_is_loaded(
    rehearse, monkeypatch, words, message
):
    monkeypatch.setattr("loratheory.pretrained.load_model", None)
    code, _, err = rehearse(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
