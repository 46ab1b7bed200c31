"""Pages by hand and by grid: commands, experiments, laws, the first page, and their markup."""

import re
from pathlib import Path

from docutils.core import publish_parts
from typer.main import get_command
from website import commands, gallery, home, law_pages, with_keywords
from website.gallery import drawings
from website.home import CONTENTS
from website.keywords import KEYWORDS
from website.rest import draggable, escaped, grid, heading, linked

from loratheory.adapters import LAWS, METHODS, laws
from loratheory.cli import app
from loratheory.figures._look import STYLE
from loratheory.theorems import ALL
from paper.studies import NAMES

ROOT = Path(__file__).parents[2]
WORDS = {"a.rst": ("golden ratio", "LoRA"), "b.md": ("PEFT",)}


def test_every_command_has_a_page_and_a_line_of_the_index():
    pages, known = commands(), get_command(app).commands
    assert list(pages) == ["commands.md", *(f"commands/{name}.md" for name in known)]
    index = pages["commands.md"]
    assert index.startswith("# The command `loratheory`")
    for name in known:
        assert pages[f"commands/{name}.md"].startswith(f"# `loratheory {name}`\n")
        assert f"\ncommands/{name}\n" in index
        assert f'<span id="loratheory-{name}"></span>[`{name}`](commands/{name}.md): ' in index
    assert "…" not in index
    assert "(commands/verify.md): Check theorems numerically, on random cases" in index
    inner = '"loratheory-data-two-hop"></span>[`data two-hop`](commands/data.md#loratheory-data-'
    assert f"* <span id={inner}two-hop): Write invented facts" in index
    assert index.count("* <span") == len(known) + 2


def test_a_command_is_described_so_that_its_example_can_be_copied():
    pages = commands()
    verify = pages["commands/verify.md"]
    assert "```console\n$ loratheory verify two-read-region --deep\n```" in verify
    assert "minute; with `--deep`, ten times" in verify
    assert "\n## `loratheory data two-hop`\n" in pages["commands/data.md"]
    assert "`two-hop`: " not in pages["commands/data.md"]  # a list in which Typer cuts sentences
    assert "Example: `" not in "".join(pages.values())


def test_every_study_has_a_page_and_a_card():
    pages = gallery()
    assert {f"experiments/{name}.md" for name in NAMES} < set(pages)
    page = pages["experiments/window.md"]
    assert "/figures/window.svg" in page
    assert "**Prediction.**" in page
    assert "](/theorems/two-read-region.rst)" in page
    index = pages["experiments/index.rst"]
    assert "At which merge coefficient is each fact recalled" in index
    assert index.count(".. container:: card\n") == len(NAMES)


def test_figures_follow_the_switch_between_light_and_dark():
    """An SVG file asks for the scheme of the element around it, which the theme does not set."""
    style = (ROOT / "docs" / "_static" / "site.css").read_text(encoding="utf-8")
    assert "prefers-color-scheme" in STYLE
    for theme in ("light", "dark"):
        assert f'body[data-theme="{theme}"] {{ color-scheme: {theme}; }}' in style


def test_figures_are_those_stored_beside_the_tables():
    assert set(drawings()) == {*NAMES}
    assert all(b"<svg " in picture for picture in drawings().values())


def test_pages_by_hand_lead_to_pages_of_the_site(tmp_path):
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n[s](docs/scale.md)\n")
    (tmp_path / "README.md").write_text("# loratheory\n")
    first = (
        "# T\n\n[n](../notebooks/01_a.ipynb), `thm:merge-floor`, [s](scale.md), "
        "[t](../loratheory/theorems/)\n\n![p](../paper/studies/window/figure.svg)\n"
    )
    docs = {"index.md": first, "scale.md": "# Scale\n[log](../CHANGELOG.md)\n"}
    pages = home(tmp_path, {"01_a": "Why?"}, docs)
    assert "[log](changelog.md)" in pages["scale.md"]
    assert "[s](scale.md)" in pages["changelog.md"]
    text = pages["index.md"]
    for link in ("(course/01_a.ipynb)", "(theorems/merge-floor.rst)", "(theorems/index.rst)"):
        assert link in text
    assert "01 Why? <course/01_a>" in text
    trees = dict(re.findall(r":caption: ([^\n]+)\n\n(.*?)\n```", text, flags=re.DOTALL))
    assert list(trees) == list(CONTENTS)
    assert "scale" in trees["Use it"].split()
    assert trees["Reference"].splitlines() == [*CONTENTS["Reference"], "changelog"]


