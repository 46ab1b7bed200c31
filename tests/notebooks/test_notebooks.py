"""Every notebook runs clean from a fresh kernel and keeps the form; exercises can be solved."""

import ast
import re
import resource
import statistics
import subprocess
import sys
import textwrap
from itertools import pairwise

import jupytext
import nbformat
import pairs
import pytest
from pairs import NOTEBOOKS, differences

from loratheory import theorems

SOURCES = sorted(NOTEBOOKS.glob("*.py"))
MAP, *LESSONS = SOURCES
EXECUTED = NOTEBOOKS.parent / "build" / "notebooks"
SECTIONS = (
    "Question",
    "Derive",
    "Construct",
    "Verify",
    "Explore",
    "What this does not say",
    "Exercises",
)
INSTALLED = {
    "itertools",
    "pathlib",
    "loratheory",
    "numpy",
    "sympy",
    "matplotlib",
    "ipywidgets",
    "torch",
}
REFUSED = """
try:
{}
except AssertionError as refusal:
    assert "not yet" in str(refusal)
else:
    raise RuntimeError("the exercise takes a wrong answer")
"""
each = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
lesson = pytest.mark.parametrize("source", LESSONS, ids=lambda path: path.stem)


def cells(source, *kinds):
    """The section, kind and text of each cell."""
    found, section = [], ""
    for cell in jupytext.read(source).cells:
        heads = re.findall(r"^## (.+)$", cell.source, flags=re.M)
        section = heads[-1] if heads and cell.cell_type == "markdown" else section
        found.append((section, cell.cell_type, cell.source))
    return [cell for cell in found if not kinds or cell[1] in kinds]


def python(text):
    return "\n".join(line for line in text.splitlines() if not line.startswith("%"))


def attempts(source):
    """For each exercise a cell with the solution folded below it, and one with a wrong answer."""
    found = []
    for (section, kind, text), (_, _, after) in pairwise(cells(source)):
        if section == "Exercises" and kind == "code":
            solution = re.search(r"<details>.*```python\nmine = (.+)\n```.*</details>", after, re.S)
            right = solution[1]
            wrong = f"not {right}" if right in ("True", "False") else f"1.1 * ({right}) + 0.1"
            tried = text.replace("mine = None", f"mine = {wrong}")
            found.append(text.replace("mine = None", f"mine = {right}"))
            found.append(REFUSED.format(textwrap.indent(tried, "    ")))
    assert source == MAP or len(found) >= 6
    return found


@pytest.mark.slow
@each
def test_it_runs_clean_in_a_minute_and_exercises_take_their_solutions_and_nothing_else(
    source, tmp_path
):
    """A minute of computing: a busy machine, or a kernel slow to answer, is not the notebook's."""
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    length = len(notebook.cells)
    notebook.cells += [nbformat.v4.new_code_cell(text) for text in attempts(source)]
    file = tmp_path / "notebook.ipynb"
    nbformat.write(notebook, file)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, NOTEBOOKS.parent / "docs" / "execution.py", file, NOTEBOOKS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    notebook = nbformat.read(file, 4)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    notebook.cells = notebook.cells[:length]
    EXECUTED.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, EXECUTED / f"{source.stem}.ipynb")
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    assert not [out.text for out in outputs if out.get("name") == "stderr"]
    assert not [out for out in outputs if "Warning" in str(out.get("text", ""))]
    assert 0 < seconds < 60


def test_every_pair_agrees():
    assert differences() == []


def test_a_pair_that_differs_is_noticed(tmp_path, monkeypatch):
    def made(sources):
        return {p.stem: b"made of " + p.read_bytes() for p in sources}

    monkeypatch.setattr(pairs, "stripped", made)
    source, pair = tmp_path / "a.py", tmp_path / "a.ipynb"
    source.write_bytes(b"x")
    assert "has no .ipynb" in differences(tmp_path)[0]
    pair.write_bytes(b"made of x")
    assert differences(tmp_path) == []
    source.write_bytes(b"y")
    assert "is not what a.py makes" in differences(tmp_path)[0]
    source.unlink()
    assert "has no .py source" in differences(tmp_path)[0]


@each
def test_jupyter_needs_to_mend_nothing_on_opening(source):
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"


@lesson
def test_the_title_is_a_question_and_the_sections_come_in_order(source):
    text = "\n".join(text for _, _, text in cells(source, "markdown"))
    title, *others = re.findall(r"^# (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    assert title.endswith("?")
    assert not others
    assert tuple(re.findall(r"^## (.+)$", text, flags=re.M)) == SECTIONS


def test_the_map_names_every_lesson_by_its_title():
    text = re.sub(r"\s+", " ", " ".join(text for _, _, text in cells(MAP, "markdown")))
    listed = re.findall(r"\*\*(\d\d)\*\* \[(.+?)\]\((.+?)\.ipynb\)", text)
    titles = [(path.stem[:2], cells(path)[0][2].splitlines()[0][2:], path.stem) for path in LESSONS]
    assert [place for place in titles if place not in listed] == []
    assert [place for place in listed if place not in titles] == []


@lesson
def test_it_closes_with_a_note_for_the_lecturer(source):
    *_, (_, kind, text) = cells(source)
    assert kind == "markdown"
    assert text.startswith("<details><summary>For the lecturer</summary>")
    assert text.endswith("</details>")
    assert re.search(r"\*\*Time\.\*\* \d+ minutes", text)
    assert "**Ask.**" in text
    assert "**Common wrong answers.**" in text


@each
def test_cells_are_short_and_each_is_introduced(source):
    lengths = [len(text.splitlines()) for _, _, text in cells(source, "code")]
    assert statistics.median(lengths) <= 6
    assert max(lengths) <= 15
    kinds = [kind for _, kind, _ in cells(source)]
    assert all(kinds[i - 1] == "markdown" for i, kind in enumerate(kinds) if kind == "code")


@lesson
def test_it_names_its_theorem_and_its_run_time(source):
    question = "".join(text for section, _, text in cells(source) if section == "Question")
    labels = set(re.findall(r"`(thm:[a-z-]+)`", question))
    assert labels
    assert labels <= {theorem.label for theorem in theorems.ALL}
    assert re.search(r"Runs in about \d+ s on two cores", question)


@lesson
def test_each_section_does_its_work(source):
    code = {s: [t for section, _, t in cells(source, "code") if section == s] for s in SECTIONS}
    assert re.search(r"^assert .*== 0$", code["Derive"][-1], flags=re.M)
    assert any("attain(" in text for text in code["Construct"])
    assert any(".check(" in text for text in code["Verify"])
    assert any("assert " in text for text in code["Verify"])
    assert "interact(" in code["Explore"][-1]
    assert not code["What this does not say"]
    assert all("assert mine is None or " in text for text in code["Exercises"])


@each
def test_it_imports_installed_packages_and_defines_nothing_that_others_need(source):
    for section, _, text in cells(source, "code"):
        for node in ast.walk(ast.parse(python(text))):
            assert not isinstance(node, ast.ClassDef)
            assert section == "Explore" or not isinstance(node, ast.FunctionDef)
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= INSTALLED
            if isinstance(node, ast.ImportFrom):
                assert node.module.split(".")[0] in INSTALLED
                assert "._" not in node.module
