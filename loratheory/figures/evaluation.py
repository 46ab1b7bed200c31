"""The report card of a rule, drawn: exact memories on the left, small transformers on the right."""

from typing import Any

from loratheory.figures._style import styled

LINES = {
    "hop_1": ("first fact", "#0072B2", "-"),
    "hop_2": ("second fact", "#56B4E9", (0, (1, 1.2))),
    "two_hop": ("both in one question", "#D55E00", (0, (5, 1.6))),
    "same_read": ("two adapters in one read", "#7A7A7A", (0, (3, 1, 1, 1))),
}
OWN, OTHER, LOCAL = "#D55E00", "#B8B8B8", "black"


@styled
def draw(card: Any) -> Any:
    """Draw what a rule does to facts and to their composition.

    Parameters
    ----------
    card : loratheory.experiments.evaluate.Card
        The report card.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown, not registered with pyplot.
    """
    from matplotlib.figure import Figure

    places = list(dict.fromkeys(mark.coverage for mark in card.marks))
    figure = Figure(figsize=(4.2 + 3.4 * len(places), 4.4), layout="constrained")
    left, *rest = figure.subplots(1, 1 + len(places), width_ratios=[1.3] + [1.0] * len(places))
    _memories(left, card.memories.curve)
    for number, (axes, coverage) in enumerate(zip(rest, places, strict=True)):
        _marks(axes, [m for m in card.marks if m.coverage == coverage], card.rule)
        axes.set_title(f"{coverage:.0%} of two-hop\nquestions in pretraining", fontsize=9)
        if number:
            axes.set_yticklabels([])
    rest[-1].legend(loc="center right", fontsize=7)
    figure.suptitle(f"{card.rule}: do facts survive, and do they compose?")
    return figure


def _memories(axes: Any, curve: Any) -> None:
    c = [row["coefficient"] for row in curve]
    for kind, (name, colour, style) in LINES.items():
        axes.plot(c, [row[kind] for row in curve], color=colour, ls=style, label=name)
    axes.axhline(0, color="black", lw=0.9)
    axes.set(
        xlabel="coefficient of the result",
        ylabel="lead of the new answer",
        xlim=(0, c[-1]),
        ylim=(-1.1, 2.1),
        title="exact memories",
    )
    axes.legend(loc="upper left", fontsize=7)


def _marks(axes: Any, marks: Any, own: str) -> None:
    rows = list(range(len(marks)))[::-1]
    colours = [OWN if mark.rule.startswith(own) else OTHER for mark in marks]
    axes.barh(rows, [mark.two_hop for mark in marks], color=colours, height=0.7, label="two-hop")
    for row, mark in zip(rows, marks, strict=True):
        axes.plot([mark.low, mark.high], [row, row], color="black", lw=1)
    axes.plot(
        [m.other_two_hop for m in marks], rows, "D", ms=4, mfc="white", mec=LOCAL,
        label="unedited two-hop kept",
    )  # fmt: skip
    axes.axvline(marks[0].chance, color="black", lw=0.8, ls=(0, (2, 2)))
    clear = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.text(marks[0].chance, len(marks) - 0.4, "chance", fontsize=7, ha="center", bbox=clear)
    axes.set(xlim=(0, 1.04), xlabel="accuracy", ylim=(-0.6, len(marks) - 0.1))
    axes.set_yticks(rows, [mark.rule.partition(":")[2] or mark.rule for mark in marks])
