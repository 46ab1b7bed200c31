"""Sources: everything lies in the build folder, and a typed number stops it."""

import re
import shutil
from pathlib import Path

import pytest

from loratheory.figures import FIGURES
from loratheory.paper import PaperError, typed, written
from loratheory.paper._appendix import appendix
from loratheory.paper._sources import drawn, shown
from loratheory.theorems import load_theorems

PAPER = Path(__file__).parents[2] / "paper"


def test_the_text_shows_figures_that_exist():
    figures = shown((PAPER / "main.tex").read_text(encoding="utf-8"))
    assert figures[0] == "real_portable"
    assert len(figures) == len(set(figures)) >= 2
    assert set(figures) <= set(FIGURES)


def test_the_abstract_is_short_and_says_what_chance_is():
    text = (PAPER / "main.tex").read_text(encoding="utf-8")
    text = text.split(r"\begin{abstract}\noindent")[1].split(r"\end{abstract}")[0]
    words = re.sub(r"\\measured\{[^{}]*\}", ".0", text).split()
    assert 100 < len(words) <= 180
    assert "scores one in twenty" in " ".join(words)


def test_a_figure_is_drawn_from_its_table():
    assert drawn("window", PAPER / "results")[:5] == b"%PDF-"


def test_everything_is_written_into_the_build_folder(sources):
    files = {str(file.relative_to(sources)) for file in sources.rglob("*") if file.is_file()}
    assert {*(sources / "files").read_text().split()} == files - {"files"}
    parts = ("numbers", "statements", "theorems", "experiments", "provenance", "main")
    assert files >= {"refs.bib", "figures/window.pdf", *(f"{part}.tex" for part in parts)}
    assert (sources / "figures" / "gating.pdf").read_bytes().startswith(b"%gating\n")
    proofs = (sources / "theorems.tex").read_text(encoding="utf-8")
    unnumbered = re.sub(r"\\setcounter\{theorem\}\{\d+\}", "", proofs)
    assert unnumbered == appendix(load_theorems())
    text = (sources / "numbers.tex").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith(r"\generated")]
    assert len(lines) == len(set(lines)) > 150
    assert r"\seefigure{real_order}" in (sources / "experiments.tex").read_text(encoding="utf-8")


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
    assert typed("\\setlength{0.5}\n\\begin{document}\n\\measured{a: b;\nc=0.5}\nthen .5\n") == [
        "5: .5"
    ]


def test_a_typed_number_stops_it(tmp_path):
    source = (PAPER / "main.tex").read_text(encoding="utf-8")
    changed = source.replace(r"\section{Limits}", "\\section{Limits}\nIt answers .98 of them.")
    (tmp_path / "main.tex").write_text(changed, encoding="utf-8")
    shutil.copy(PAPER / "refs.bib", tmp_path)
    with pytest.raises(PaperError, match=r"typed, by line: \d+: \.98"):
        written(tmp_path, tmp_path / "build", lambda name, _: name.encode())
    assert not (tmp_path / "build").exists()
