"""Markup that says what it was given."""

from docutils.core import publish_parts
from website.rest import escaped, grid, heading, linked, toctree


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


def test_a_hidden_contents_is_hidden():
    assert ":hidden:" in toctree(["a"], hidden=True)
    assert ":hidden:" not in toctree(["a"], caption="C")
    assert "   a\n   b\n" in toctree(["a", "b"])
