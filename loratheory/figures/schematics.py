"""Five drawings that explain terms; they need no table and show no measured number."""

from collections.abc import Callable
from typing import Any

import numpy as np

from loratheory.figures._look import (
    BLACK,
    BLUE,
    GREY,
    INK,
    ORANGE,
    SKY,
    TAKEAWAY,
    YELLOW,
    styled,
)

SCHEMATICS: dict[str, Callable[[], Any]] = {}
"""The functions that draw the schematics, by name."""
WIDTH = 6.3
FIRST, SECOND = BLUE, ORANGE
"""The colours of the two adapters and of the facts that they hold."""


def _schematic(draw: Callable[[], Any]) -> Callable[[], Any]:
    drawn = styled(draw)
    SCHEMATICS[draw.__name__] = drawn
    return drawn


def _panels(title: str, height: float, count: int = 1) -> tuple[Any, Any]:
    """A figure and its panels, in which a unit is the same in both directions and no axis shows."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    figure.suptitle(title, x=0.01, ha="left")
    panels = figure.subplots(1, count, squeeze=False)[0]
    for axes in panels:
        axes.axis("off")
        axes.set_aspect("equal")
    return figure, panels


def _box(axes: Any, x: float, y: float, wide: float, high: float, colour: str, text: str) -> None:
    """A matrix: a rectangle from its lower left corner, with its name in it."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), wide, high, fc=colour, ec="none"))
    middle = (x + wide / 2, y + high / 2)
    axes.text(*middle, text, ha="center", va="center", color=BLACK, fontsize=10)


def _arrow(axes: Any, start: str, end: str, colour: str, text: str = "") -> None:
    """A fact: from the one entity to the other, bold if an adapter holds it."""
    (x, y), (u, v) = PLACES[start], PLACES[end]
    look = {"color": colour, "lw": 1.0 if colour == GREY else 2.2, "arrowstyle": "-|>"}
    axes.annotate("", (u, v), (x, y), arrowprops={**look, "shrinkA": 17, "shrinkB": 17})
    axes.text((x + u) / 2, (y + v) / 2 + 0.12, text, ha="center", color=colour)


PLACES = {
    "Ada": (0.0, 0.0),
    "Lab 2": (2.0, 0.0),
    "Oslo": (4.0, 0.0),
    "Lab 1": (2.0, -1.0),
    "Rome": (4.0, -1.0),
    "Bern": (4.0, 1.0),
    "Paris": (4.0, -2.0),
}
"""Positions of entities: new facts are in the middle row, old ones below and above."""


def _entities(axes: Any, *names: str) -> None:
    """Names of what facts are about; the last of each row is an answer."""
    for name in names:
        axes.text(*PLACES[name], name, ha="center", va="center", weight="bold")


@_schematic
def low_rank() -> Any:
    """A weight matrix, and the product of two thin ones that an adapter adds to it."""
    figure, (axes,) = _panels("An adapter adds a product of two thin matrices, of rank r", 2.1)
    _box(axes, 0, 0, 3, 3, "#c8c8c8", "$W$")
    _box(axes, 4.2, 0, 0.6, 3, SKY, "$B$")
    _box(axes, 5.1, 2.4, 3, 0.6, YELLOW, "$A$")
    look: dict[str, Any] = {"ha": "center", "va": "center"}
    axes.text(3.6, 1.5, "+", fontsize=16, **look)
    axes.text(1.5, -0.35, "frozen: $m \\times n$", **look)
    axes.text(4.5, -0.35, "$m \\times r$", **look)
    axes.text(6.6, 2.05, "$r \\times n$", **look)
    told = "trained: $r\\,(m + n)$ numbers\ninstead of $m\\,n$; for 576 × 576\n"
    axes.text(5.4, 0.75, f"{told}and $r = 8$, 9,216 of 331,776", va="center")
    axes.set(xlim=(-0.3, 9.6), ylim=(-0.7, 3.2))
    return figure


@_schematic
def merge_and_route() -> Any:
    """Two adapters' coefficients at two inputs: the same in a merge, chosen anew in a route."""
    figure, panels = _panels(
        "A merge weighs adapters once; a router weighs them at every input", 2.2, 2
    )
    inputs = ("“Ada works at”", "“Lab 2 is in”")
    for axes, name, weights in zip(
        panels,
        ("merge: $W + ½\\,Δ_1 + ½\\,Δ_2$", "route: $W + w_1(x)\\,Δ_1 + w_2(x)\\,Δ_2$"),
        (((0.5, 0.5), (0.5, 0.5)), ((1, 0), (0, 1))),
        strict=True,
    ):
        axes.set_title(name, weight="normal")
        for row, (text, pair) in enumerate(zip(inputs, weights, strict=True)):
            axes.text(-0.2, -row, text, ha="right", va="center")
            for spot, (weight, colour) in enumerate(zip(pair, (FIRST, SECOND), strict=True)):
                place = {"y": -row, "left": 1.6 * spot, "height": 0.5}
                axes.barh(width=1.2, fc="none", ec=GREY, lw=0.8, **place)
                axes.barh(width=1.2 * weight, color=colour, **place)
        for spot, (text, colour) in enumerate((("adapter 1", FIRST), ("adapter 2", SECOND))):
            axes.text(1.6 * spot + 0.6, 0.45, text, ha="center", color=colour)
        axes.set(xlim=(-2.6, 3.0), ylim=(-1.5, 0.9))
    return figure