def test_the_picture_to_drag_keeps_a_still_one_for_readers_without_scripts(tmp_path):
    still = "![p](../paper/studies/window/figure.svg)"
    text = home(tmp_path, {}, {"index.md": f"# T\n\n{still}\n\nand {still}\n"})["index.md"]
    around, script = draggable("![p](figures/window.svg)").split("</div>")
    assert around + "</div>" + script in text
    assert text.count("two_hops.js") == 1
    for file in ("two_hops.js", "scorer.js", "icon.svg", "site.css"):
        assert (ROOT / "docs" / "_static" / file).is_file()


def test_every_link_of_the_pages_by_hand_is_there_in_the_checkout():
    for page in (ROOT / "docs").glob("*.md"):
        for place in re.findall(r"\]\(((?:\.\./|\w)[^)#:]*)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / place).exists(), f"{page.name} points to {place}"


def test_keywords_open_pages_that_are_there_and_no_others():
    pages = with_keywords({"a.rst": "A\n=\n", "b.md": "# B\n", "c.md": "# C\n"}, WORDS)
    assert pages["a.rst"] == ".. index:: ! golden ratio, ! LoRA\n\nA\n=\n"
    assert pages["b.md"] == "```{index} ! PEFT\n```\n\n# B\n"
    assert pages["c.md"] == "# C\n"
    names = {f"theorems/{theorem.label[4:]}.rst" for theorem in ALL} | {"laws.rst"}
    assert set(KEYWORDS) <= names | {*commands()} | {
        page.name for page in (ROOT / "docs").glob("*.md")
    }


def test_every_rule_law_verdict_and_reason_is_there():
    text, rows = law_pages()["laws.rst"], laws()
    for name in [*METHODS, *LAWS]:
        assert name in text
    for method in METHODS.values():
        assert escaped(method.cost) in text
    for law in LAWS.values():
        assert (law.__doc__ or "").split("\n")[0][:20].replace("_", "\\_") in text
    cells = [(row, name, cell) for row in rows for name, cell in row.cells.items()]
    for mark, holds in (("✓", True), ("✗", False)):
        assert text.count(f"- {mark}\n") == [cell.holds for *_, cell in cells].count(holds)
    for row, name, cell in cells:
        line = f"* ``{row.method}`` ({row.space}), {name}: {escaped(cell.reason)}."
        assert (line in text) == bool(cell.reason and cell.holds is False)


def html(text):
    return publish_parts(
        text, writer="html5", settings_overrides={"report_level": 1, "doctitle_xform": False}
    )["body"]


def test_plain_text_comes_out_as_it_went_in():
    text = r"|H'u|^2 *not bold* `x` c_j a_ \surd"
    assert f"<p>{text}</p>".replace("'", "&#x27;") in html(escaped(text)).replace("'", "&#x27;")


def test_labels_lead_to_their_pages():
    one, two = linked("see ``thm:merge-floor`` and `thm:edit-budget`.").split(" and ")
    assert one == "see :doc:`thm:merge-floor </theorems/merge-floor>`"
    assert two == ":doc:`thm:edit-budget </theorems/edit-budget>`."
    assert linked("``merge`` only") == "``merge`` only"


def test_a_table_has_its_cells_in_their_places():
    body = html(grid(("a", "b"), [("1", "two\nlines"), ("*3*", "4")]))
    cells = [part.partition("<")[0] for part in body.split("<p>")[1:]]
    assert cells == ["a", "b", "1", "two\nlines", "", "4"]
    assert "<em>3</em>" in body
    assert body.count("<th ") == 2


def test_a_heading_is_one_whatever_its_letters():
    assert "<h" in html(heading("Σ of ‖Δ‖") + "text\n")
