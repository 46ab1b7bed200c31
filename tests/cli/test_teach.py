"""teach: an adapter folder with its card, whole or not at all, and refusals in a line."""

import json

import pytest

from loratheory.adapters import read_adapter
from loratheory.diagnosis import kept_beside, layer_of
from loratheory.pretrained import Training

PLAN = {
    "facts": {"red": "one", "green": "two", "blue": "one"},
    "sentences": ["{} one"],
    "two_hop": ["two {}"],
    "partner": {"side": "after", "sentences": ["blue {}"], "words": ["red", "green", "blue"]},
}


@pytest.fixture(scope="module")
def home(home):
    (home / "plan.json").write_text(json.dumps(PLAN))
    return home


@pytest.fixture
def teach(home, run, monkeypatch):
    """Runs the command on the small base, with short trainings."""
    monkeypatch.setenv("LORATHEORY_CACHE", str(home / "cache"))
    monkeypatch.setattr(Training, "ended", lambda _, losses: len(losses) >= 2)
    return lambda *words: run("teach", home / "plan.json", "--model", home / "base", *words)


def test_it_writes_the_adapter_and_its_card_and_says_what_came_of_it(home, teach):
    code, out, err = teach("-o", home / "made", "--json", home / "made.json", "--steps", "2")
    assert code == 0, err
    assert len(read_adapter(home / "made")) > 0
    card = json.loads((home / "made" / "adapter_card.json").read_text())
    assert card == json.loads((home / "made.json").read_text())
    names = [share["what"] for share in card["measured"]]
    assert "two-hop, beside a stranger" in names
    assert all(name in out for name in names)
    assert "nats a token leak" in out
    assert f"others kept {kept_beside(card['leak'])['kept']:.2f} of what" in out
    code, _, err = teach("-o", home / "made")
    assert (code, err.count("\n")) == (2, 1)
    assert "add --force" in err
    words = ("-o", home / "made", "--force", "--stand-ins", "0", "--layers")
    code, _, err = teach(*words, "1")
    assert code == 0, err
    again = json.loads((home / "made" / "adapter_card.json").read_text())
    assert (again["settings"]["stand_ins"], again["settings"]["layers"]) == (0, "1-1")
    assert {layer_of(name) for name in read_adapter(home / "made")} == {1}
    code, _, err = teach(*words, "1-9")
    assert (code, err.count("\n")) == (2, 1)
    assert "layers 1 to 9 are not all there; name some of the layers 0 to 1" in err


def test_lessons_of_rehearse_are_trained_on_and_their_test_is_asked(home, teach):
    folder = home / "lessons"
    folder.mkdir()
    row = '{"prompt": "three %s", "completion": " one"}\n'
    (folder / "train.jsonl").write_text(row % "red")
    code, out, err = teach("-o", home / "some", "--lessons", folder, "--stand-ins", "0")
    assert code == 0, err
    assert "portability" not in out
    (folder / "test.jsonl").write_text(row % "blue")
    code, out, err = teach("-o", home / "more", "--lessons", folder, "--stand-ins", "0")
    assert code == 0, err
    card = json.loads((home / "more" / "adapter_card.json").read_text())
    assert card["settings"]["lessons"] == 1
    [share] = [one for one in card["measured"] if one["what"] == "portability, alone"]
    assert share["asked"] == 1
    assert "portability, alone" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "x", "--lessons", "nowhere"), "nowhere/train.jsonl"),
        (("-o", "no/such"), "there is no folder no"),
        (("-o", "x", "--stand-ins", "3"), "cannot all disagree on 3 words of the partner"),
        (("-o", "x", "--model", ""), "--model is empty"),
        (("-o", "x", "--layers", "high"), "--layers=high is no list of layers"),
        (("-o", "x", "--layers", "9-5"), "--layers=9-5 counts down"),
        (("-o", "x", "--layers", "0,2"), "--layers=0,2 leaves some out in between"),
    ],
)
def test_what_cannot_be_done_is_refused_before_a_model_is_loaded(
    teach, monkeypatch, words, message
):
    monkeypatch.setattr("loratheory.pretrained.load_model", None)
    code, _, err = teach(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
