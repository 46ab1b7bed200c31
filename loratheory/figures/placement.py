"""Where two edits act, and what is answered: by the modules that hold them and the passes."""

from collections.abc import Mapping, Sequence
from typing import Any

from loratheory.experiments import TableError
from loratheory.figures._means import bars, interval, mean
from loratheory.figures._style import styled
from loratheory.figures._table import Row, columns, words

NEEDED = (
    *("seed", "two_hop", "hop_1", "hop_2", "half_way", "unchanged", "chance"),
    *("predicted", "inside", "predicted_right", "inside_right"),
)
PLACES = {
    "both loops": "both in both passes",
    "oracle placement": "each in its own pass",
    "first loop": "both in the first pass",
    "second loop": "both in the second",
    "reversed placement": "in the wrong order",
    "nowhere": "no adapter",
}
MODULES = {"mlp": "in MLPs", "attention": "in attention", "all": "in both"}
QUESTION = "Two edits that pass single-hop tests: do they compose wherever they act?"
FINDING = "Recall is not composition: the first edit must act in a pass before the second"
GREY, ORANGE = "#777777", "#D55E00"
TESTS = {
    "hop_1": (-0.34, "$1$", GREY, "facts of hop 1"),
    "hop_2": (-0.14, "$2$", GREY, "facts of hop 2"),
    "predicted": (0.1, "s", GREY, "chains, predicted\nfrom facts alone"),
    "inside": (0.1, "D", ORANGE, "chains, predicted\nfrom facts in chains"),
}
ANSWERS = {
    "two_hop": ("o", ORANGE, "new answer", ("both loops", "oracle placement")),
    "half_way": ("^", "#009E73", "old answer of the\nnew bridge", ("first loop",)),
    "unchanged": ("s", "#0072B2", "old answer", ("second loop", "reversed placement", "nowhere")),
}
"""What a chain can be answered, and the places where the order of reads leaves that answer."""


@styled
def draw(rows: Sequence[Row]) -> Any:
    """Draw what is answered at every place with 95 % intervals over base seeds.

    Parameters
    ----------
    rows : sequence of mappings
        The table of the experiment `placement`.

    Returns
    -------
    matplotlib.figure.Figure
        A column each choice of modules. Above, single facts, chains and two predictions of
        them; below, which of three answers chains get, and which the order of reads leaves.

    Raises
    ------
    TableError
        If a column is missing, or a place.
    """
    from matplotlib.figure import Figure

    columns(rows, *NEEDED)
    here: dict[tuple[str, str], list[Row]] = {}
    for row, *pair in zip(rows, *words(rows, "modules", "place"), strict=True):
        here.setdefault((pair[0], pair[1]), []).append(row)
    kinds = [one for one in MODULES if any(kind == one for kind, _ in here)] or ["mlp"]
    missing = [
        f"{place} ({kind})" for kind in kinds for place in PLACES if (kind, place) not in here
    ]
    if missing:
        message = (
            f"no row of the table has the place {', '.join(missing)}: "
            "draw the table of the experiment `placement`"
        )
        raise TableError(message)
    figure = Figure(figsize=(7.6, 6.0))
    grid = figure.subplots(2, len(kinds), sharex=True, sharey=True, squeeze=False)
    for kind, (above, below) in zip(kinds, grid.T, strict=True):
        found = [here[kind, place] for place in PLACES]
        _tests(above, found)
        _answers(below, found)
        above.set_title(f"{MODULES[kind]}\n{_right(found)}", fontsize=8)
    grid[0][0].set_yticks(range(len(PLACES)), PLACES.values())
    grid[0][0].invert_yaxis()
    grid[0][0].set(xlim=(-0.06, 1.06), xticks=[0, 0.5, 1])
    for axes, title in zip(grid[:, -1], ("share right", "answers to edited chains"), strict=True):
        axes.legend(
            title=title,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            alignment="left",
            fontsize=7.5,
            title_fontsize=8,
        )
    title = FINDING if all(_in_order(here, kind) for kind in kinds) else QUESTION
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=10)
    return figure


def _in_order(here: Mapping[tuple[str, str], Sequence[Row]], kind: str) -> bool:
    """Whether chains are clearly above chance in their own passes, and below it out of order.

    And whether both edits recall in the first pass, where they do not compose.
    """
    chance = mean(here[kind, "oracle placement"], "chance")
    late = [here[kind, place] for place in ("first loop", "second loop", "reversed placement")]
    return (
        interval(here[kind, "oracle placement"], "two_hop")[1] > chance
        and all(interval(rows, "two_hop")[2] < chance for rows in late)
        and all(interval(late[0], hop)[1] > chance for hop in ("hop_1", "hop_2"))
    )


def _right(found: Sequence[Sequence[Row]]) -> str:
    """How often the two predictions are, all places together."""
    rows = [row for group in found for row in group]
    alone, inside = (mean(rows, f"{name}_right") for name in ("predicted", "inside"))
    return f"right: □ {alone:.0%}, ◇ {inside:.0%}"


def _tests(axes: Any, found: Sequence[Sequence[Row]]) -> None:
    """Both hops, chains, and what margins say: of the facts alone, and within chains."""
    for name, (shift, mark, colour, label) in TESTS.items():
        told = [mean(rows, name) for rows in found]
        at = [y + shift for y in range(len(found))]
        axes.plot(
            told, at, marker=mark, ls="", color=colour, mfc="none", ms=4.5, mew=1, label=label
        )
    _points(axes, found, "two_hop", 0.34, fmt="o", color=ORANGE, label="chains, measured")
    chance = mean([row for rows in found for row in rows], "chance")
    axes.axvline(chance, color="black", lw=0.8, ls=":", label="one answer always")


def _answers(axes: Any, found: Sequence[Sequence[Row]]) -> None:
    """The three answers, and open marks at 1 where theory puts them."""
    for number, (name, (mark, colour, label, expected)) in enumerate(ANSWERS.items()):
        shift = 0.25 * (number - 1)
        _points(axes, found, name, shift, fmt=mark, color=colour, label=label)
        rings = [y + shift for y, place in enumerate(PLACES) if place in expected]
        axes.plot([1.0] * len(rings), rings, mark, mfc="none", mec=colour, ms=7, mew=1)
    axes.plot(
        [],
        [],
        "o",
        mfc="none",
        mec="black",
        ms=7,
        mew=1,
        label="open: predicted by\nthe order of reads",
    )


def _points(
    axes: Any, found: Sequence[Sequence[Row]], name: str, shift: float, **look: Any
) -> None:
    bars(
        axes,
        [y + shift for y in range(len(found))],
        [interval(rows, name) for rows in found],
        sideways=True,
        **look,
    )
