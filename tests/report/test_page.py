"""The page shows what was confirmed and what was not, and breaks nothing on the way."""

from pathlib import Path

import pytest
from folders import folder
from report import __main__ as report
from report.section import Section, StepError, command
from report.steps import adapters, notebooks, numbers

PAPER = Path(__file__).parents[2] / "paper"
SHAPES = {f"model.layers.{layer}.q_proj": (12, 10, 2) for layer in range(2)}


@pytest.fixture
def drawing(tmp_path):
    file = tmp_path / "dot.png"
    file.write_bytes(b"\x89PNG")
    return file


def test_findings_come_first_and_text_is_escaped(drawing):
    good = Section("Good", "One.\n\nTwo <b>.", ("a", "b"), ((1.23456, "<i>"),), confirmed=("yes",))
    bad = Section("Bad", "Text.", figures=(drawing,), deviated=("no",))
    html = report.page([good, bad], seconds=1.0)
    assert html.index('class="bad">no') < html.index('class="good">yes')
    assert "Two &lt;b&gt;." in html
    assert "&lt;i&gt;" in html
    assert "1.235" in html
    assert "data:image/png;base64,iVBORw==" in html


def test_two_adapters_are_inspected_diagnosed_and_merged(tmp_path):
    library = (folder(tmp_path / "one", SHAPES, 1), folder(tmp_path / "two", SHAPES, 2))
    section = adapters(library, tmp_path)
    assert not section.deviated
    assert len(section.rows) == 8
    assert all(figure.exists() for figure in section.figures)
    assert "thm:two-read-region" in section.text
    assert adapters(library, tmp_path).rows == section.rows  # again, over its own results


def test_the_numbers_of_the_paper_are_looked_up(tmp_path):
    section = numbers(PAPER)
    assert not section.deviated
    assert int(section.confirmed[0].split()[0]) > 100
    (tmp_path / "main.tex").write_text("\\begin{document}\nIt is .98 of them.\n")
    (deviation,) = numbers(tmp_path).deviated
    assert "line 2: .98 is typed" in deviation


def test_exit_codes_that_are_expected_pass(tmp_path):
    with pytest.raises(StepError):
        command("inspect", tmp_path / "nowhere", codes=(1,))


def test_a_command_that_fails_is_not_passed_over(tmp_path):
    assert "merge-floor" in command("theorems")
    with pytest.raises(StepError, match="there is no such folder"):
        command("inspect", tmp_path / "nowhere")


def test_outside_a_checkout_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert report.main() == 2
    assert "run this in a checkout" in capsys.readouterr().err


def test_notebooks_are_run_and_a_broken_one_is_told(tmp_path):
    head = "# %% [markdown]\n# # {}\n\n# %%\n"
    for name, code in {"sound": "assert 1 + 1 == 2", "broken": "assert 1 + 1 == 3"}.items():
        (tmp_path / f"{name}.py").write_text(head.format(name) + code + "\n", encoding="utf-8")
    names = tuple(tmp_path / f"{name}.py" for name in ("sound", "broken"))
    section = notebooks(names, tmp_path)
    assert section.confirmed == ("Notebook sound: every assertion holds.",)
    [said] = section.deviated
    assert said.startswith("Notebook broken: AssertionError")
    assert [title for title, _ in section.links] == ["sound", "broken"]
    assert all(page.stat().st_size > 1000 for _, page in section.links)