@_schematic
def two_hops() -> Any:
    """A two-hop question, its two new facts, and the old facts whose answers compete."""
    figure, (axes,) = _panels("A two-hop question reads two facts; no answer names the bridge", 2.5)
    _entities(axes, "Ada", "Lab 2", "Oslo", "Lab 1", "Rome", "Bern")
    _arrow(axes, "Ada", "Lab 2", FIRST, "adapter 1")
    _arrow(axes, "Lab 2", "Oslo", SECOND, "adapter 2")
    _arrow(axes, "Ada", "Lab 1", GREY)
    _arrow(axes, "Lab 1", "Rome", GREY)
    _arrow(axes, "Lab 2", "Bern", GREY)
    aside: dict[str, Any] = {"va": "center"}
    axes.text(2.0, 0.3, "the bridge", ha="center")
    axes.text(4.6, 0.0, "the answer", weight="bold", **aside)
    axes.text(4.6, 1.0, "old fact of Lab 2: half-way", color=GREY, **aside)
    axes.text(4.6, -1.0, "old facts: the old answer", color=GREY, **aside)
    axes.text(-0.6, 1.0, "In which city does Ada work?", **aside)
    axes.set(xlim=(-0.8, 7.6), ylim=(-1.4, 1.4))
    return figure


@_schematic
def old_facts() -> Any:
    """The four cases of which old facts exist before two edits."""
    from matplotlib.figure import Figure

    title = "The old facts that exist (grey) decide which answers compete with the new one"
    figure = Figure(figsize=(WIDTH, 3.8))
    figure.suptitle(title, x=0.01, ha="left")
    first, second = ("Ada", "Lab 1"), ("Lab 2", "Bern")
    cases = {
        "overwrite: old facts for both hops": [second, first, ("Lab 1", "Rome")],
        "overwrite both: old bridge edited too": [second, first],
        "new subject: an old second fact only": [second],
        "new facts: no old fact": [],
    }
    panels = figure.subplots(2, 2, height_ratios=[3.6, 2])
    for axes, (name, old) in zip(panels.ravel(), cases.items(), strict=True):
        there = dict.fromkeys(["Ada", "Lab 2", "Oslo", *(x for fact in old for x in fact)])
        both = name.startswith("overwrite both")
        _entities(axes, *there, *(["Paris"] if both else []))
        _arrow(axes, "Ada", "Lab 2", FIRST)
        _arrow(axes, "Lab 2", "Oslo", SECOND)
        for start, end in old:
            _arrow(axes, start, end, GREY)
        if both:
            _arrow(axes, "Lab 1", "Paris", SECOND)
        axes.set_title(name)
        axes.axis("off")
        axes.set(xlim=(-0.6, 4.6), ylim=(-2.3 if axes in panels[0] else -0.6, 1.3), aspect="equal")
    return figure


@_schematic
def gate() -> Any:
    """A gate: an adapter acts in full where its response stands out, elsewhere not at all."""
    figure, (axes,) = _panels("A gate switches an adapter on where its response stands out", 2.3)
    axes.axis("on")
    axes.set_aspect("auto")
    at = np.linspace(-3.4, 7, 300)
    axes.fill_between(at, 0, np.exp(-(at**2) / 2), color=GREY, alpha=0.5, lw=0)
    axes.axvspan(2, 7, **TAKEAWAY)
    axes.axvline(2, color=INK)
    for place, text, colour in ((0.6, "“Lab 2 is in”", SECOND), (5.2, "“Ada works at”", FIRST)):
        axes.plot(place, 0.08, "o", ms=8, color=colour, clip_on=False)
        axes.text(place, 0.16, text, ha="center")
    axes.text(-3.3, 0.82, "ordinary\ninput", color=GREY)
    axes.text(1.9, 1.08, "off: coefficient 0", ha="right", va="center")
    axes.text(2.1, 1.08, "on: coefficient 1", va="center")
    axes.set(xlim=(-3.4, 7), ylim=(0, 1.2), xlabel="response norm of adapter 1, in deviations z")
    axes.set_xticks([0, 2])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False)
    return figure
