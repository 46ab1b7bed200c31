"""Executed copies serve; sliders give way to a note; labels become links."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from website.course import DRAGGED, SLIDERS, WIDGET, course, run, shown


def saved(folder, name, *cells):
    folder.mkdir(exist_ok=True)
    file = folder / name
    nbformat.write(new_notebook(cells=list(cells)), file)
    return file


def test_a_copy_of_the_same_cells_is_not_run_again(tmp_path):
    source = saved(tmp_path, "a.ipynb", new_code_cell("raise SystemExit"))
    old = new_code_cell("raise SystemExit", outputs=[new_output("stream", text="kept")])
    saved(tmp_path / "done", "a.ipynb", old)
    assert run(source, tmp_path / "done").cells[0].outputs[0].text == "kept"
    assert list(course(tmp_path, tmp_path / "done")) == ["a"]


@pytest.mark.parametrize("before", [None, "1 + 1"])
def test_a_missing_or_stale_copy_is_made_anew_and_left_there(tmp_path, before):
    source, done = saved(tmp_path, "a.ipynb", new_code_cell("2 + 3")), tmp_path / "done"
    if before:
        saved(done, "a.ipynb", new_code_cell(before))
    for _ in range(2):
        assert run(source, done).cells[0].outputs[0].data["text/plain"] == "5"


def test_sliders_give_way_to_a_note_and_other_outputs_stay():
    data = {WIDGET: {"model_id": "0"}, "text/plain": "interactive(...)"}
    slider, plain = new_output("display_data", data=data), new_output("stream", text="kept")
    notebook = new_notebook(
        cells=[new_code_cell("f()", outputs=[slider, plain]), new_code_cell("g()")],
        metadata={"widgets": {}},
    )
    code, note, last = shown(notebook).cells
    assert [out.text for out in code.outputs] == ["kept"]
    assert note.source == SLIDERS
    assert last.source == "g()"
    assert "widgets" not in notebook.metadata


def test_a_page_may_have_something_to_drag_for_its_first_slider():
    slider = new_output("display_data", data={WIDGET: {"model_id": "0"}})
    cells = [new_code_cell(name, outputs=[slider]) for name in "fg"]
    page = shown(new_notebook(cells=cells), DRAGGED["02_two_hop_averaging"]).cells
    assert [cell.source for cell in page[1::2]] == [DRAGGED["02_two_hop_averaging"], SLIDERS]


def test_labels_become_links_once():
    text = "by `thm:merge-floor` and [`thm:edit-budget`](x)"
    [cell] = shown(new_notebook(cells=[new_markdown_cell(text)])).cells
    link = "[`thm:merge-floor`](../theorems/merge-floor.rst)"
    assert cell.source == f"by {link} and [`thm:edit-budget`](x)"


def test_pages_written_by_hand_are_found_from_the_course():
    [cell] = shown(new_notebook(cells=[new_markdown_cell("[words](../docs/glossary.md)")])).cells
    assert cell.source == "[words](../glossary.md)"
