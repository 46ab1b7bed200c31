"""Plain plots of numbers against numbers: dashed lines for laws, points for measurements."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from loratheory.figures._look import LINES, styled

SIGNS = "os^Dv"


@styled
def draw(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    across: str,
    up: str,
    *,
    points: Collection[str] = (),
    share: bool = False,
) -> Any:
    """Draw curves by name, each given by its positions and heights, and return the figure.

    Those named in `points` are drawn as points and not as lines. If `share`, the vertical axis runs
    from 0 to 1. The figure is not registered with pyplot.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 2.9))
    axes = figure.subplots()
    for number, (name, (places, heights)) in enumerate(curves.items()):
        look: dict[str, Any] = {"ls": LINES["predicted"]}
        if name in points:
            look = {"marker": SIGNS[number % len(SIGNS)], "ls": ""}
        axes.plot(places, heights, label=name, clip_on=False, **look)
    axes.set(xlabel=across, ylabel=up)
    if share:
        axes.set_ylim(0, 1)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
    return figure
