"""Retention of an adapter in a merge of two, against a divergence that needs no labels."""

import numpy as np

from paper.style import GREY, LOOKS, Figure, finish, panels
from paper.tables import read_table

METHODS = {"mean": "mean", "sum": "sum"}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("lm_library")
    table = table[(table["stage"] == "pairs") & (table["training"] == "standard")]
    figure, every = panels(2, 3.0, sharey=True)
    for axes, (method, name), (colour, _) in zip(every, METHODS.items(), LOOKS, strict=False):
        rows = table[table["method"] == method]
        axes.plot(rows["kl_few"], rows["retention"], ".", color=colour, ms=3, alpha=0.5,
                  label=f"an adapter in a pair, {name}")  # fmt: skip
        # Eighths of equal size: divergences spread over several decades.
        edges = np.quantile(rows["kl_few"], np.linspace(0, 1, 9))
        place = np.searchsorted(edges[1:-1], rows["kl_few"])
        means = rows.groupby(place)[["kl_few", "retention"]].mean()
        axes.plot(
            means["kl_few"],
            means["retention"],
            "o-",
            color=LOOKS[5][0],
            label="mean of one eighth of them",
        )
        axes.axhline(0.9, color=GREY, lw=0.8, label="90%: below it, degraded")
        axes.set(title=name, xscale="log", xlabel="KL to the adapter alone, four prompts (nats)")
    every[0].set_ylabel("retention")
    return finish(figure, "The divergence on four prompts predicts which adapters a merge degrades")
