"""``make site``: write the sources, have Sphinx build them, check the links."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from website.commands import commands
from website.course import course
from website.gallery import drawings, gallery
from website.home import home
from website.keywords import with_keywords
from website.laws import law_pages
from website.links import broken
from website.reference import reference
from website.theorems import theorem_pages

ROOT = Path.cwd()
CASES = 40  # checked witnesses a theorem; `loratheory verify` takes more


def sources(root: Path, target: Path) -> None:
    """Write all pages that Sphinx then reads."""
    import nbformat

    from loratheory.figures import SCHEMATICS, rendered
    from loratheory.theorems import ALL, verify_all

    shutil.rmtree(target, ignore_errors=True)
    figures = drawings()
    lessons = course(root / "notebooks", root / "build" / "notebooks")
    hand = {
        file.name: file.read_text(encoding="utf-8") for file in sorted((root / "docs").glob("*.md"))
    }
    pages = {**reference(), **gallery(), **law_pages(), **commands()}
    pages |= home(root, {stem: _title(lesson) for stem, lesson in lessons.items()}, hand)
    texts = {name.rpartition(".")[0]: text for name, text in pages.items() if _tells(name)}
    texts |= {f"course/{stem}": _text(lesson) for stem, lesson in lessons.items()}
    reports = {r.label: r for r in verify_all([t.label for t in ALL], cases=CASES)}
    pages = with_keywords(pages | theorem_pages(ALL, reports, texts))
    for name, text in pages.items():
        _file(target / name).write_text(text, encoding="utf-8")
    schematics = {name: rendered(draw(), "svg") for name, draw in SCHEMATICS.items()}
    for name, picture in {**figures, **schematics}.items():
        _file(target / "figures" / f"{name}.svg").write_bytes(picture)
    for stem, lesson in lessons.items():
        nbformat.write(lesson, _file(target / "course" / f"{stem}.ipynb"))


def _tells(name: str) -> bool:
    """Whether a page says something of its own about theorems."""
    return name.startswith(("experiments/", "scale")) and not name.endswith("index.rst")


def _title(notebook: Any) -> str:
    return str(notebook.cells[0].source.partition("\n")[0].removeprefix("# "))


def _text(notebook: Any) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


def _file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def main() -> int:
    """Build the site; warnings and broken links are errors."""
    target, site = ROOT / "build" / "docs", ROOT / "build" / "site"
    sources(ROOT, target)
    shutil.rmtree(site, ignore_errors=True)
    options = ["-W", "--keep-going", "-q", "-j", "auto", "-d", "build/doctrees", "-c", "docs"]
    command = [sys.executable, "-m", "sphinx", "-b", "html", *options, str(target), str(site)]
    if subprocess.run(command, check=False, cwd=ROOT).returncode:
        return 1
    lines = broken(site)
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    if not lines:
        sys.stderr.write(f"the site: {site / 'index.html'}\n")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
