"""The pages: every reference leads somewhere, nothing sticks out, and no TeX is explained."""

import shutil
from pathlib import Path

import pytest

from loratheory.paper import PaperError, complaints, typeset
from loratheory.paper import __main__ as command

PAPER = Path(__file__).parents[2] / "paper"
LOG = r"""
LaTeX Warning: Reference `thm:x' on page 1 undefined on input line 3.
Package natbib Warning: Citation `who' on page 2 undefined on input line 9.
LaTeX Warning: Label `fig:a' multiply defined.
Overfull \hbox (4.9pt too wide) in paragraph at lines 1--2
Overfull \hbox (5.1pt too wide) in paragraph at lines 3--4
Overfull \vbox (12.0pt too high) has occurred
Underfull \hbox (badness 10000) in paragraph at lines 3--4
"""
tex = pytest.mark.skipif(
    not shutil.which("latexmk"), reason="no latexmk here: `make paper-deps` installs TeX"
)


def test_complaints_by_hand():
    found = complaints(LOG)
    assert len(found) == 5
    assert [line.split("`")[1].split("'")[0] for line in found[:3]] == ["thm:x", "who", "fig:a"]
    assert all("5.1pt" in line or "12.0pt" in line for line in found[3:])
    assert complaints("Overfull \\hbox (1.0pt too wide) in paragraph") == []


def test_without_tex_it_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(PaperError, match="make paper-deps"):
        typeset(tmp_path)
    assert command.main(PAPER, tmp_path) == 2
    assert "make paper-deps" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_outside_a_checkout_it_says_so(tmp_path, capsys):
    assert command.main(tmp_path, tmp_path) == 2
    assert "run this in a checkout" in capsys.readouterr().err


@tex
def test_what_stops_tex_is_told(tmp_path):
    text = "\\documentclass{article}\n\\begin{document}\n\\nothing\n\\end{document}\n"
    (tmp_path / "main.tex").write_text(text)
    with pytest.raises(PaperError, match=r"TeX stopped in .*Undefined control sequence"):
        typeset(tmp_path)


@tex
@pytest.mark.slow
def test_the_paper_is_built_without_complaints(sources, tmp_path):
    """With blank figures: what is drawn is tested beside the figures, where it stands, here."""
    shutil.copytree(sources, tmp_path, dirs_exist_ok=True)
    pages = typeset(tmp_path)
    assert complaints((tmp_path / "main.log").read_text(errors="replace")) == []
    assert pages.stat().st_size > 100_000
    assert b"CreationDate" not in pages.read_bytes()


@tex
def test_the_same_sources_give_the_same_pages(tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    head = (PAPER / "main.tex").read_text(encoding="utf-8").split(r"\input{numbers}")[0]
    text = (
        head + "\\begin{document}\nOne page, and a reference~\\ref{a}.\\label{a}\n\\end{document}\n"
    )
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.tex").write_text(text, encoding="utf-8")
        made.append(typeset(tmp_path / name).read_bytes())
    assert made[0] == made[1]
