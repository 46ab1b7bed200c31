"""The paper: all that it reads is generated, nothing is typed, and TeX has nothing to complain."""

import shutil
from pathlib import Path

import pytest

from paper import build
from paper.__main__ import main
from paper.build import PaperError, complaints, typed, write_sources
from paper.studies import NAMES

PAPER = Path(build.__file__).parent
LOG = r"""
LaTeX Warning: Reference `thm:x' on page 1 undefined on input line 3.
Package natbib Warning: Citation `who' on page 2 undefined on input line 9.
LaTeX Warning: Label `fig:a' multiply defined.
Overfull \hbox (4.9pt too wide) in paragraph at lines 1--2
Overfull \hbox (5.1pt too wide) in paragraph at lines 3--4
Overfull \vbox (12.0pt too high) has occurred
Underfull \hbox (badness 10000) in paragraph at lines 3--4
"""


def test_complaints_by_hand():
    found = complaints(LOG)
    assert len(found) == 5
    assert all("5.1pt" in line or "12.0pt" in line for line in found[3:])
    assert complaints("Overfull \\hbox (1.0pt too wide) in paragraph") == []


def test_typed_numbers_are_found_by_line():
    text = "\\begin{document}\nIt is 0.5, \\measured{a: b; c=0.5}.\n\\vspace{1.5em} 12\\,\\% 3\n"
    assert typed(text) == ["2: 0.5", "3: 12\\,\\%"]
    assert typed(text + "% 0.7\n\\archived{.09}\n") == typed(text)


def test_without_tex_it_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(PaperError, match="make paper-deps"):
        build.engine()
    assert main(PAPER, tmp_path) == 2
    assert "make paper-deps" in capsys.readouterr().err


@pytest.mark.slow
def test_all_that_the_text_reads_is_written(tmp_path):
    home, made = tmp_path / "paper", tmp_path / "made"
    home.mkdir()
    for name in ("main.tex", "refs.bib"):
        shutil.copy(PAPER / name, home)
    pages = build.build(home, made) if shutil.which("latexmk") else write_sources(home, made)
    source = (made / "main.tex").read_text(encoding="utf-8")
    written = "numbers theorems experiments predictions provenance"
    for name in written.split():
        assert rf"\input{{{name}}}" in source
        assert (made / f"{name}.tex").stat().st_size > 1000
    assert {file.stem for file in made.glob("figures/*.pdf")} == {*NAMES}
    listed = (made / "experiments.tex").read_text(encoding="utf-8")
    assert all(rf"\label{{exp:{name}}}" in listed for name in NAMES)
    assert r"\midrule" in listed
    assert "figure.svg" not in listed
    if not pages:
        pytest.skip("no latexmk here: `make paper-deps` installs TeX")
    assert pages.stat().st_size > 100_000
