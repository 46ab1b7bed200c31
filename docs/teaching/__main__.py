"""``make handout`` writes what a class gets into ``build/handout``."""

import re
import shutil
import sys
from pathlib import Path

import nbformat

FOLDED = "<details>"  # hints, solutions and notes for lecturers open with it
HINT = re.compile(r"<details><summary>Hint.*?</details>", re.DOTALL)
FOLDERS = ("tests/data/persons", "tests/data/mascots", "notebooks/drawings")
STORED = re.compile(r"{STUDIES}/([\w/.]+)")  # what notebooks read of the paper's studies
PAGES = ("glossary.md", "teaching.md", "how-to/check_your_method.md", "how-to/train.md")


def handout(root: Path, folder: Path) -> None:
    """Write all notebooks without solutions and notes, and what they need beside the library."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in FOLDERS:
        shutil.copytree(root / name, folder / name.removeprefix("notebooks/"))
    (folder / "how-to").mkdir()
    for name in PAGES:
        shutil.copy(root / "docs" / name, folder / name)
    for source in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(source, as_version=4)
        for cell in notebook.cells:
            # In the handout pages, tables and figures lie beside the notebooks.
            cell.source = cell.source.replace("](../docs/", "](").replace(
                "../paper/studies", "studies"
            )
            for name in STORED.findall(cell.source):
                (folder / "studies" / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / "paper/studies" / name, folder / "studies" / name)
            # Hints share a cell with the solution; notes have one of their own.
            if cell.source.startswith(FOLDED):
                cell.source = "\n\n".join(HINT.findall(cell.source))
        notebook.cells = [cell for cell in notebook.cells if cell.source]
        nbformat.write(notebook, folder / source.name)


if __name__ == "__main__":
    handout(Path.cwd(), Path.cwd() / "build" / "handout")
    sys.stderr.write("the course without solutions: build/handout\n")
