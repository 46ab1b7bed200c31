"""The notebooks as pages: the copies that were executed, or executed now where they are stale."""

import re
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from website.rest import draggable

WIDGET = "application/vnd.jupyter.widget-view+json"
SLIDERS = "*Sliders are here when the notebook runs:* `make lab`."
DRAGGED = {"02_two_hop_averaging": draggable(SLIDERS, "../")}
"""What a page has in place of its first slider: here the reader drags without a kernel."""
LABEL = r"(?<!\[)`thm:([a-z-]+)`"


def course(notebooks: Path, executed: Path) -> dict[str, Any]:
    """Return the course's pages as notebooks."""
    return {
        source.stem: shown(run(source, executed), DRAGGED.get(source.stem, SLIDERS))
        for source in sorted(notebooks.glob("*.ipynb"))
    }


def run(source: Path, executed: Path) -> Any:
    """Return the executed copy of a notebook; runs it only if its cells are other than then."""
    import nbformat
    from execution import execute

    notebook, copy = nbformat.read(source, as_version=4), executed / source.name
    if copy.is_file():
        done = nbformat.read(copy, as_version=4)
        if [cell.source for cell in done.cells] == [cell.source for cell in notebook.cells]:
            return done
    path = {"metadata": {"path": str(source.parent)}}
    execute(notebook, timeout=600, resources=path)
    executed.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, copy)
    return notebook


def shown(notebook: Any, first: str = SLIDERS) -> Any:
    """Return a notebook as a page: sliders, which need a kernel, give way to notes."""
    import nbformat

    notes, cells = chain([first], repeat(SLIDERS)), []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(LABEL, r"[`thm:\1`](../theorems/\1.rst)", cell.source)
            cell.source = cell.source.replace("](../docs/", "](../")
        cells.append(cell)
        outputs = cell.get("outputs", [])
        still = [out for out in outputs if WIDGET not in out.get("data", {})]
        if len(still) < len(outputs):
            cell.outputs = still
            cells.append(nbformat.v4.new_markdown_cell(next(notes)))
    notebook.cells = cells
    notebook.metadata.pop("widgets", None)
    return notebook
