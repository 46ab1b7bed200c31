"""Two-hop accuracy of every way of reuse against coverage, by familiarity, beside its forecast."""

from collections.abc import Mapping, Sequence
from typing import Any

from loratheory.figures._means import bars, curve, interval, lead, line, mean
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped, words

NEEDED = ("coverage", "seed", "set", "two_hop", "other_two_hop", "chance", "predicted")
WORDS = ("familiarity", "rule", "claimed")
LEFT = "unedited\nchains (real)"
FAMILIES = {"real": "real entities", "half": "half-fake entities", "fake": "fake entities"}
GROUPS = (
    {"mean": "mean"},
    {"sum": "sum"},
    {"ties": "TIES", "dare": "DARE", "knots": "KnOTS"},
    {"arrow": "Arrow"},
    {"gates": "gates"},
    {"oracle placement": "oracle"},
    {"direct": "A→C alone", "mean of three": "mean of 3"},
    {"joint": "one for both"},
)
"""The columns of the figure, and the rules that share each."""
CONTROLS = ("base", "hop 1 alone", "hop 2 alone", "noise", "shuffled")
THIRD = "third of direct"
LOOKS = (("o", "#0072B2"), ("^", "#D55E00"), ("s", "#CC79A7"))
RIVALS = ("mean", "sum", "ties", "dare", "knots", "arrow", "joint")
SAME = ("familiarity", "coverage", "seed", "set")
QUESTION = "Two single-hop adapters, one two-hop question: which reuse answers it?"
FINDING = "Pretrained on no chains, no reuse composes; on some, gates beat every merge and Arrow"
GREY = "#777777"
CLAIMS = {"fails": "published: fails", "works": "published: works", "silent": ""}

Rules = Mapping[str, Sequence[Row]]


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw accuracies with 95 % intervals over base seeds, and what was predicted of them.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `two_hop_coverage`.

    Returns
    -------
    matplotlib.figure.Figure
        A column each way of reuse, a row each familiarity of the edited entities; below, what
        is left of unedited chains where the edited entities are real.

    Raises
    ------
    TableError
        If a column is missing, or a rule.
    """
    from matplotlib.figure import Figure

    columns(rows, *NEEDED)
    words(rows, *WORDS)
    by_rule = grouped(rows, "rule", [*CONTROLS, THIRD, *(x for group in GROUPS for x in group)])
    kinds = [one for one in FAMILIES if any(row["familiarity"] == one for row in rows)]
    figure = Figure(figsize=(7.6, 2.0 + 1.15 * (len(kinds) + 1)))
    grid = figure.subplots(len(kinds) + 1, len(GROUPS), sharex=True, sharey=True, squeeze=False)
    for group, panels in zip(GROUPS, grid.T, strict=True):
        _title(panels[0], group, CLAIMS[by_rule[next(iter(group))][0]["claimed"]])
        for kind, axes in zip(kinds, panels, strict=False):
            here = {rule: [r for r in x if r["familiarity"] == kind] for rule, x in by_rule.items()}
            _edited(axes, here, tuple(group))
            if kind == kinds[0]:
                _unedited(panels[-1], here, tuple(group))
    for label, axes in zip([*map(FAMILIES.get, kinds), LEFT], grid[:, 0], strict=True):
        axes.set_ylabel(label)
    grid[0][0].set(ylim=(-0.06, 1.06), xlim=(-0.1, 1.05), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    grid[0][0].set_xticklabels(["0", ".5", "1"])
    named = [axes.get_legend_handles_labels() for axes in (grid[0][0], grid[-1][0])]
    handles, labels = ([x for one in found for x in one] for found in zip(*named, strict=True))
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7.5)
    grid[-1][len(GROUPS) // 2].set_xlabel(
        "coverage: share of two-hop chains that pretraining asked"
    )
    figure.suptitle(headline(by_rule), x=0.01, ha="left", weight="bold", fontsize=10)
    return figure


def headline(by_rule: Rules) -> str:
    """The finding, if gates lead every rival and at coverage 0 all are below chance, clearly."""
    cells: dict[tuple[str, float, str], list[Row]] = {}
    for rule in RIVALS:
        for row in lead(by_rule[rule], by_rule["gates"], "two_hop", *SAME):
            cells.setdefault((row["familiarity"], row["coverage"], rule), []).append(row)
    holds = all(
        interval(cell, "lead")[2] < 0
        if coverage
        else interval(cell, "two_hop")[2] < mean(cell, "chance")
        for (_, coverage, _), cell in cells.items()
    )
    return FINDING if holds else QUESTION


def _title(axes: Any, group: Mapping[str, str], claim: str) -> None:
    """The names of the rules, each in its colour, and what was published of them."""
    axes.set_title("\n" * len(group) + " ", fontsize=7.5)  # room
    look: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 7.5}
    for number, (name, (_, colour)) in enumerate(zip(group.values(), LOOKS, strict=False)):
        height = 1 + 0.14 * (len(group) - number)
        axes.text(0, height, name, weight="bold", color=colour, **look)
    axes.text(0, 1.02, claim, **look | {"fontsize": 6.5})


def _points(axes: Any, found: Rules, rules: Sequence[str], column: str, **look: Any) -> None:
    """Each rule with its mark, a little apart."""
    for number, rule in enumerate(rules):
        mark, colour = LOOKS[number]
        shift = 0.025 * (number - (len(rules) - 1) / 2)
        places, means = curve(found[rule], "coverage", column)
        at = [place + shift for place in places]
        bars(axes, at, means, fmt=mark, color=colour, ms=3.5, **look)


def _edited(axes: Any, found: Rules, rules: Sequence[str]) -> None:
    """Edited chains: measured, predicted, and the best that any control does."""
    places = sorted({row["coverage"] for row in found["base"]})
    for rule, (_, colour) in zip(rules, LOOKS, strict=False):
        told = line(found[rule], "coverage", "predicted")
        axes.plot(places, told, color=colour, lw=1.2, label="predicted from each adapter alone")
    _points(axes, found, rules, "two_hop", label="edited chains, measured")
    controls = (THIRD,) if "direct" in rules else CONTROLS
    each = [line(found[rule], "coverage", "two_hop") for rule in controls]
    best = [max(means) for means in zip(*each, strict=True)]
    axes.plot(places, best, color=GREY, lw=0.8, label="best control (with A→C: a third of it)")
    chance = line(found["base"], "coverage", "chance")
    axes.plot(places, chance, color="black", lw=0.8, ls=":", label="one answer always")


def _unedited(axes: Any, found: Rules, rules: Sequence[str]) -> None:
    """Chains that no edit touches, beside the base's."""
    _points(
        axes, found, rules, "other_two_hop", mfc="white", mew=1, label="unedited chains, measured"
    )
    places = sorted({row["coverage"] for row in found["base"]})
    base = line(found["base"], "coverage", "other_two_hop")
    axes.plot(places, base, color="black", lw=0.8, ls=(0, (4, 2)), label="unedited chains, base")
