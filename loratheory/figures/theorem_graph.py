"""Which theorem rests on which: an arrow from a result to what uses it, coloured by status."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures._style import styled
from loratheory.theorems import Theorem

COLOURS = {"proved": "#0072B2", "cited": "#999999", "conjectured": "#E69F00", "refuted": "#D55E00"}


@styled
def draw(theorems: Sequence[Theorem[Any, Any]]) -> Any:
    """Draw the dependency picture.

    Parameters
    ----------
    theorems : sequence of Theorem
        In an order in which every theorem comes after those that it uses.

    Returns
    -------
    matplotlib.figure.Figure
        Results that use others, and those used, to the left in columns by depth; the rest in a
        block to the right.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    places = _places(theorems)
    width, height = (1 + max(place[axis] for place in places.values()) for axis in (0, 1))
    figure = Figure(figsize=(2.1 * width, 0.36 * height + 0.6))
    axes = figure.subplots()
    boxes = {}
    for theorem in theorems:
        colour = COLOURS[theorem.status]
        boxes[theorem.label] = axes.text(
            *places[theorem.label],
            theorem.label.removeprefix("thm:"),
            ha="center",
            va="center",
            fontsize=7.5,
            color=colour,
            bbox={"boxstyle": "round,pad=0.3", "fc": "white", "ec": colour, "lw": 1.0},
        )
    for theorem in theorems:
        for used in theorem.uses:
            ends = {
                "patchA": boxes[used].get_bbox_patch(),
                "patchB": boxes[theorem.label].get_bbox_patch(),
            }
            style = {"arrowstyle": "-|>", "color": "0.6", "lw": 0.8, "zorder": 0}
            axes.annotate(
                "", xy=places[theorem.label], xytext=places[used], arrowprops=style | ends
            )
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.3, -0.7))
    axes.axis("off")
    shown = [status for status in COLOURS if any(t.status == status for t in theorems)]
    patches = [Patch(fc="white", ec=COLOURS[status], label=status) for status in shown]
    figure.legend(handles=patches, loc="outside lower left", ncols=4)
    return figure


def _places(theorems: Sequence[Theorem[Any, Any]]) -> dict[str, tuple[float, float]]:
    """Column and row of each label: families below each other, the unconnected ones apart."""
    depth: dict[str, int] = {}
    for theorem in theorems:
        depth[theorem.label] = 1 + max((depth[used] for used in theorem.uses), default=-1)
    used = {label for theorem in theorems for label in theorem.uses}
    places: dict[str, tuple[float, float]] = {}
    row = 0.0

    def settle(label: str) -> None:
        """Place a theorem, then what uses it first, one row further down for each."""
        nonlocal row
        places[label] = (depth[label], row)
        heirs = [t.label for t in theorems if label in t.uses and t.label not in places]
        for number, heir in enumerate(heirs):
            if heir not in places:
                row += number > 0
                settle(heir)

    for theorem in theorems:
        if not theorem.uses and theorem.label in used:
            settle(theorem.label)
            row += 1
    alone = [t.label for t in theorems if t.label not in places]
    left, rows = 1 + max((x for x, _ in places.values()), default=-1), max(int(row), 1)
    for number, label in enumerate(alone):
        places[label] = (left + number // rows, number % rows)
    return places
