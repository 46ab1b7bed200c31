"""Every theorem has a page with statement, proof, verdict, controls and uses."""

import re

import pytest
from website import theorem_pages

from loratheory.theorems import ALL, merge_floor, verify

FEW = tuple(t for t in ALL if t.label in ("thm:merge-floor", "thm:quantised-floor"))
TEXTS = {"course/01": "uses thm:merge-floor.", "course/02": "uses thm:merge-floor-not"}


@pytest.fixture(scope="module")
def pages():
    reports = {t.label: verify(t, cases=5) for t in FEW}
    return theorem_pages(FEW, reports, TEXTS)


def test_a_page_has_statement_proof_verdict_controls_and_uses(pages):
    text = pages["theorems/merge-floor.rst"]
    heads = re.findall(r"^(.+)\n[=-]{3,}$", text, flags=re.MULTILINE)
    assert heads[0] == "Merge floor"
    assert heads[-4:] == ["Checked", "What breaks it", "Where it is used", "References"]
    assert "Proof" in heads
    assert "as stated, " in text
    for control in merge_floor.CONTROLS:
        assert control.name in text
        assert f"{merge_floor.THEOREM.judge(*control.example()).value:.4g}" in text
    assert "* :doc:`thm:quantised-floor <quantised-floor>` rests on it." in text
    assert "* :doc:`/course/01`" in text
    assert "course/02" not in text
    assert "It rests on :doc:`thm:merge-floor" in pages["theorems/quantised-floor.rst"]


def test_the_index_lists_each_with_its_verdict(pages):
    text = pages["theorems/index.rst"]
    for theorem in FEW:
        assert f"<{theorem.label[4:]}>" in text
    assert text.count("as stated, ") == 2
