"""Coverage against merge coefficient: which cells compose, and where theory draws the border."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns
from loratheory.theorems.composition.two_read_region import threshold

MEASURED = ("two_hop", "predicted", "oracle_placement", "oracle_curved", "facts")
NEEDED = (
    "coverage",
    "coefficient",
    *MEASURED,
    "held_out",
    "predicted_right",
    "oracle_curved_right",
)
BLACK, ORANGE = "#000000", "#D55E00"

Cells = Mapping[tuple[float, float], Mapping[str, float]]


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw the accuracy on edited chains in every cell, and the predicted border over it.

    Parameters
    ----------
    rows : sequence of mappings
        Columns `case` (`overwrite` is drawn), `coverage`, `coefficient`; measured `two_hop` and
        `oracle_placement`, their predictions `predicted` and `oracle_curved`, how often these are
        right; `facts`; `held_out`.

    Returns
    -------
    matplotlib.figure.Figure
        Left both adapters act in both passes, right each in its own only. Below, all cells of a
        column together, and the rates at which the predictors are right.
    """
    from matplotlib.figure import Figure

    numbers = columns(rows, *NEEDED)
    named = [dict(zip(NEEDED, row, strict=True)) for row in zip(*numbers, strict=True)]
    cells = _means(
        [
            new
            for new, row in zip(named, rows, strict=True)
            if row.get("case", "overwrite") == "overwrite"
        ]
    )
    figure = Figure(figsize=(7.4, 4.6))
    grid = figure.subplots(2, 2, sharex=True, height_ratios=(1.15, 1), squeeze=False)
    plane = _phase(grid[0][0], cells, "two_hop", "predicted")
    _phase(grid[0][1], cells, "oracle_placement", "oracle_curved")
    grid[0][0].set(title="Both adapters everywhere", ylabel="coverage of chains\nin pretraining")
    grid[0][1].set(title="Each adapter in its own pass only")
    grid[0][0].text(0.02, 0.55, "orange: predicted border", color="white", fontsize=8)
    grid[0][0].text(0.02, 0.2, "dotted: exact edits", color="white", fontsize=8)
    figure.colorbar(plane, ax=list(grid[0]), label="accuracy on edited chains", ticks=[0, 0.5, 1])
    _curves(grid[1][0], cells, "two_hop", "predicted", "predicted_right")
    _curves(grid[1][1], cells, "oracle_placement", "oracle_curved", "oracle_curved_right")
    grid[1][0].set(ylabel="accuracy, coverage > 0")
    grid[1][0].legend(loc="lower right", bbox_to_anchor=(1, 0.02))
    for axes in grid[1]:
        axes.set(xlabel="merge coefficient of both adapters", ylim=(-0.03, 1.05))
    return figure


def _means(rows: Sequence[Mapping[str, float]]) -> Cells:
    """Each column's mean over the bases of a cell."""
    found: dict[tuple[float, float], list[Mapping[str, float]]] = {}
    for row in rows:
        found.setdefault((row["coverage"], row["coefficient"]), []).append(row)
    return {
        place: {name: fmean(row[name] for row in group) for name in NEEDED}
        for place, group in found.items()
    }


def _axes(cells: Cells) -> tuple[list[float], list[float]]:
    up, across = (sorted({place[i] for place in cells}) for i in (0, 1))
    return up, across


def _phase(axes: Any, cells: Cells, measured: str, predicted: str) -> Any:
    """The measured cells, and the line where half of the chains are predicted to be answered."""
    up, across = _axes(cells)
    value = [
        [cells[v, c][measured] if (v, c) in cells else float("nan") for c in across] for v in up
    ]
    step = across[1] - across[0] if len(across) > 1 else 1.0
    edges = [c - step / 2 for c in across] + [across[-1] + step / 2]
    rungs = list(range(len(up) + 1))
    plane = axes.pcolormesh(edges, rungs, value, cmap="cividis", vmin=0, vmax=1, rasterized=True)
    for rung, coverage in enumerate(up):
        border = next(
            (c for c in across if cells.get((coverage, c), {}).get(predicted, 0) >= 0.5), None
        )
        if border is not None:
            place = border - step / 2
            axes.plot([place, place], [rung, rung + 1], color="white", lw=4, solid_capstyle="butt")
            axes.plot([place, place], [rung, rung + 1], color=ORANGE, lw=2, solid_capstyle="butt")
    axes.set_yticks([rung + 0.5 for rung in range(len(up))], [f"{v:g}" for v in up])
    axes.axvline(threshold(2), color="white", lw=1, ls=":")
    axes.grid(False)
    return plane


def _curves(axes: Any, cells: Cells, measured: str, predicted: str, right: str) -> None:
    """Coverage above zero taken together: facts, chains, prediction; and who is right how often."""
    _, across = _axes(cells)
    rows = [[cell for (v, c), cell in cells.items() if c == x and v > 0] for x in across]
    kept = [(x, group) for x, group in zip(across, rows, strict=True) if group]
    found = {
        name: [fmean(cell[name] for cell in group) for _, group in kept]
        for name in ("facts", measured, predicted)
    }
    place = [x for x, _ in kept]
    axes.plot(place, found["facts"], color="#777777", lw=1.2, label="single facts")
    axes.plot(place, found[measured], "o-", color=BLACK, lw=1, ms=3, label="chains, measured")
    axes.plot(place, found[predicted], color=ORANGE, label="chains, predicted")
    every = list(cells.values())
    rate = fmean(cell[right] for cell in every)
    score = fmean(cell[measured] for cell in every)
    base = fmean(cell[measured] if cell["held_out"] > 0.5 else 1 - cell[measured] for cell in every)
    axes.set_title(
        f"right: theory {rate:.0%}, majority {max(score, 1 - score):.0%}, base alone {base:.0%}",
        fontsize=7.5,
        fontweight="normal",
    )
