"""``loratheory evaluate``: a user's method gets a card or a refusal, never a traceback."""

import json
from pathlib import Path

import pytest

from loratheory.pretrained import ModelError


def test_a_merge_gets_a_card_in_tables_and_json(run):
    code, out, _ = run("evaluate", "my_rules:half", "--json", "card.json")
    card = json.loads(Path("card.json").read_text())
    assert code == 0
    parts = {"rule", "form", "laws", "memories", "base", "language"}
    assert (set(card), card["language"]) == (parts, [])
    assert card["memories"]["starts"]["two_hop"] == pytest.approx(1.2360679, abs=1e-5)
    assert {law["name"] for law in card["laws"] if not law["holds"]} == {"exact", "idempotent"}
    assert "1.236" in out


def test_the_model_is_downloaded_if_that_is_asked_for(run, monkeypatch):
    def _load(*_, download, **__):
        message = f"download is {download}"
        raise ModelError(message)

    monkeypatch.setattr("loratheory.evaluate.report_card.load_model", _load)
    for words, asked in (((), False), (("--download",), True)):
        assert f"download is {asked}" in run("evaluate", "my_rules:half", "--model", *words)[2]


def test_a_router_goes_to_standard_output_as_json_alone(run):
    code, out, _ = run("evaluate", "my_rules:largest", "--json", "-")
    card = json.loads(out)
    assert (code, card["form"]) == (0, "router")
    assert [law["name"] for law in card["laws"]][-1] == "shares"
