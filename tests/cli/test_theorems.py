"""theorems and verify: what they print and write."""

import json
from dataclasses import replace
from inspect import signature
from pathlib import Path

import numpy as np
import pytest

from loratheory import theorems


def test_theorems_lists_all_and_shows_one_in_full(run):
    code, out, _ = run("theorems")
    assert code == 0
    assert all(label in out for label in theorems.LABELS)
    _, out, _ = run("theorems", "merge-floor")
    assert "rank(adapter) <= r" in out
    assert "Proof." in out
    _, out, _ = run("theorems", "packing-floor")
    told, stated = (
        out.index(words) for words in ("Training for orthogonal", "The overlap of two adapters")
    )
    assert told < stated
    assert json.loads(run("theorems", "--json", "-")[1])[0]["label"] == theorems.LABELS[0]


def test_clauses_say_whose_they_are(run):
    words = ("rank-floor", "merge-floor", "edit-budget", "interference-angle", "--cases", 5)
    entries = json.loads(run("verify", *words, "--workers", 1, "--json", "-")[1])
    assert [entry["part_of"] for entry in entries] == ["", "thm:rank-floor", "thm:rank-floor", ""]


def test_sensitivity_says_why_a_tenth_goes_unnoticed(run):
    words = ("verify", "random-interference", "edit-budget", "--cases", 40, "--workers", 1)
    blind, sharp = json.loads(run(*words, "--sensitivity", "--json", "-")[1])
    if blind["label"] != "thm:random-interference":
        blind, sharp = sharp, blind
    assert None in (blind["constant_up"], blind["constant_down"], blind["exponent_up"])
    assert blind["reason"] == theorems.theorem("random-interference").unseen
    assert (sharp["constant_up"], sharp["reason"]) == (0.001, "")


def test_a_failing_theorem_ends_with_exit_code_one(run, monkeypatch):
    from loratheory.theorems.expressiveness import rank_floor

    true = theorems.theorem("merge-floor")
    false = replace(true, bound=lambda case: 2 * true.bound(case) + 1)
    others = [claim for claim in rank_floor.CLAUSES if claim.label != true.label]
    monkeypatch.setattr(rank_floor, "CLAUSES", (*others, false))
    code, _, err = run("verify", "merge-floor", "--cases", 10, "--workers", 1)
    assert code == 1
    assert "thm:merge-floor fails: " in err
    assert "NOT AS STATED" in run("theorems", "merge-floor")[1]


def test_a_law_is_evaluated_in_full_precision(run):
    code, out, _ = run("theorems", "two-read-region", "--at", "hops=3", "--json", "at.json")
    found = json.loads(Path("at.json").read_text())
    assert code == 0
    assert "0.682328" in out
    assert found["values"] == {"threshold": pytest.approx(0.68232780382801932737, rel=1e-15)}
    assert found["given"] == {"hops": 3}
    words = ("theorems", "two-read-region", "--at", "hops=2,adapters=2,pattern=new facts")
    assert json.loads(run(*words, "--json", "-")[1])["values"]["strength_needed"] == 0


@pytest.mark.parametrize("theorem", theorems.load_theorems(), ids=lambda one: one.label)
def test_every_law_that_computes_does_so_at_small_numbers(theorem):
    """Each parameter is annotated, so that words become numbers, and has a name that is unique."""
    for function in theorem.compute:
        given = {}
        for name, one in signature(function).parameters.items():
            if one.default is one.empty:
                given[name] = 0.1 if one.annotation is not int else 9 if name == "width" else 2
            assert one.annotation is not one.empty
        assert np.all(np.isfinite(function(**given)))
