"""``make handout`` and ``make slides``: what a class gets, into ``build``."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path.cwd()
FOLDED = "<details>"  # solutions and notes for lecturers open with it
DATA = ("tests/data/persons", "tests/data/mascots")
PAGES = tuple(f"docs/{page}.md" for page in ("glossary", "teaching", "own_rule", "portable"))
SCHEMATICS = ("low_rank", "two_hops", "old_facts")
STUDIES = ("window", "merge_coefficient", "small_libraries", "lm_methods")


def handout(root: Path, folder: Path) -> None:
    """Write all notebooks without what is folded, and what they need beside the library."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in DATA:
        shutil.copytree(root / name, folder / name)
    for name in PAGES:
        shutil.copy(root / name, folder)
    for source in sorted((root / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(source, as_version=4)
        notebook.cells = [cell for cell in notebook.cells if not cell.source.startswith(FOLDED)]
        for cell in notebook.cells:
            cell.source = cell.source.replace("](../docs/", "](")
        nbformat.write(notebook, folder / source.name)


def slides(root: Path, folder: Path) -> int:
    """Draw the lecture's figures and typeset its slides; the exit code of LaTeX."""
    from loratheory.figures import drawing, rendered
    from paper import style
    from paper.style import file_bytes

    if shutil.which("latexmk") is None:
        sys.stderr.write("slides need latexmk and TeX Live: `make paper-deps` installs them\n")
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    for name in SCHEMATICS:
        (folder / f"{name}.pdf").write_bytes(rendered(drawing(name), "pdf"))
    for name in STUDIES:
        (folder / f"{name}.pdf").write_bytes(file_bytes(style.drawing(name), "pdf"))
    source = shutil.copy(root / "docs" / "teaching" / "lecture.tex", folder)
    command = ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-quiet"]
    done = subprocess.run([*command, Path(source).name], cwd=folder, check=False)
    return done.returncode


def main(arguments: list[str]) -> int:
    """Make the one that is named; the exit code."""
    build = ROOT / "build"
    if arguments == ["handout"]:
        handout(ROOT, build / "handout")
        sys.stderr.write(f"the course without solutions: {build / 'handout'}\n")
        return 0
    if arguments == ["slides"]:
        code = slides(ROOT, build / "slides")
        if not code:
            sys.stderr.write(f"the slides: {build / 'slides' / 'lecture.pdf'}\n")
        return code
    sys.stderr.write("teaching: name one of handout, slides\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
