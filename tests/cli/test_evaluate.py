"""``loratheory evaluate``: a stranger's rule gets a card or a refusal, never a traceback."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from reused import SMALL, TAUGHT

from loratheory.evaluate import LanguageMark, Profile, _card
from loratheory.pretrained.metrics import Share


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, tmp_path_factory):
    weights = tmp_path_factory.getbasetemp() / "weights"
    monkeypatch.setenv("LORATHEORY_CACHE", str(weights))
    quick = Profile((SMALL,), (101, 102), TAUGHT)
    monkeypatch.setattr(_card, "PROFILES", {"quick": quick, "paper": quick})


def test_a_merge_gets_a_card_in_tables_json_and_a_figure(run):
    words = ("--json", "card.json", "--figure", "card.png")
    code, out, _ = run("evaluate", "my_rules:half", *words)
    card = json.loads(Path("card.json").read_text())
    assert code == 0
    parts = {"rule", "form", "profile", "laws", "memories", "marks", "language"}
    assert (set(card), card["language"]) == (parts, [])
    assert card["memories"]["starts"]["two_hop"] == pytest.approx(1.2360679, abs=1e-5)
    assert {law["name"] for law in card["laws"] if not law["holds"]} == {"exact", "idempotent"}
    assert Path("card.png").stat().st_size > 10_000
    for text in ("my_rules:half, shuffled", "both in one question", "1.236", "oracle", "50%"):
        assert text in out
    (mark,) = [m for m in card["marks"] if m["rule"] == "my_rules:half"]
    assert f"{mark['low']:.2f} to {mark['high']:.2f}" in out
    (row,) = [line for line in out.splitlines() if line.strip().startswith("hop 1 alone")]
    (mark,) = [m for m in card["marks"] if m["rule"] == "hop 1 alone"]
    assert f" {mark['other_two_hop']:.2f} " in row


def test_a_router_goes_to_standard_output_as_json_alone(run):
    code, out, _ = run("evaluate", "my_rules:largest", "--json", "-", "--profile", "paper")
    card = json.loads(out)
    assert (code, card["form"], card["profile"]) == (0, "router", "paper")
    assert [law["name"] for law in card["laws"]][-1] == "shares"


def test_a_language_model_judges_too_where_asked(run, monkeypatch):
    share = Share.of("x", 30, 40)

    def _marks(asked, exam, progress):
        progress("asked")
        assert exam.seeds == (200,)
        return [
            LanguageMark(one.name, None, share, share, share, share, 0.25, 1.5) for one in asked
        ]

    monkeypatch.setattr(_card, "known_apart", lambda *_: nullcontext())
    monkeypatch.setattr(_card, "known_marks", lambda *_: [])
    monkeypatch.setattr(_card, "own_marks", _marks)
    code, out, err = run("evaluate", "my_rules:half", "--model", "--json", "c.json")
    assert code == 0, err
    assert ".75 (.60–.86)" in out
    [mark] = json.loads(Path("c.json").read_text())["language"]
    assert (mark["six"]["right"], mark["leak"], mark["pairs"]) == (30, 0.25, None)
