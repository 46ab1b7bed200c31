"""Numbers against numbers: a line for each law, points for what was measured."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from loratheory.figures._look import styled

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
    """Draw curves by name.

    Parameters
    ----------
    curves : mapping from str to pairs of sequences
        Where along the axis, and how high.
    across, up : str
        What the axes are.
    points : collection of str
        The curves that are points instead of lines.
    share : bool
        Whether heights are shares: the axis then runs from 0 to 1.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, not registered with pyplot.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 2.9))
    axes = figure.subplots()
    for number, (name, (places, heights)) in enumerate(curves.items()):
        sign = SIGNS[number % len(SIGNS)] if name in points else "-"
        axes.plot(places, heights, sign, label=name, clip_on=False)
    axes.set(xlabel=across, ylabel=up)
    if share:
        axes.set_ylim(0, 1)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
    return figure
