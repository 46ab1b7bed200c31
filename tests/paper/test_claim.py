"""Claims: each link is found where it stands, and none is made up."""

from pathlib import Path

import pytest

from loratheory.paper import claim
from loratheory.paper._claim import _places, _sections
from loratheory.theorems import ALL

ROOT = Path(__file__).parents[2]
BY_LABEL = {theorem.label: theorem for theorem in ALL}
TEXT = r"""\begin{abstract}thm:a\end{abstract}\section{One}\label{sec:one}
by \ref{thm:a-b} \section{Two} and thm:a, thm:a again \subsection{Three} nothing"""
AUX = r"""\newlabel{thm:two-read-region}{{11}{17}{Two-read region}{theorem.11}{}}
\newlabel{fig:window}{{1}{2}{\textbf {The window}}{figure.caption.1}{}}
\newlabel{sec:cure}{{4.4}{7}{A rule}{subsection.4.4}{}}
"""


@pytest.mark.parametrize(
    ("label", "wanted"), [("thm:a", ["Abstract", "Two"]), ("thm:a-b", ["One"]), ("thm:b", [])]
)
def test_sections_that_name_a_label(label, wanted):
    assert list(_sections(label, TEXT)) == wanted


def test_numbers_are_those_that_tex_gave(tmp_path):
    assert _places(tmp_path / "main.aux") == {}
    (tmp_path / "main.aux").write_text(AUX)
    found = _places(tmp_path / "main.aux")
    assert found["thm:two-read-region"] == "Theorem 11, page 17"
    assert found["fig:window"] == "Figure 1, page 2"
    assert "sec:cure" not in found


def test_the_links_of_the_window(tmp_path):
    (tmp_path / "main.aux").write_text(AUX)
    found = claim(BY_LABEL["thm:two-read-region"], ROOT / "paper", tmp_path, cases=20)
    assert found.proof == "loratheory/theorems/composition/two_read_region.py"
    assert (ROOT / found.proof).is_file()
    assert found.appendix == "Theorem 11, page 17"
    assert found.report.ok
    assert found.report.cases >= 20
    by_name = {one.name: one for one in found.experiments}
    assert by_name["window"].figure == "Figure 1, page 2"
    assert by_name["window"].table.endswith("paper/results/window")
    assert by_name["merge_coefficient"].question.endswith("?")
    assert "merge_floor" not in by_name
    assert "What mixing does to two steps" in found.sections


def test_outside_a_checkout_links_end_and_a_refuted_claim_is_no_theorem(tmp_path):
    label = "thm:unselective-success"
    found = claim(BY_LABEL[label], tmp_path, tmp_path, cases=5)
    assert (found.status, found.appendix, found.sections) == ("refuted", "", ())
    (tmp_path / "main.aux").write_text(AUX.replace("thm:two-read-region", label))
    found = claim(BY_LABEL[label], tmp_path, tmp_path, cases=5)
    assert found.appendix == "Refuted claim 11, page 17"
    every = claim(BY_LABEL["thm:two-read-region"], tmp_path, tmp_path, cases=5)
    assert {one.table for one in every.experiments} == {""}
