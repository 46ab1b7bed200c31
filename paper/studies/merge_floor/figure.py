"""The two parts of the merge floor against the rank."""

from paper.style import BAND, BLUE, INK, LINES, Figure, finish, panels
from paper.tables import read_table


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("merge_floor")
    shares = sorted(table["own"].unique())
    figure, every = panels(len(shares), 3.0, sharey=True)
    for axes, own in zip(every, shares, strict=True):
        rows = table[table["own"] == own]
        rank, floor = rows["rank"], rows["disagreement"]
        top = floor + rows["truncation"]
        axes.fill_between(rank, 0, floor, label="disagreement: no rank helps", **BAND)
        axes.fill_between(rank, floor, top, color=BLUE, lw=0, label="truncation: falls with rank")
        axes.plot(rank, top, color=INK, lw=1, ls=LINES["predicted"], label="predicted floor")
        axes.plot(rank, rows["achieved"], "o", color=INK, ms=3, label="truncated mean")
        axes.set(title=f"own share: {own:.0%}", xlabel="rank of the adapter", ylim=(0, 1.02))
    every[0].set_ylabel("relative squared error")
    title = "One shared adapter loses what tasks do not share, at every rank"
    return finish(figure, title)
