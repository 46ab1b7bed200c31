"""A shelf at a glance: where adapters disturb each other, and how near one merge can come."""

from collections import defaultdict
from typing import Any

from loratheory.diagnosis import Diagnosis, kind_of, layer_of
from loratheory.figures._style import styled


@styled
def draw(diagnosis: Diagnosis) -> Any:
    """Draw cross-talk with its bound over depth, and the merge floor against rank.

    Parameters
    ----------
    diagnosis : Diagnosis
        From ``loratheory.diagnosis.diagnose``.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, not registered with pyplot.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.2))
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    kinds = defaultdict(list)
    for module in diagnosis.modules:
        kinds[kind_of(module.module)].append(module)
    for number, (kind, modules) in enumerate(sorted(kinds.items())):
        colour, name = f"C{number % 7}", kind.split(".")[-1]
        shared = [m for m in modules if sum(rank > 0 for rank in m.ranks) > 1]
        places = [layer_of(m.module) or 0 for m in shared]
        left.plot(places, [m.crosstalk for m in shared], "o-", color=colour, label=name)
        left.plot(places, [m.ceiling for m in shared], ":", color=colour, lw=1)
        for module in modules:
            ranks, floors = zip(*module.floors, strict=True)
            right.plot(ranks, floors, color=colour, lw=0.8, alpha=0.5)
    left.plot([], [], ":", color="0.4", lw=1, label="bound")
    left.set(
        title="cross-talk between adapters",
        xlabel="layer",
        ylabel="foreign answer / own largest",
    )
    left.set_ylim(bottom=0)
    left.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=8)
    right.set(
        title="how near one merge can come",
        xlabel="rank of the merge",
        ylabel="mean squared distance / energy",
    )
    right.set_xscale("log", base=2)
    right.xaxis.set_major_formatter("{x:g}")
    right.set_ylim(0, 1.02)
    return figure
