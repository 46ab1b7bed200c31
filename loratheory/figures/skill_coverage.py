"""What base, merges and training make of a pair of skills, by what pretraining has shown of it."""

from collections.abc import Sequence
from typing import Any

from loratheory.figures._means import bars, interval, lead
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped, words

SEEN = {
    "sums": "no\nproblems,\nonly sums",
    "other words": "problems\nwithout\nthese skills",
    "single steps": "single\nsteps of\nall skills",
    "other pairs": "two steps\nof other\nskills",
}
"""Bases that have not met the pair, from left to right; then those that have, by how often."""
RULES = {
    "base": ("#000000", "D", "the base alone"),
    "second alone": ("#777777", "v", "second adapter alone"),
    "mean": ("#0072B2", "o", "mean"),
    "sum": ("#D55E00", "s", "sum"),
    "joint": ("#CC79A7", "P", "joint training on both lessons"),
    "composed": ("#009E73", "^", "trained on the pair itself"),
}
ADDED = {name: RULES[name] for name in ("second alone", "mean", "sum")}
KEYS = ("seen", "coverage", "seed", "first", "second")


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw what is solved step by step against what the base had seen.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `skill_coverage`.

    Returns
    -------
    matplotlib.figure.Figure
        Above what is solved, below by how much more than the base solves; 95 % over base seeds.
        To the left bases that have not met the pair, to the right those that have, by its share in
        all problems of two steps.

    Raises
    ------
    TableError
        If a column, a rule or a base is missing.
    """
    from matplotlib.figure import Figure

    columns(rows, "seed", "coverage", "stepwise")
    words(rows, "seen", "rule", "first", "second")
    by = grouped(rows, "rule", RULES)
    places = _places(rows)
    figure = Figure(figsize=(7.8, 5.4))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for rule, look in RULES.items():
        _line(above, by[rule], "stepwise", look, [*RULES].index(rule), len(RULES))
    for rule, look in ADDED.items():
        more = lead(by[rule], by["base"], "stepwise", *KEYS)
        _line(below, more, "lead", look, [*ADDED].index(rule), len(ADDED))
    below.axhline(0, color="black", lw=0.8)
    for axes in (above, below):
        axes.axvline(len(SEEN) - 0.5, color="black", lw=0.6, ls=":")
        axes.grid(visible=False, axis="x")
    above.set(ylim=(-0.05, 1.05))
    above.set_ylabel("solved, all steps right")
    below.set_ylabel("more than the base")
    below.set_xticks(range(len(places)), list(places.values()), fontsize=7.5)
    below.set_xlabel(
        "what the base had seen; right of the dots the pair itself, as a share of problems of two "
        "steps",
        fontsize=8.5,
    )
    figure.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(
        "How much of a pair must pretraining have shown before a merge composes it?",
        x=0.01,
        ha="left",
        weight="bold",
    )
    return figure


def _places(rows: Sequence[Row]) -> dict[tuple[str, float], str]:
    """From what bases had seen to its label, from left to right."""
    shares = sorted({row["coverage"] for row in rows if row["seen"] not in SEEN})
    grouped(rows, "seen", SEEN)
    never = {(seen, 0.0): told for seen, told in SEEN.items()}
    return never | {
        ("pairs", x): f"{100 * x:.2g} %" if x else "other\npairs,\nnot this" for x in shares
    }


def _line(
    axes: Any, rows: Sequence[Row], column: str, look: tuple[str, str, str], turn: int, turns: int
) -> None:
    """Points with intervals at each place, joined where only the share of the pair differs."""
    colour, mark, label = look
    spots, found, joined = [], [], []
    for spot, (seen, share) in enumerate(_places(rows)):
        here = [row for row in rows if (row["seen"], row["coverage"]) == (seen, share)]
        spots.append(spot + (turn - (turns - 1) / 2) * 0.09)
        found.append(interval(here, column))
        if seen not in SEEN:
            joined.append((spots[-1], found[-1][0]))
    axes.plot(*zip(*joined, strict=True), color=colour, lw=1.1)
    bars(axes, spots, found, color=colour, fmt=mark, label=label)
