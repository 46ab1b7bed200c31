"""``loratheory evaluate``: a stranger's rule gets a card or a refusal, never a traceback."""

import json

import pytest
from reused import SMALL, TAUGHT, cache
from typer.testing import CliRunner

from loratheory.cli import app
from loratheory.experiments.evaluate import Profile, _card

__all__ = ["cache"]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    quick = Profile((SMALL,), (101, 102), TAUGHT)
    monkeypatch.setattr(_card, "PROFILES", {"quick": quick, "paper": quick})


def run(*words):
    result = CliRunner().invoke(app, ["evaluate", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_help_says_that_the_code_is_run_and_shows_an_example():
    code, out, _ = run("--help")
    text = " ".join(out.replace("│", " ").split())
    assert code == 0
    assert "code is imported and run" in text
    assert "Example: loratheory evaluate my_rules:half" in text.replace("`", "")


def test_a_merge_gets_a_card_in_tables_json_and_a_figure(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    file, drawing = tmp_path / "card.json", tmp_path / "card.png"
    code, out, _ = run("my_rules:half", "--json", file, "--figure", drawing)
    told = json.loads(file.read_text())
    assert code == 0
    assert set(told) == {"rule", "form", "profile", "laws", "memories", "marks"}
    assert told["memories"]["starts"]["two_hop"] == pytest.approx(1.2360679, abs=1e-5)
    assert {law["name"] for law in told["laws"] if not law["holds"]} == {"exact", "idempotent"}
    assert drawing.stat().st_size > 10_000
    for text in ("my_rules:half, shuffled", "both in one question", "1.236", "oracle", "50%"):
        assert text in out
    (mark,) = [m for m in told["marks"] if m["rule"] == "my_rules:half"]
    assert f"{mark['low']:.2f} to {mark['high']:.2f}" in out
    (row,) = [line for line in out.splitlines() if line.strip().startswith("hop 1 alone")]
    (mark,) = [m for m in told["marks"] if m["rule"] == "hop 1 alone"]
    assert f" {mark['other_two_hop']:.2f} " in row


def test_a_router_goes_to_standard_output_as_json_alone():
    code, out, _ = run("my_rules:loudest", "--json", "-", "--profile", "paper")
    told = json.loads(out)
    assert (code, told["form"], told["profile"]) == (0, "router", "paper")
    assert [law["name"] for law in told["laws"]][-1] == "shares"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no_such_module_x:rule",), "cannot be imported"),
        (("my_rules:haf",), "module my_rules has no haf"),
        (("half",), "write package.module:rule"),
        (("my_rules:three",), "a merge is rule(updates, weights)"),
        (("my_rules:narrow",), "return the shape of the updates"),
        (("my_rules:nan",), "NaN or infinity"),
        (("my_rules:raising",), "raised IndexError"),
        (("my_rules:short",), "one number per token and adapter"),
        (("my_rules:half", "--profile", "fast"), "there is no profile 'fast'"),
        (("my_rules:half", "--json", "no/such/folder/card.json"), "there is no folder"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_code_two(words, message):
    code, out, err = run(*words)
    assert code == 2
    assert message in " ".join(err.split())
    assert not out
    assert "Traceback" not in err
