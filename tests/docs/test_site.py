"""The site builds without a warning, its links lead somewhere, and it needs no network."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pages, built = (tmp_path_factory.mktemp(name) for name in ("pages", "site"))
    for name in ("docs", "notebooks", "paper"):
        # A build of the paper beside this test writes the PDF by a hidden file.
        but = shutil.ignore_patterns("__pycache__", ".*", "main.pdf")
        shutil.copytree(ROOT / name, pages / name, ignore=but)
    for page in ROOT.glob("*.md"):
        shutil.copy(page, pages)
    for name in ("LICENSE", "CITATION.cff"):
        shutil.copy(ROOT / name, pages)
    # Notebooks are not executed here: the tests of notebooks do that.
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", str(ROOT / "docs")]
    done = subprocess.run([*command, str(pages), str(built)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return built


@pytest.mark.slow
def test_every_link_inside_the_site_leads_to_a_page(site):
    lost = []
    for page in site.rglob("*.html"):
        for link in re.findall(r'href="([^"#?]+)', page.read_text(encoding="utf-8")):
            outside = re.match(r"\w+:", link)
            if not outside and not (page.parent / link).exists():
                lost.append(f"{page.relative_to(site)}: {link}")
    assert not lost


@pytest.mark.slow
def test_no_page_loads_anything_from_the_network(site):
    fetched = r"<(?:script|img)[^>]+src=\"https?:|<link[^>]+stylesheet[^>]+href=\"https?:"
    example = '<link rel="stylesheet" href="https://example.org/a.css"><script src="http://b.js">'
    assert len(re.findall(fetched, example)) == 2
    for page in site.rglob("*.html"):
        assert not re.findall(fetched, page.read_text(encoding="utf-8")), page


@pytest.mark.slow
def test_a_theorem_is_found_by_its_label_from_a_notebook(site):
    page = (site / "notebooks" / "02_two_hop_averaging.html").read_text(encoding="utf-8")
    assert "generated/theorems_composition.html#thm-two-read-region" in page
    assert 'id="thm-two-read-region"' in (
        site / "docs" / "generated" / "theorems_composition.html"
    ).read_text(encoding="utf-8")
