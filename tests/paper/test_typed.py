r"""Typed numbers: a decimal or a percentage in the text is seen, whatever stands around it."""

from pathlib import Path

import pytest

from loratheory.paper import typed

MAIN = Path(__file__).parents[2] / "paper" / "main.tex"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("answers .37 of them", [".37"]),
        ("answers 0.37 and 1.00", ["0.37", "1.00"]),
        (r"in 37\,\% and 5~\% and 1.5 \%", [r"37\,\%", r"5~\%", r"1.5 \%"]),
        (r"a 40\% share % of 0.5 all", [r"40\%"]),
        (r"\measured{gating: two_hop; coverage=0.5} of 8 bases", []),
        (r"\within{gating: two_hop;" + "\n" + r"coverage=0.5} and .5", [".5"]),
        (r"\includegraphics[width=0.9\linewidth]{figures/a.pdf} 2.5cm \vspace{0.3em}", []),
        (r"\url{https://arxiv.org/abs/2506.13479} \ref{fig:a.1}", []),
        ("Section 3. Then 4, 5.", []),
    ],
)
def test_typed_numbers_by_hand(text, wanted):
    assert [line.split(": ", 1)[1] for line in typed(text)] == wanted


def test_lines_are_those_of_the_file():
    source = "\\setlength{0.5}\n\\begin{document}\n\\measured{a: b;\nc=0.5}\nthen .5\n"
    assert typed(source) == ["5: .5"]


def test_no_number_of_the_paper_is_typed():
    source = MAIN.read_text(encoding="utf-8")
    assert typed(source) == []
    assert typed(source.replace(r"\section{Limits}", r"\section{Limits} It is .98."))
