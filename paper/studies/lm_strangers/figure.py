"""Accuracy of the sum of two stand-in-trained adapters against the learning rate, on two bases."""

from paper.style import (
    BAND,
    LOOKS,
    Figure,
    accuracy_axis,
    by,
    chance,
    curve,
    finish,
    panels,
    percent,
)
from paper.tables import read_table

BASES = {"SmolLM2-135M-Instruct": "SmolLM2-135M", "gemma-3-270m": "gemma-3-270m"}
COLUMNS = {
    "two_hop": "two-hop questions",
    "hop_1": "hop-1 facts",
    "hop_2": "hop-2 facts",
}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("lm_strangers/rates")
    groups = by(table[table["rule"] == "sum"], "base", BASES)
    figure, axes = panels(2, 3.0, sharey=True)
    best = []
    for panel, (name, rows) in zip(axes, groups.items(), strict=True):
        for look, (column, label) in zip(LOOKS, COLUMNS.items(), strict=False):
            curve(panel, rows, "rate", column, label, look)
        panel.axvspan(0.5, 2, **BAND)
        chance(panel, rows["constant"].iloc[0])
        ticks = sorted(rows["rate"].unique())
        panel.set_xscale("log", base=2)
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.set(title=name, xlabel="learning rate, in multiples of the rule's")
        means = rows.groupby("rate")["two_hop"].mean()
        best.append(
            f"{percent(rows[rows['rate'] == means.idxmax()], 'two_hop')} at {means.idxmax():g}"
        )
    accuracy_axis(axes[0])
    title = f"Most two-hop answers: {best[0]} and {best[1]} times the rule's rate"
    return finish(figure, title, "Band: half to twice the rate of the rule.")
