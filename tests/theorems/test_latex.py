"""Docstrings become LaTeX: mathematics untouched, running text escaped."""

import pytest

from loratheory.theorems import ALL, latex


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


@pytest.mark.parametrize("theorem", ALL, ids=lambda t: t.label)
def test_no_markup_is_left(theorem):
    found = latex(theorem.document) + latex(theorem.statement)
    assert ":math:" not in found
    assert ".. math::" not in found
    assert "``" not in found
    assert {sign for sign in found if not sign.isascii()} <= set("–“”")  # TeX knows no others
    assert found.count("\\[") == found.count("\\]") == theorem.document.count(".. math::")
