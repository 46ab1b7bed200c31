"""Relative error of adapters against the rank: bound (dashed) and construction (markers)."""

from paper.style import LINES, LOOKS, Figure, finish, panels
from paper.tables import read_table

PANELS = (
    ("linear", 0, 0, 1),
    ("linear, flat spectrum", 0, 1, 1),
    ("ReLU, 4-layer target", 1, 0, 4),
    ("attention products", 2, 0, None),
)
"""Title, family, whether spectra are flat, and the target's depth."""


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("expressive_power")
    figure, every = panels(4, 2.9, sharey=True)
    for axes, (title, family, flat, target) in zip(every, PANELS, strict=True):
        rows = table[(table["family"] == family) & (table["flat"] == flat)]
        if target is not None:
            rows = rows[rows["target_depth"] == target]
        for number, (_, cells) in enumerate(rows.groupby("depth")):
            (colour, marker), factor = LOOKS[number], 2 ** (number + 1)
            name = f"{factor} layers, or {factor // 2} block{'s' * (factor > 2)}"
            axes.plot(cells["rank"], cells["bound"], color=colour, ls=LINES["predicted"], lw=1)
            axes.plot(cells["rank"], cells["value"], marker, color=colour, ms=3, label=name)
        axes.set(title=title, xlabel="rank", xlim=(0, 17), ylim=(-0.1, 1.6))
    every[0].set_ylabel("relative error")
    title = "In linear and ReLU networks, twice the depth halves the exact rank"
    return finish(
        figure, title, "Dashed: the theorem's bound. Frozen layers for each target layer:"
    )
