"""Where solutions fail, counted; and the first problem of each kind as it was told and solved."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from loratheory.experiments.failing_step import OUTCOMES, RIGHT
from loratheory.figures._means import mean
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped, words

RULES = {
    "base": "base alone",
    "second alone": "second alone",
    "mean": "mean",
    "sum": "sum",
    "composed": "trained on it",
}
COLOURS = dict(
    zip(
        OUTCOMES,
        ("#003F6B", "#0072B2", "#56B4E9", "#B5DDF5", "#7A3300", "#D55E00", "#F0A36B", "#FADBC4"),
        strict=False,
    )
) | {RIGHT: "#009E73"}
SIGNS = {"add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "percent": "%"}
KINDS = 3
"""Kinds of outcome of which each rule shows an example."""
SPOTS = (0.0, 0.43, 0.87)
"""Where the columns of the examples begin."""
WRONG = "#D55E00"


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw how often solutions fail at which step, and examples.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `failing_step`.

    Returns
    -------
    matplotlib.figure.Figure
        Above shares of all problems, over base seeds and pairs of skills. Below, of the first base
        and pair, each rule's three most frequent outcomes and the first problem of each: what was
        told, the right solution, what was written; wrong words in colour.

    Raises
    ------
    TableError
        If a column or a rule is missing.
    """
    from matplotlib.figure import Figure

    columns(rows, "seed", "rate")
    words(rows, "rule", "first", "second", "outcome", "question", "solution", "written")
    by = grouped(rows, "rule", RULES)
    chosen = [(rule, row) for rule in RULES for row in examples(by[rule])]
    figure = Figure(figsize=(8.2, 2.4 + 0.21 * len(chosen)))
    above, below = figure.subplots(2, 1, height_ratios=(1.5, 0.21 * len(chosen) + 0.4))
    for spot, rule in enumerate(RULES):
        left = 0.0
        for outcome in OUTCOMES:
            share = mean([row for row in by[rule] if row["outcome"] == outcome], "rate")
            label = _label(outcome) if not spot else None
            above.barh(spot, share, left=left, color=COLOURS[outcome], height=0.72, label=label)
            left += share
    above.set(xlim=(0, 1), ylim=(len(RULES) - 0.5, -0.5))
    above.set_yticks(range(len(RULES)), list(RULES.values()))
    above.grid(visible=False)
    above.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
    above.set_xlabel("share of problems, by the first word that is wrong", fontsize=8)
    _told(below, chosen)
    figure.suptitle("At which step do solutions fail?", x=0.01, ha="left", weight="bold")
    return figure


def examples(rows: Sequence[Row]) -> list[Row]:
    """Of the first base and pair of skills, the most frequent outcomes that occur, a row each."""
    first = rows[0]
    keys = ("seed", "first", "second")
    here = [row for row in rows if all(row[key] == first[key] for key in keys) and row["rate"]]
    return sorted(here, key=lambda row: -row["rate"])[:KINDS]


def _label(outcome: str) -> str:
    return (
        "nothing: all right" if outcome == RIGHT else f"{outcome} wrong".replace(" ", " step’s ", 1)
    )


def question(tokens: str) -> str:
    """What is told, as equations: ``A = 3; B = A × 2; B?``."""
    told, _, asked = tokens.partition(" ?: ")
    parts, rest = [], told.split()
    while rest:
        if "/" in rest[1]:
            name, skill, *rest = rest
            made = _made(skill.partition("/")[0], *rest[:2])
            parts.append(f"{name} = {''.join(text for text, _ in made)}")
            rest = rest[2:]
        else:
            name, number, *rest = rest
            parts.append(f"{name} = {number}")
    return "; ".join([*parts, f"{asked}?"])


def solution(tokens: str) -> list[tuple[str, int]]:
    """What is written, as equations, in pieces, each with its place among the words or -1."""
    words = tokens.split()
    found: list[tuple[str, int]] = []
    for k in range(0, len(words) - 4, 5):
        name, skill, of, number, result = words[k : k + 5]
        made = [(text, place + k) for text, place in _made(skill, of, number)]
        found += [(name, k), (" = ", -1), *made, (" = ", -1), (result, k + 4), ("; ", -1)]
    return found[:-1]


def _made(skill: str, of: str, number: str) -> list[tuple[str, int]]:
    """A step as one reads it, in pieces with their places in a line of a solution."""
    if skill == "percent":
        return [(number, 3), ("% of ", 1), (of, 2)]
    return [(of, 2), (f" {SIGNS.get(skill, skill)} ", 1), (number, 3)]


def _told(axes: Any, chosen: Sequence[tuple[str, Row]]) -> None:
    """A line each example; a wrong word lies in the gap that the right ones leave for it."""
    axes.set(xlim=(0, 1), ylim=(len(chosen) - 0.4, -1.6))
    axes.axis("off")
    for x, head in zip(SPOTS, ("told (numbers modulo 7)", "right", "written"), strict=True):
        axes.text(x, -1, head, fontsize=8, weight="bold", va="center")
    for line, (rule, row) in enumerate(chosen):
        if line == 0 or chosen[line - 1][0] != rule:
            axes.text(-0.16, line, RULES[rule], fontsize=8, va="center")
            axes.plot([-0.16, 1.3], [line - 0.5] * 2, color="#CCCCCC", lw=0.5, clip_on=False)
        due, said = row["solution"].split(), row["written"].split()
        wrong = [k for k, (a, b) in enumerate(zip_longest(due, said)) if a != b]
        written = solution(row["written"])
        layers = [
            "".join(text if (place in wrong) == odd else " " * len(text) for text, place in written)
            for odd in (False, True)
        ]
        right = "".join(text for text, _ in solution(row["solution"]))
        mono = {"fontsize": 7, "va": "center", "family": "monospace"}
        for x, text in zip(SPOTS, (question(row["question"]), right, layers[0]), strict=True):
            axes.text(x, line, text, **mono)
        axes.text(SPOTS[2], line, layers[1], color=WRONG, weight="bold", **mono)
