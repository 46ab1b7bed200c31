"""Chains of edits of unfamiliar entities, with and without identity prompts for these."""

from collections.abc import Sequence
from itertools import product
from typing import Any

from loratheory.figures import _strips as strips
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, grouped, words

WORDS = ("familiarity", "identity", "rule")
NUMBERS = (
    "coverage",
    "seed",
    "two_hop",
    "hop_1",
    "hop_2",
    "other_two_hop",
    "chance",
    "circuit",
    "predicted",
)
RULES = {
    "mean": "mean",
    "sum": "sum",
    "gates": "gates",
    "oracle placement": "depth oracle",
    "direct": "A→C adapter",
}
CONTROLS = {
    "base": ("|", "base"),
    "hop 1 alone": ("1", "adapter 1 alone"),
    "hop 2 alone": ("2", "adapter 2 alone"),
    "exchanged": ("x", "another edit's adapter 1"),
}
FAMILIARITIES = {"half": "half-fake", "fake": "fake"}
TITLE = "Which edits of entities that the base never met compose?"
NOTE = (
    "Half-fake: new subjects, known bridges; fake: all new. Repeated: the base was trained on "
    "e → e for these entities. No chains: none in pretraining."
)
IDENTITIES = {"none": "", "known": ", known repeated", "all": ", all repeated"}


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw what each rule answers, by what the base knew of the edited entities.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `familiarity`.

    Returns
    -------
    matplotlib.figure.Figure
        Above the edited chains, below what else is answered; a column a rule.

    Raises
    ------
    TableError
        If the table lacks a column or a rule.
    """
    from matplotlib.figure import Figure

    columns(rows, *NUMBERS)
    words(rows, *WORDS)
    grouped(rows, "rule", [*RULES, *CONTROLS])
    places = _conditions([{**row, "facts": (row["hop_1"] + row["hop_2"]) / 2} for row in rows])
    figure = Figure(figsize=(7.6, 4.8))
    grid = figure.subplots(2, len(RULES) + 1, sharex=True, sharey=True)
    for (above, below), (rule, title) in zip(grid.T, RULES.items(), strict=False):
        groups = {name: strips.those(here, rule=rule) for name, here in places.items()}
        if rule == "direct":  # `predicted` is what it answers itself
            strips.strip(above, groups, "two_hop", **strips.MEASURED)
        else:
            strips.versus(above, groups, "two_hop", "predicted")
        if rule != "oracle placement":  # its adapters follow the pass: single hops do not meet both
            strips.strip(below, groups, "facts", shift=-0.15, **strips.FACTS)
        strips.strip(below, groups, "other_two_hop", shift=0.15, **strips.KEPT)
        above.set_title(title, fontsize=9)
    _controls(grid[0][-1], grid[1][-1], places)
    for axes in grid.flat:
        strips.framed(axes, list(places))
    for axes in grid[0]:
        strips.chance(axes, rows)
    grid[0][0].set_ylabel("edited chains")
    grid[1][0].set_ylabel("what else is answered")
    strips.titled(figure, TITLE, _answer(places) + NOTE, ncols=5)
    return figure


def _answer(places: strips.Groups) -> str:
    """What the gates and the mean answer about entities that are new throughout."""
    told = [
        f"{name.capitalize()}: gates answer {strips.share(places[name], 'two_hop', rule='gates')}, "
        f"the mean {strips.share(places[name], 'two_hop', rule='mean')}, predicted "
        f"{strips.share(places[name], 'predicted', rule='gates')} and "
        f"{strips.share(places[name], 'predicted', rule='mean')}. "
        for name in ("fake", "fake, all repeated")
        if name in places
    ]
    return "".join(told)


def _conditions(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each kind of entities and of base, familiar ones first."""
    found = {}
    covered = sorted({row["coverage"] for row in rows}, reverse=True)
    for coverage, familiarity, identity in product(covered, FAMILIARITIES, IDENTITIES):
        here = strips.those(rows, coverage=coverage, familiarity=familiarity, identity=identity)
        if here:
            name = FAMILIARITIES[familiarity] + IDENTITIES[identity]
            found[name + ("" if coverage else ", no chains")] = here
    return found


def _controls(above: Any, below: Any, places: strips.Groups) -> None:
    """What answers no edited chain, and what the base itself answers."""
    above.set_title("controls", fontsize=9)
    for step, (rule, (mark, label)) in enumerate(CONTROLS.items()):
        groups = {name: strips.those(here, rule=rule) for name, here in places.items()}
        look: strips.Look = {"color": "#777777", "fmt": mark, "label": label, "ms": 4.5}
        strips.strip(above, groups, "two_hop", shift=0.2 * step - 0.3, **look)
        if rule == "base":
            strips.strip(below, groups, "other_two_hop", shift=0.15, **strips.KEPT)
            star: strips.Look = {
                "color": "#CC79A7",
                "fmt": "*",
                "label": "base, unseen chains",
                "ms": 5,
            }
            strips.strip(below, groups, "circuit", shift=-0.15, **star)
