"""Every experiment has a page, and a picture where there is one."""

from website import gallery
from website.gallery import drawings

from loratheory.experiments import NAMES


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
