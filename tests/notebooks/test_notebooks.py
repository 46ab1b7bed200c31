"""Every notebook runs clean from a fresh kernel and keeps the form; its solutions are right."""

import re
from collections import defaultdict
from itertools import pairwise

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient
from pairs import NOTEBOOKS

from loratheory.exercises import EXERCISES

SOURCES = sorted(NOTEBOOKS.glob("*.py"))
EXECUTED = NOTEBOOKS.parent / "build" / "notebooks"
each = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
# Behind the overview and the page on your own adapters.
lesson = pytest.mark.parametrize("source", SOURCES[2:], ids=lambda path: path.stem)


def cells(source, *kinds):
    """The section, kind and text of each cell."""
    found, section = [], ""
    for cell in jupytext.read(source).cells:
        heads = re.findall(r"^## (.+)$", cell.source, flags=re.M)
        section = heads[-1] if heads and cell.cell_type == "markdown" else section
        found.append((section, cell.cell_type, cell.source))
    return [cell for cell in found if not kinds or cell[1] in kinds]


def solved(source):
    """For each exercise a cell that runs the solution folded below it and has it judged."""
    found = []
    for (section, kind, text), (_, _, after) in pairwise(cells(source)):
        if section == "Exercises" and kind == "code":
            code = re.search(r"<details>.*```python\n(.+)\n```.*</details>", after, re.S)[1]
            asked = text.splitlines()[-1]
            found.append(f'{code}\nassert {asked}.startswith("correct"), {asked}')
    return found


@pytest.mark.slow
@each
def test_it_runs_clean_and_shows_what_it_derives_and_its_solutions_are_correct(source):
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    length = len(notebook.cells)
    notebook.cells += [nbformat.v4.new_code_cell(text) for text in solved(source)]
    where = {"metadata": {"path": str(NOTEBOOKS)}}
    NotebookClient(notebook, timeout=600, startup_timeout=600, resources=where).execute()
    # nbclient answers an Output widget on the socket where it waits, and may then wait forever
    widgets = notebook.metadata.get("widgets", {}).values()
    models = [model["model_name"] for kind in widgets for model in kind["state"].values()]
    assert "OutputModel" not in models
    assert ("HTMLModel" in models) == ("explore(" in source.read_text())
    notebook.cells = notebook.cells[:length]
    EXECUTED.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, EXECUTED / f"{source.stem}.ipynb")
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", ())]
    assert not [out.text for out in outputs if out.get("name") == "stderr"]
    assert not [out for out in outputs if "Warning" in str(out.get("text", ""))]
    kinds = {kind for out in outputs for kind in out.get("data", ())}
    assert "image/png" not in kinds  # a figure is drawn once, as SVG
    assert "text/html" in kinds or "loratheory.figures" not in source.read_text()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for (section, _, text), cell in zip(cells(source, "code"), code, strict=True):
        tells = section == "Derive" or "AssumptionError as" in text
        assert cell.outputs or not tells, f"{text}\nshows nothing"
        if section == "Exercises":
            assert cell.outputs[0].data["text/plain"] == "not answered yet"


@lesson
def test_each_section_does_its_work_and_each_exercise_can_be_judged(source):
    code = defaultdict(list)
    for section, _, text in cells(source, "code"):
        code[section].append(text)
    assert re.search(r"^assert .*== 0$", code["Derive"][-1], flags=re.M)
    for section, call in (("Construct", "attain("), ("Verify", ".check("), ("Verify", "assert ")):
        assert any(call in text for text in code[section])
    assert "explore(" in code["Explore"][-1]
    judged = [re.search(r'judge\("(.+?)", mine\)$', text)[1] for text in code["Exercises"]]
    assert judged == [name for name in EXERCISES if name.startswith(source.stem[:2])]
    folds = [re.findall("<summary>(.+)</", t) for *_, t in cells(source) if ">Solution<" in t]
    assert folds == [["Hint 1", "Hint 2", "Solution"]] * len(judged)
