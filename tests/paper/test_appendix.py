r"""The paper's appendix is the registry's docstrings, label by label."""

import re

import pytest

from loratheory.theorems import load_theorems, parts
from paper.appendix import appendix, environment, latex, linked

ALL = load_theorems()

EXAMPLE = r"""Small law: what it is about: in short.

**Statement.** One is one,
and only one.

It is :math:`1`,
by ``thm:edit-budget``.

**Proof.** By counting. :math:`\square`

**Scope.** Anything else.

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
        "Scope": "Anything else.",
        "References": "Peano (1889).",
    }


@pytest.mark.parametrize("theorem", ALL, ids=lambda t: t.label)
def test_every_theorem_appears_with_statement_and_proof_and_no_markup_is_left(theorem):
    """A clause is proved where its theorem is."""
    found, text = parts(theorem.document), environment(theorem)
    assert found["Statement"]
    if not theorem.part_of:
        assert {"Precisely", "Scope"} <= {*found}
        assert ("Proof" in found) == (theorem.status in ("proved", "refuted"))
    kinds = {"theorem": "theorem", "lemma": "lemma", "clause": "corollary"}
    kind = {"cited": "citedtheorem", "refuted": "refuted"}.get(theorem.status, kinds[theorem.kind])
    assert text.startswith(rf"\begin{{{kind}}}[{found['Title']}]\label{{{theorem.label}}}")
    for name in (kind, "proof"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") <= 1
    plain = latex(theorem.document) + latex(theorem.statement)
    assert not [mark for mark in (":math:", ".. math::", "``") if mark in plain]
    assert {sign for sign in plain if not sign.isascii()} <= set("–“”")  # TeX knows no others
    assert plain.count("\\[") == plain.count("\\]") == theorem.document.count(".. math::")


def test_references_between_theorems_resolve():
    used = set(re.findall(r"\\result\{(.*?)\}", appendix(ALL)))
    assert "thm:averaging-survival" in used
    assert used <= {theorem.label for theorem in ALL}
    assert "``" not in appendix(ALL)
    assert r"\texttt{thm" not in appendix(ALL)


def test_a_formula_belongs_to_the_sentence_before_it():
    assert linked("so\n\n.. math::\n    x\n\nholds") == "so\n\\[\nx\n\\]\nholds"
    assert "\n\n\\[" not in appendix(ALL)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":math:`x_1 < 2`", "$x_1 < 2$"),
        ("a_b & 5 % of #1", r"a\_b \& 5 \% of \#1"),
        ("``thm:x_y``", r"\texttt{thm:x\_y}"),
        ("`rank`", r"\texttt{rank}"),
        ("**Proof.** c^2 ≥ ½", r"\textbf{Proof.} c\textasciicircum{}2 $\ge$ $\tfrac12$"),
        ("a *few words* of", r"a \emph{few words} of"),
        ("**a** *b*", r"\textbf{a} \emph{b}"),
        ('so "store twice", A→C', r"so “store twice”, A$\to$C"),
        ("r(r+1)/2 <= p", r"r(r+1)/2 $\le$ p"),
        ("(ΣP)⁺", r"($\sum$P)$^+$"),
        ("a\n\n.. math::\n    x_1 \\ge 0\n\nb", "a\n\n\\[\nx_1 \\ge 0\n\\]\nb"),
        (".. math:: x^2\n\nb", "\\[\nx^2\n\\]\nb"),
    ],
)
def test_markup_by_hand(text, expected):
    assert latex(text) == expected
