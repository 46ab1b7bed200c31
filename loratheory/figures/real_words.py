"""Word problems on a language model: bare sums, one step, two steps, by how adapters are used."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures import _strips as strips
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped, words

WAYS = {
    "base": "base",
    "base, shown": "base, three shown",
    "add alone": "adapter of + alone",
    "subtract alone": "adapter of − alone",
    "mean": "mean of both",
    "sum": "sum of both",
    "ties": "TIES",
    "arrow": "Arrow, exact",
    "gates, z = 2": "gates, z = 2",
    "joint": "one adapter, both lessons",
    "composed": "trained on two steps",
}
SIGNS = {"plus": "+", "minus": "−", "times": "×"}
SIZES = ("to 9", "to 20", "to 99", "to 999")
ADD: strips.Look = {"color": "#000000", "fmt": "o", "label": "add"}
SUBTRACT: strips.Look = {"color": "#D55E00", "fmt": "^", "label": "subtract"}
STEPS: strips.Look = {"color": "#000000", "fmt": "o", "label": "step by step"}
GIVEN: strips.Look = {"color": "#0072B2", "fmt": "s", "label": "first step given", "mfc": "none"}
ONCE: strips.Look = {"color": "#009E73", "fmt": "D", "label": "at once"}
DIGITS: strips.Look = {"color": "#000000", "fmt": "o", "label": "in digits"}
WORDS: strips.Look = {"color": "#CC79A7", "fmt": "v", "label": "in words"}
SIZE = "to 9"


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw what the base reckons, and which problems are solved by the way adapters are used.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `real_words`.

    Returns
    -------
    matplotlib.figure.Figure
        Bare sums by operation and size, three shown before; problems of one step; of two. Means
        over seeds, numbers to 9 in problems; dotted, what copying the best number scores.

    Raises
    ------
    TableError
        If the table lacks a column or a way.
    """
    from matplotlib.figure import Figure

    columns(rows, "seed", "share")
    words(rows, "asked", "size", "metric")
    grouped(rows, "rule", [*WAYS, "copy"])
    figure = Figure(figsize=(7.2, 4.0))
    sums, one, two = figure.subplots(1, 3, width_ratios=(0.8, 1, 1.1))
    names = [f"{sign} {size}" for sign in SIGNS.values() for size in SIZES]
    for look, shift in ((DIGITS, -0.15), (WORDS, 0.15)):
        found = {
            f"{sign} {size}": strips.those(
                rows, rule="base, shown", asked=f"{name} {look['label']}", size=size, metric="sum"
            )
            for name, sign in SIGNS.items()
            for size in SIZES
        }
        strips.strip(sums, found, "share", shift=shift, **look)
    strips.framed(sums, names)
    for place in range(len(SIZES), len(names), len(SIZES)):
        sums.axhline(place - 0.5, color="#777777", lw=0.6)
    sums.set_title("base: bare sums", fontsize=9)
    for asked, look, shift in (("add", ADD, -0.15), ("subtract", SUBTRACT, 0.15)):
        strips.strip(one, _of(rows, asked, "steps"), "share", shift=shift, **look)
    one.set_title("one step", fontsize=9)
    marks = (("steps", STEPS, -0.22), ("given", GIVEN, 0.0), ("at once", ONCE, 0.22))
    for mark, look, shift in marks:
        strips.strip(two, _of(rows, "add, subtract", mark), "share", shift=shift, **look)
    two.set_title("two steps (dots: copying)", fontsize=9)
    copied = strips.those(rows, rule="copy", asked="add, subtract", size=SIZE)
    two.axvline(sum(row["share"] for row in copied) / len(copied), color="black", ls=":", lw=1)
    for axes in (one, two):
        strips.framed(axes, list(WAYS.values()))
        axes.axhline(len(WAYS) - 2.5, color="#777777", lw=0.6)
    two.set_yticklabels([])
    for axes in (sums, one, two):
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), fontsize=7, handletextpad=0.2)
    figure.suptitle(
        f"SmolLM2-135M in word problems with numbers {SIZE}",
        x=0.01,
        ha="left",
        weight="bold",
        fontsize=10,
    )
    return figure


def _of(rows: Sequence[Row], asked: str, mark: str) -> dict[str, list[Row]]:
    here = strips.those(rows, asked=asked, size=SIZE, metric=mark)
    return strips.by(here, "rule", list(WAYS))
