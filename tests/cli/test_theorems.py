"""theorems, verify, bound and claim: what they print and write."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loratheory import theorems


def test_theorems_lists_all_and_shows_one_in_full(run):
    code, out, _ = run("theorems")
    assert code == 0
    assert all(t.label in out for t in theorems.ALL)
    _, out, _ = run("theorems", "merge-floor")
    assert "rank(adapter) <= r" in out
    assert "Proof." in out
    _, out, _ = run("theorems", "packing-floor")
    told, stated = (
        out.index(words) for words in ("Training for orthogonal", "In the mean over ordered pairs")
    )
    assert told < stated
    assert json.loads(run("theorems", "--json", "-")[1])[0]["label"] == theorems.ALL[0].label


def test_verify_reports_what_its_schema_says(run):
    words = ("merge-floor", "--cases", 30, "--workers", 1, "--backend", "torch")
    code, out, _ = run("verify", *words, "--json", "verdicts.json")
    (entry,) = json.loads(Path("verdicts.json").read_text())
    assert code == 0
    assert {"label", "status", "worst_slack", "controls", "seconds", "trouble"} <= {*entry}
    assert entry["cases"] >= 30
    assert [entry[key] for key in ("holds", "tight", "controls_ok")] == [True] * 3
    assert "merge-floor" in out


def test_verify_counts_clauses_and_says_whose_they_are(run):
    words = ("rank-floor", "merge-floor", "batch-edit", "interference-angle", "--cases", 5)
    _, out, _ = run("verify", *words, "--workers", 1)
    assert "1 theorem, 1 lemma, 2 clauses verified" in out
    entries = json.loads(run("verify", *words, "--workers", 1, "--json", "-")[1])
    assert [entry["part_of"] for entry in entries] == ["", "thm:rank-floor", "thm:rank-floor", ""]


def test_sensitivity_says_why_a_tenth_goes_unnoticed(run):
    words = ("verify", "rank-threshold", "coefficient-ladder", "--cases", 40, "--workers", 1)
    blind, sharp = json.loads(run(*words, "--sensitivity", "--json", "-")[1])
    assert (blind["constant_up"], blind["reason"]) == (
        None,
        "few counts of measurements are of the form r(r+1)/2",
    )
    assert (sharp["constant_up"], sharp["reason"]) == (0.001, "")
    assert "few counts" in run(*words, "--sensitivity")[1]


def test_deep_is_ten_times_the_cases_at_ten_times_the_size(run):
    words = ("edit-budget", "--cases", 4, "--workers", 1, "--json", "-")
    (small,), (deep,) = (json.loads(run("verify", *words, *more)[1]) for more in ((), ("--deep",)))
    wide = theorems.verify(theorems.theorem("edit-budget"), cases=40, size=80)
    assert small["cases"] < 40 <= deep["cases"]
    assert deep["worst_slack"] == wide.worst_slack


@pytest.mark.parametrize("command", ["verify", "claim"])
def test_a_failing_theorem_ends_with_exit_code_one(run, monkeypatch, command):
    true = theorems.theorem("merge-floor")
    false = replace(true, bound=lambda case: 2 * true.bound(case) + 1)
    monkeypatch.setattr(theorems, "ALL", (theorems.theorem("rank-floor"), false))
    workers = ("--workers", 1) if command == "verify" else ()
    code, out, err = run(command, "merge-floor", "--cases", 10, *workers)
    assert code == 1
    assert "thm:merge-floor fails: " in err
    assert command == "verify" or "FAILS" in out


def test_without_a_label_all_that_can_be_asked_are_listed(run):
    code, out, _ = run("bound", "--json", "list.json")
    listed = json.loads(Path("list.json").read_text())
    assert code == 0
    assert {one["label"] for one in listed} == {*theorems.CALCULATORS}
    assert all(one["label"] in out and one["gives"].endswith(".") for one in listed)
    keys = {one["label"]: one["keys"] for one in listed}
    assert keys["thm:packing-floor"] == "adapters, rank, width"


def test_a_threshold_in_full_precision(run):
    code, out, _ = run("bound", "two-read-region", "hops=3", "--json", "bound.json")
    found = json.loads(Path("bound.json").read_text())
    assert code == 0
    assert "0.6823" in out
    assert found["values"]["threshold"] == pytest.approx(0.68232780382801932737, rel=1e-15)
    assert found["given"] == {"hops": 3, "case": "overwrite", "adapters": 2}


def test_a_curve_with_its_figure(run):
    words = ("bound", "gate-detection", "facts=8", "width=128", "--curve", "threshold=.2:.9:8")
    code, out, _ = run(*words, "--json", "-", "--figure", "c.png")
    alarms = [entry["values"]["false alarm"] for entry in json.loads(out)]
    assert (code, len(alarms)) == (0, 8)
    assert alarms == sorted(alarms, reverse=True)
    assert Path("c.png").stat().st_size > 1000
    whole = json.loads(run("bound", "two-read-region", "--curve", "hops=1:3:9", "--json", "-")[1])
    assert [entry["given"]["hops"] for entry in whole] == [1, 2, 3]


def test_a_package_without_the_text_says_where_the_text_is(run):
    Path("results").mkdir()
    _, out, _ = run("claim", "two-read-region", "--cases", 5, "--paper", ".")
    assert "the paper's text is in a checkout" in out
    assert "no table in results" in out
