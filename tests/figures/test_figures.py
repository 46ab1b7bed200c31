"""Figures: drawn from their stored tables, the same bytes every time, clear about bad tables."""

import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import matplotlib as mpl
import pytest

from loratheory.figures import FIGURES, UNDATED, TableError, columns, rendered, table

ROOT = Path(__file__).parents[2]
each = pytest.mark.parametrize("name", FIGURES)


@cache
def stored(name):
    """A stored table, read once."""
    return table(ROOT / "paper" / "results" / name / "table.csv")


@each
def test_the_same_table_gives_the_same_bytes(name, monkeypatch):
    """Whatever the user's own settings are, and whatever the time is."""
    first = FIGURES[name](stored(name))
    before = {kind: rendered(first, kind) for kind in UNDATED}
    monkeypatch.setitem(mpl.rcParams, "savefig.dpi", 33)
    monkeypatch.setitem(mpl.rcParams, "font.size", 22)
    monkeypatch.setitem(mpl.rcParams, "pdf.fonttype", 3)
    monkeypatch.setitem(mpl.rcParams, "svg.hashsalt", None)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    again = FIGURES[name](stored(name))
    assert {kind: rendered(again, kind) for kind in UNDATED} == before


@each
def test_each_column_it_asks_for_is_missed(name, monkeypatch):
    """What a figure asks for while it draws; the small exact tables have nothing else."""
    rows, asked = stored(name), set()
    import_module(f"loratheory.figures.{name}")

    def noting(rows, *names):
        asked.update(names)
        return columns(rows, *names)

    for module in [m for n, m in sys.modules.items() if n.startswith("loratheory.figures.")]:
        if getattr(module, "columns", None) is columns:
            monkeypatch.setattr(module, "columns", noting)
    FIGURES[name](rows)
    asked &= set(rows[0])  # the rest is derived
    assert len(asked) >= 2
    for column in asked:
        lacking = [{key: row[key] for key in row if key != column} for row in rows]
        with pytest.raises(TableError, match=f"no column {column}"):
            FIGURES[name](lacking)


@each
def test_drawing_leaves_the_settings_alone(name):
    before = dict(mpl.rcParams)
    FIGURES[name](stored(name))
    assert dict(mpl.rcParams) == before


def test_the_readme_picture_is_the_stored_one():
    size = (ROOT / "paper" / "figures" / "window.png").stat().st_size
    drawn = rendered(FIGURES["window"](stored("window")), "png")
    assert drawn[:8] == b"\x89PNG\r\n\x1a\n"
    assert size == pytest.approx(len(drawn), rel=0.2)


def test_the_registry_loads_no_plotting():
    code = "import sys, loratheory.figures; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_cells_that_win_the_composed_answer_lie_inside_the_predicted_border():
    """The picture's two layers agree: colours from the table, the line from the theorem."""
    axes = FIGURES["two_read_region"](stored("two_read_region")).axes[0]
    mesh, border = axes.collections[0], axes.collections[1]
    inside = border.get_paths()[0]
    colours = mesh.get_array().reshape(24, 24)
    centres = [0.025 + 0.05 * i for i in range(24)]
    corner = [[1.2, 0.5], [1.2, 1.2], [0.4, 1.2]]
    outline = [*inside.vertices.tolist(), *corner]
    region = mpl.path.Path(outline if outline[0][0] < 1 else [*inside.vertices[::-1], *corner[:2]])
    for i, y in enumerate(centres):
        for j, x in enumerate(centres):
            assert (colours[i, j] == 2) == bool(region.contains_point((x, y)))
