"""Pages by hand and by grid: commands, experiments, laws, the first page, and their markup."""

import re

from docutils.core import publish_parts
from website import commands, gallery, home, law_pages
from website.gallery import drawings
from website.rest import escaped, grid, heading, linked

from loratheory.adapters import LAWS, METHODS, laws
from loratheory.experiments import NAMES


def test_every_command_is_described_with_its_first_sentence():
    text = commands()
    for name in ("theorems", "verify", "merge", "diagnose", "run", "data two-hop"):
        assert f"## `loratheory {name}`" in text
    assert "…" not in text.split("## `loratheory theorems`")[0]
    assert "* `verify`: Check theorems on random cases, rivals and adversaries" in text
    assert text.startswith("# The command `loratheory`")


def test_every_experiment_has_a_page_and_a_picture_if_there_is_one():
    pages = gallery({"window"})
    assert {f"experiments/{name}.rst" for name in NAMES} < set(pages)
    assert "/figures/window.png" in pages["experiments/window.rst"]
    assert "/figures/" not in pages["experiments/gating.rst"]
    assert "Prediction\n---" in pages["experiments/gating.rst"]
    assert "At which merge coefficient is each fact recalled" in pages["experiments/index.rst"]
    assert pages["experiments/gating.rst"].partition("\n")[0][-1] != "."


def test_figures_are_drawn_from_the_tables_that_are_there(tmp_path):
    assert drawings(tmp_path) == {}
    (tmp_path / "window").mkdir()
    text = "coefficient,hop_1,hop_2,two_hop\n0.0,-1.0,-1.0,-1.0\n1.0,1.0,1.0,1.0\n"
    (tmp_path / "window" / "table.csv").write_text(text)
    [(name, picture)] = drawings(tmp_path).items()
    assert name == "window"
    assert picture[:4] == b"\x89PNG"


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
