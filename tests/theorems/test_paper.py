r"""The paper's appendix is the registry's docstrings, label by label."""

import re
from pathlib import Path

import pytest
from loratheory.theorems._paper import environment, parts

from loratheory.theorems import ALL, CITED, appendix, linked

PAPER = Path(__file__).parents[2] / "paper" / "theorems.tex"

EXAMPLE = r"""Small law: what it is about: in short.

**Statement.** One is one,
and only one.

It is :math:`1`,
by ``thm:edit-budget``.

**Proof.** By counting. :math:`\square`

**What it does not say.** Anything else.

References
----------
Peano (1889).
"""


def test_parts_by_hand():
    assert parts(EXAMPLE) == {
        "Title": "Small law",
        "Statement": "One is one,\nand only one.",
        "Precisely": "It is :math:`1`,\nby ``thm:edit-budget``.",
        "Proof": r"By counting. :math:`\square`",
        "What it does not say": "Anything else.",
        "References": "Peano (1889).",
    }


@pytest.mark.parametrize("theorem", ALL, ids=lambda t: t.label)
def test_every_theorem_appears_with_statement_proof_and_limits(theorem):
    """A clause is proved where its theorem is."""
    found = parts(theorem.document)
    assert found["Statement"]
    if not theorem.part_of:
        assert found["Precisely"]
        assert found["What it does not say"]
        assert theorem.tells
        assert ("Proof" in found) == (theorem.status in ("proved", "refuted"))
    if "Proof" in found:
        assert found["Proof"].endswith(r":math:`\square`")
    text = environment(theorem)
    kinds = {"theorem": "theorem", "lemma": "lemma", "clause": "corollary"}
    kind = {"cited": "citedtheorem", "refuted": "refuted"}.get(theorem.status, kinds[theorem.kind])
    assert text.startswith(rf"\begin{{{kind}}}[{found['Title']}]\label{{{theorem.label}}}")
    for name in (kind, "proof"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") <= 1
    assert r"\square" not in text


def test_paper_and_registry_have_the_same_labels_and_text():
    """After a change of a docstring: ``loratheory theorems --proofs paper/theorems.tex``."""
    paper = PAPER.read_text(encoding="utf-8")
    assert re.findall(r"\\label\{(.*?)\}", paper) == [theorem.label for theorem in ALL]
    assert paper == appendix(ALL)


def test_references_between_theorems_resolve():
    used = set(re.findall(r"\\result\{(.*?)\}", appendix(ALL)))
    assert "thm:averaging-survival" in used
    assert used <= {theorem.label for theorem in ALL}
    assert "``" not in appendix(ALL)
    assert r"\texttt{thm" not in appendix(ALL)


def test_a_formula_belongs_to_the_sentence_before_it():
    assert linked("so\n\n.. math::\n    x\n\nholds") == "so\n\\[\nx\n\\]\nholds"
    assert "\n\n\\[" not in appendix(ALL)


def test_what_is_only_cited_says_why():
    assert len({cited.name for cited in CITED}) == len(CITED) >= 8
    text = appendix(ALL)
    for cited in CITED:
        assert re.search(r"\d{4}", cited.source)
        assert cited.reason.endswith(".")
        assert cited.name in text
