"""``loratheory evaluate``: a user's method gets a card or a refusal, never a traceback."""

import json
from pathlib import Path

import pytest

from loratheory.evaluate import report_card
from loratheory.evaluate.report_card import LanguageMark
from loratheory.pretrained.metrics import Share


def test_a_merge_gets_a_card_in_tables_and_json(run):
    code, out, _ = run("evaluate", "my_rules:half", "--json", "card.json")
    card = json.loads(Path("card.json").read_text())
    assert code == 0
    parts = {"rule", "form", "laws", "memories", "language"}
    assert (set(card), card["language"]) == (parts, [])
    assert card["memories"]["starts"]["two_hop"] == pytest.approx(1.2360679, abs=1e-5)
    assert {law["name"] for law in card["laws"] if not law["holds"]} == {"exact", "idempotent"}
    assert "1.236" in out


def test_a_router_goes_to_standard_output_as_json_alone(run):
    code, out, _ = run("evaluate", "my_rules:largest", "--json", "-")
    card = json.loads(out)
    assert (code, card["form"]) == (0, "router")
    assert [law["name"] for law in card["laws"]][-1] == "shares"


def test_the_marks_of_a_language_model_are_delivered(run, monkeypatch):
    share = Share.of("x", 30, 40)
    mark = LanguageMark("my_rules:half", None, share, share, share, share, 0.25, 1.5)
    monkeypatch.setattr(report_card, "known_marks", lambda *_: [])
    monkeypatch.setattr(report_card, "own_marks", lambda *_: [mark])
    code, printed, err = run("evaluate", "my_rules:half", "--model", "--json", "c.json")
    assert code == 0, err
    assert "30/40 (0.60 to 0.86)" in printed
    [mark] = json.loads(Path("c.json").read_text())["language"]
    assert (mark["six"]["right"], mark["drift"], mark["pairs"]) == (30, 0.25, None)
