"""Margins along one coefficient, and the winning answer in the plane of two."""

import numpy as np
from matplotlib.colors import ListedColormap

from loratheory.theorems.composition.two_read_region import margin, threshold
from paper.style import BAND, BLUE, GREY, INK, LINES, ORANGE, WIDTH, Figure, finish
from paper.tables import read_table

ANSWERS = {"unedited": "#D9D9D9", "halfway": "#9ECAE1", "composed": "#E69F00"}


def draw() -> Figure:
    """Draw the figure."""
    figure = Figure(figsize=(WIDTH, 3.6))
    line, plane = figure.subplots(1, 2)
    rows, low, high = read_table("window"), threshold(1), threshold(2)
    fine = np.linspace(0.29, 1.01, 201)
    line.axvspan(low, high, **BAND)
    line.axhline(0, color=INK, lw=0.9)
    for hops, colour, name in ((1, BLUE, "each fact alone"), (2, ORANGE, "both in one question")):
        heights = [margin((x,) * hops) for x in fine.tolist()]
        line.plot(fine, heights, color=colour, ls=LINES["predicted"], label=f"predicted: {name}")
    for column, marker, colour in (("hop_1", "o", BLUE), ("two_hop", "s", ORANGE)):
        name = "facts, simulated" if column == "hop_1" else "both hops, simulated"
        line.plot(rows["coefficient"], rows[column], marker, color=colour, ms=4, label=name)
    line.set(xlim=(0.29, 1.01), ylim=(-0.7, 1.05), xticks=[0.5, high, 1.0])
    line.set_xticklabels(["0.5\nmean", "0.618", "1\nsum"])
    line.set(xlabel="coefficient of both edits", ylabel="margin of the new answer")
    cells = read_table("window/two_read_region")
    winners = cells[list(ANSWERS)].to_numpy().argmax(axis=1)
    # Cells are few: one colour each, by the largest of three mean logits.
    grid = cells.assign(winner=winners).pivot_table("winner", "c2", "c1")
    across, up = grid.columns.to_numpy(), grid.index.to_numpy()
    colours = ListedColormap(list(ANSWERS.values()))
    plane.pcolormesh(across, up, grid.to_numpy(), cmap=colours, vmin=0, vmax=2)
    both = np.linspace(0, float(across.max() + across.min()), 161)
    # The theorem's margin is zero on the dashed line.
    lead = np.apply_along_axis(lambda two: margin(two.tolist()), 0, np.meshgrid(both, both))
    plane.contour(both, both, lead, levels=[0], colors=INK, linestyles="--")
    plane.plot([0, 1], [1, 0], color=GREY, lw=0.8)
    plane.plot([low, high, 1], [low, high, 1], "o", color=INK, ms=4)
    for x, y, text in ((0.16, 0.6, "old answer"), (0.75, 1.07, "composed"), (0.8, 0.2, "half-way")):
        plane.text(x, y, text)
    plane.set(xlabel="coefficient of edit 1", ylabel="coefficient of edit 2", aspect="equal")
    plane.grid(visible=False)
    title = "Single answers are right from 0.5 on, two-hop answers from 0.618 on"
    return finish(figure, title)
