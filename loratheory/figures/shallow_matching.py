"""What is kept of the problems solved when they are put otherwise."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures._means import bars, interval, mean
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped, words

PUT = {
    "wording": "other\nwords",
    "names": "other\nnames",
    "numbers": "other\nnumbers",
    "order": "told in\nanother order",
    "distractor": "something\nidle beside",
}
RULES = {
    "mean": ("#0072B2", "o"),
    "sum": ("#D55E00", "s"),
    "ties": ("#CC79A7", "v"),
    "arrow": ("#777777", "D"),
    "composed": ("#009E73", "^"),
}
TOLD = {"composed": "trained on the task"}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw, of the problems solved as first put, the share solved otherwise, with intervals.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `shallow_matching`.

    Returns
    -------
    matplotlib.figure.Figure
        A group each way to put problems, a mark each way of reuse, for lessons with two steps of
        each one's own skill; 95 % over base seeds. In the legend what each solves as first put.

    Raises
    ------
    TableError
        If a column, a rule or a way is missing.
    """
    from matplotlib.figure import Figure

    columns(rows, "seed", "stepwise", "kept")
    words(rows, "kind", "put", "rule", "bridge")
    by = grouped([row for row in rows if row["bridge"] == "own"], "rule", RULES)
    figure = Figure(figsize=(7.2, 3.4))
    axes = figure.subplots()
    for place, (rule, (colour, mark)) in enumerate(RULES.items()):
        first = mean([row for row in by[rule] if row["put"] == "as it was"], "stepwise")
        found = {
            spot: interval(here, "kept")
            for spot, put in enumerate(PUT)
            if (here := _known(grouped(by[rule], "put", PUT)[put]))
        }
        places = [spot + (place - (len(RULES) - 1) / 2) * 0.12 for spot in found]
        label = f"{TOLD.get(rule, rule)} (first put: {first:.2f})".replace("0.", ".")
        if found:
            bars(axes, places, list(found.values()), color=colour, fmt=mark, label=label)
        else:
            axes.plot([], [], color=colour, marker=mark, ls="", label=label)
    axes.set(xticks=range(len(PUT)), ylim=(-0.04, 1.06))
    axes.set_xticklabels(PUT.values())
    axes.set_ylabel("still solved, of those\nsolved as first put")
    axes.grid(visible=False, axis="x")
    figure.legend(loc="outside lower center", ncols=3, fontsize=7.5)
    figure.suptitle(
        "Does a merge solve, or match? The same problems put otherwise",
        x=0.01,
        ha="left",
        weight="bold",
    )
    return figure


def _known(rows: Sequence[Row]) -> list[Row]:
    """Rows of models that had solved anything."""
    return [row for row in rows if row["kept"] == row["kept"]]
