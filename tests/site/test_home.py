"""What is written by hand becomes pages, its links turned."""

import re

from website import home


def test_the_first_page_is_the_readme_with_contents(tmp_path):
    (tmp_path / "README.md").write_text(
        "# T\n\n[n](notebooks/01_a.ipynb), `thm:merge-floor`, [s](docs/scale.md)\n\n"
        "![p](paper/figures/window.png)\n"
    )
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n")
    pages = home(tmp_path, {"01_a": "Why?"}, {"scale.md": "# Scale\n[back](../README.md)\n"})
    assert "[back](index.md)" in pages["scale.md"]
    text = pages["index.md"]
    for link in ("(course/01_a.ipynb)", "(theorems/merge-floor.rst)", "(scale.md)"):
        assert link in text
    assert "(figures/window.png)" in text
    assert "01 Why? <course/01_a>" in text
    assert re.search(r"^scale$", text, flags=re.MULTILINE)
    assert re.search(r"^changelog$", text, flags=re.MULTILINE)
