"""``make handout`` writes what a class gets into ``build/handout``."""

import shutil
import sys
from pathlib import Path

import nbformat

FOLDED = "<details>"  # hints, solutions and notes for lecturers open with it
FOLDERS = ("tests/data/persons", "tests/data/mascots", "notebooks/drawings")
PAGES = ("glossary.md", "teaching.md", "how-to/check_your_method.md", "how-to/train.md")


def handout(root: Path, folder: Path) -> None:
    """Write all notebooks without what is folded, and what they need beside the library."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in FOLDERS:
        shutil.copytree(root / name, folder / name.removeprefix("notebooks/"))
    (folder / "how-to").mkdir()
    for name in PAGES:
        shutil.copy(root / "docs" / name, folder / name)
    for source in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(source, as_version=4)
        # Hints with solutions, and notes, are cells of their own.
        notebook.cells = [cell for cell in notebook.cells if not cell.source.startswith(FOLDED)]
        for cell in notebook.cells:
            # In the handout pages lie beside the notebooks.
            cell.source = cell.source.replace("](../docs/", "](")
        nbformat.write(notebook, folder / source.name)


if __name__ == "__main__":
    handout(Path.cwd(), Path.cwd() / "build" / "handout")
    sys.stderr.write("the course without solutions: build/handout\n")
