"""A bound against one of the numbers it depends on."""

from collections.abc import Mapping, Sequence
from typing import Any

from loratheory.figures._style import styled


@styled
def draw(label: str, key: str, results: Sequence[Mapping[str, Any]]) -> Any:
    """Draw one panel a quantity; a logarithmic scale where it spans more than three decades.

    Parameters
    ----------
    label : str
        The theorem.
    key : str
        What varies.
    results : sequence of mappings
        As ``loratheory bound --curve --json`` writes them.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, not registered with pyplot.
    """
    from matplotlib.figure import Figure

    names = list(results[0]["values"])
    figure = Figure(figsize=(3.6 * len(names), 3.2))
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    places = [result["given"][key] for result in results]
    for number, (panel, name) in enumerate(zip(axes, names, strict=True)):
        values = [result["values"][name] for result in results]
        panel.plot(places, values, "o-", color=f"C{number % 7}")
        panel.set(title=name, xlabel=key)
        positive = [value for value in values if 0 < value < float("inf")]
        if len(positive) == len(values) and max(positive) > 1e3 * min(positive):
            panel.set_yscale("log")
    figure.suptitle(label, x=0.01, ha="left", fontsize=9, color="0.4")
    return figure
