"""``loratheory claim``: the chain on the screen and as JSON; exit code 1 where a claim fails."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loratheory import theorems
from loratheory.cli import app


def run(*words):
    """Exit code, stdout, stderr."""
    result = CliRunner().invoke(app, ["claim", *words, "--cases", "5"])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_the_chain_is_shown_link_by_link(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    code, out, _ = run("two-read-region")
    assert code == 0
    places = [
        out.index(word) for word in ("lead on the K-hop", "proof", "checked now", "paper/main")
    ]
    assert places == sorted(places)
    assert "loratheory/theorems/composition/two_read_region.py" in out
    for name in ("window", "merge_coefficient", "gating"):
        assert f"experiment  {name}: " in out
    assert "paper/main.tex: The window" in out
    assert "only in the appendix" not in out


def test_a_refuted_claim_stays_refuted(monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    code, out, _ = run("unselective-success")
    assert code == 0
    assert "the counterexample still stands" in out
    assert "none names it" in out


def test_json_has_the_same_links():
    told = json.loads(run("two-read-region", "--json", "-")[1])
    assert told["label"] == "thm:two-read-region"
    assert told["report"]["holds"]
    assert {"name", "question", "table", "figure"} == set(told["experiments"][0])


def test_from_any_folder_the_chain_is_the_same(monkeypatch, tmp_path):
    here = json.loads(run("two-read-region", "--json", "-")[1])
    monkeypatch.chdir(tmp_path)
    there = json.loads(run("two-read-region", "--json", "-")[1])
    assert here["sections"] == there["sections"]
    tables = [[Path(one["table"]) for one in told["experiments"]] for told in (here, there)]
    assert [path.parts[-3:] for path in tables[0]] == [path.parts[-3:] for path in tables[1]]
    assert all(path.is_dir() for path in tables[1])


def test_a_package_without_the_text_says_where_the_text_is(monkeypatch, tmp_path):
    (tmp_path / "results").mkdir()
    monkeypatch.setenv("COLUMNS", "400")
    _, out, _ = run("two-read-region", "--paper", str(tmp_path))
    assert "the paper's text is in a checkout" in out
    assert f"no table in {tmp_path / 'results'}" in out


def test_a_folder_without_results_is_refused(tmp_path):
    code, _, err = run("two-read-region", "--paper", str(tmp_path))
    assert code == 2
    assert f"there is no folder {tmp_path / 'results'}" in err


def test_unknown_labels_are_refused_with_the_nearest():
    code, _, err = run("two-read-regio")
    assert code == 2
    assert "two-read-region" in err


def test_a_claim_that_fails_fails_the_command(monkeypatch):
    false = [
        replace(t, bound=lambda case, t=t: 2 * t.bound(case) + 1)
        if t.label == "thm:merge-floor"
        else t
        for t in theorems.ALL
    ]
    monkeypatch.setattr(theorems, "ALL", tuple(false))
    code, out, err = run("merge-floor")
    assert code == 1
    assert "FAILS" in out
    assert "merge-floor fails" in err


@pytest.mark.parametrize("word", ["Example", "JSON"])
def test_help_has_an_example(word):
    assert word in CliRunner().invoke(app, ["claim", "--help"]).stdout
