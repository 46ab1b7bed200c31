"""Sphinx takes what is written without a word; the whole site is ``make site``."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from website import broken, commands, law_pages, theorem_pages, with_keywords
from website.reference import package_page
from website.rest import draggable

from loratheory.theorems import theorem, verify

ROOT = Path(__file__).parents[2]
FEW = tuple(map(theorem, ("rank-floor", "merge-floor", "quantised-floor")))


@pytest.mark.slow
def test_sphinx_builds_a_small_site_without_a_warning_and_finds_what_is_written(tmp_path):
    """Some pages of each kind; ``make site`` builds all, and takes minutes."""
    pages = theorem_pages(FEW, {t.label: verify(t, cases=5) for t in FEW}, {})
    sources, site = tmp_path / "sources", tmp_path / "site"
    kinds = {
        **pages,
        **law_pages(),
        "reference/lowrank.rst": package_page("lowrank"),
        **commands(),
        "index.md": f"# Home\n\nThe golden ratio.\n\n{draggable('still')}\n"
        "```{toctree}\ntheorems/index\nlaws\ncommands\nreference/lowrank\n```\n",
    }
    for name, text in with_keywords(kinds).items():
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        (sources / name).write_text(text, encoding="utf-8")
    for name in re.findall(r"</theorems/([a-z-]+)>|<([a-z-]+)>`", "".join(pages.values())):
        other = sources / "theorems" / f"{name[0] or name[1]}.rst"
        if not other.exists():
            other.write_text(":orphan:\n\nElsewhere\n=========\n")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", str(ROOT / "docs")]
    done = subprocess.run([*command, str(sources), str(site)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert broken(site) == []
    index = (site / "searchindex.js").read_text()
    assert "golden" in index
    assert '"loratheory merge":[[' in index.split('"alltitles":')[1]
    assert 'id="loratheory-merge"' in (site / "commands.html").read_text()
    assert '"merge floor":[[' in index.split('"indexentries":')[1]
    assert "objPartialMatch: 0" in (site / "_static" / "language_data.js").read_text()
    assert "Float[Array, " in re.sub(r"<[^>]+>", "", (site / "reference/lowrank.html").read_text())
