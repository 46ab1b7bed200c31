"""Every theorem has a page with statement, proof, verdict, controls and uses."""

import re

import pytest
from website import theorem_pages

from loratheory.theorems import theorem, verify

FEW = tuple(map(theorem, ("rank-floor", "merge-floor", "quantised-floor")))
TEXTS = {"course/01": "uses thm:merge-floor.", "course/02": "uses thm:merge-floor-not"}


@pytest.fixture(scope="module")
def pages():
    reports = {t.label: verify(t, cases=5) for t in FEW}
    return theorem_pages(FEW, reports, TEXTS)


def test_a_page_has_statement_proof_verdict_controls_and_uses(pages):
    text = pages["theorems/merge-floor.rst"]
    heads = re.findall(r"^(.+)\n[=-]{3,}$", text, flags=re.MULTILINE)
    assert heads[0] == "Merge floor"
    assert heads[-3:] == ["Checked", "What breaks it", "Where it is used"]
    assert "It rests on :doc:`thm:rank-floor <rank-floor>`" in text
    whole = pages["theorems/rank-floor.rst"]
    assert re.findall(r"^(Proof|References)\n-+$", whole, flags=re.MULTILINE) == [
        "Proof",
        "References",
    ]
    assert ":doc:`thm:merge-floor <merge-floor>`" in whole
    assert "as stated, " in text
    floor = theorem("merge-floor")
    for control in floor.controls:
        assert control.name in text
        assert f"{floor.judge(*control.example()).value:.4g}" in text
    assert "* :doc:`thm:quantised-floor <quantised-floor>` rests on it." in text
    assert "* :doc:`/course/01`" in text
    assert "course/02" not in text
    assert "It rests on :doc:`thm:merge-floor" in pages["theorems/quantised-floor.rst"]


def test_the_index_lists_each_with_its_verdict(pages):
    text = pages["theorems/index.rst"]
    for one in FEW:
        assert f"<{one.label[4:]}>" in text
    assert text.count("as stated, ") == 3
