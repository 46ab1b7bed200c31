"""Figures of word problems: which skills compose, what bases must have seen, where merges fail."""

from typing import TYPE_CHECKING, Any

from loratheory.experiments.failing_step import OUTCOMES, RIGHT
from loratheory.figures._engine import Along, Line, Mark, Page, chosen, figure, mean
from loratheory.figures._look import (
    GREEN,
    LOOKS,
    SIGNS,
    Look,
    label,
)
from paper.studies._shared.problems import share_needed

if TYPE_CHECKING:
    import pandas as pd

COLOURS = {
    **dict(zip(OUTCOMES[:4], ("#003F6B", "#0072B2", "#56B4E9", "#B5DDF5"), strict=True)),
    **dict(zip(OUTCOMES[4:8], ("#7A3300", "#D55E00", "#F0A36B", "#FADBC4"), strict=True)),
    RIGHT: GREEN,
}
"""Colours of outcomes: blue if the first step fails, the paler the later; orange for the second."""


def question(tokens: str) -> str:
    """Return a problem as equations, such as ``A = 3; B = A × 2; B?``."""
    given, _, asked = tokens.partition(" ?: ")
    parts, rest = [], given.split()
    while rest:
        if "/" in rest[1]:
            name, skill, *rest = rest
            step = _made(skill.partition("/")[0], *rest[:2])
            parts.append(f"{name} = {''.join(text for text, _ in step)}")
            rest = rest[2:]
        else:
            name, number, *rest = rest
            parts.append(f"{name} = {number}")
    return "; ".join([*parts, f"{asked}?"])


def _solution(tokens: str) -> list[tuple[str, int]]:
    """What is written, as equations, in pieces, each with its place among the words or -1."""
    words = tokens.split()
    pieces: list[tuple[str, int]] = []
    for k in range(0, len(words) - 4, 5):
        name, skill, of, number, result = words[k : k + 5]
        step = [(text, place + k) for text, place in _made(skill, of, number)]
        pieces += [(name, k), (" = ", -1), *step, (" = ", -1), (result, k + 4), ("; ", -1)]
    return pieces[:-1]


def _made(skill: str, of: str, number: str) -> list[tuple[str, int]]:
    """A step as one reads it, in pieces with their places in a line of a solution."""
    if skill == "percent":
        return [(number, 3), ("% of ", 1), (of, 2)]
    return [(of, 2), (f" {SIGNS.get(skill, skill)} ", 1), (number, 3)]


COLUMNS = (-0.27, 0.2, 0.61)
"""Left ends of the columns of examples, in units of the axes' width."""


NEEDS = {
    "overlap": "template overlap",
    "shape": "share of right shape",
    "read": "likeness of reads",
    "write": "likeness of writes",
    "cosine": "cosine of updates",
    "subspace": "overlap of subspaces",
    "response": "likeness of responses",
    "agreement": "same next token",
    "chosen": "the best elsewhere",
    "constant": "no measure",
}


@figure("seed rule put bridge stepwise kept")
def shallow_matching(table: "pd.DataFrame") -> Page:
    """The share of problems solved as first put that is still solved when they are put otherwise.

    The lessons contain problems of two steps with each adapter's own skill. Models that solved
    nothing are left out.
    """
    put = {
        "wording": "other\nwords",
        "names": "other\nnames",
        "numbers": "other\nnumbers",
        "order": "another\norder",
        "distractor": "an idle\nquantity",
    }
    rows = chosen(table, bridge="own")
    marks = []
    for rule in ("mean", "sum", "ties", "arrow", "composed"):
        some = chosen(rows, rule=rule)
        name = f"{label(rule)} (first: {mean(some, 'stepwise', put='as it was'):.0%})"
        marks.append(Mark(some, "kept", name, LOOKS[rule]))
    up = "still solved, of those\nsolved as first put"
    told = ("wording", "order")
    look: Any = {"standing": True, "up": up, "across": "how they are put", "takeaway": told}
    panel = Along("", "put", marks, put, **look)
    title = (
        "Of the problems that it solved the mean solves {kept; rule=mean; put=wording} in other "
        "words and {kept; rule=mean; put=order} in another order; trained on the task {kept; "
        "rule=composed; put=wording} and {kept; rule=composed; put=order}"
    )
    return Page(rows, title, [[panel]], height=3.7)


SEEN = {
    "sums": "only\nsums",
    "other words": "no such\nskills",
    "single steps": "single\nsteps",
    "other pairs": "other\nskills",
}
"""Bases that have not met the pair, from left to right; those that have follow, by how often."""


LESSONS = {
    "single steps": "single steps",
    "with known skills": "two steps with known skills",
    "with others": "with all but the partner's",
    "beside others": "these, while others act",
}
"""How adapters of one skill are taught."""


@figure("seen rule first second coverage seed stepwise")
def skill_coverage(table: "pd.DataFrame") -> Page:
    """Problems of a pair of skills solved by base, merges and training, by what pretraining had."""
    never = ~table["seen"].eq("pairs")
    place = table["seen"].where(never, table["coverage"].map("{:g}".format))
    rows = table.assign(place=place)
    met = sorted(rows["coverage"][~never].unique())
    places = SEEN | {f"{x:g}": f"{100 * x:.2g}%" if x else "other\npairs" for x in met}
    marks = [
        Mark(chosen(rows, rule=rule), "stepwise", label(rule), LOOKS[rule])
        for rule in ("base", "second alone", "mean", "sum", "composed")
    ]
    axis: Any = {"standing": True, "rules": [len(SEEN) - 0.5], "up": "all steps right"}
    axis |= {"across": "what the base had seen; on the right how often the pair"}
    panel = Along("", "place", marks, places, takeaway=("0.0124", "single steps"), **axis)
    title = (
        "With the pair in 1.2% of two-step problems the mean solves {stepwise; place=0.0124; "
        "rule=mean}, the base alone {stepwise; place=0.0124; rule=base}; with no more than single "
        "steps the mean solves {stepwise; place=single steps; rule=mean}"
    )
    return Page(rows, title, [[panel]], height=3.9)


@figure("kind seed rule bridge share stepwise")
def template_overlap(table: "pd.DataFrame") -> Page:
    """Problems solved by merges against the share of two-step problems in each adapter's lesson.

    There is a row for each base and a column for each kind of two-step problems. The vote of
    ``thm:template-vote`` is won to the right of the vertical lines.
    """
    bridges = {
        "serial": "shared: both skills, other order",
        "neutral": "shared: other skills' two steps",
        "own": "shape alone: own skill twice",
    }
    panels = []
    for kind in ("single steps", "problems"):
        rows = table[table["kind"] == kind]
        if not rows.empty:
            panels.append([_shared(rows, bridge, name) for bridge, name in bridges.items()])
    title = (
        "Where lessons share templates of both skills the mean solves {stepwise; bridge=serial; "
        "rule=mean} of what needs both; where they share the shape alone {stepwise; bridge=own; "
        "share=1; rule=mean}"
    )
    return Page(table, title, panels, height=1.7 + 2.1 * len(panels))


def _shared(table: "pd.DataFrame", bridge: str, name: str) -> Along:
    """Two merges with intervals, training and one adapter as lines, and where votes are won."""
    habit = table["kind"].iloc[0] != "single steps"
    rows = table[table["bridge"].isin((bridge, "none"))]
    marks, lines = [], []
    for rule, coefficient in (("mean", 0.5), ("sum", 1.0)):
        look = Look(LOOKS[rule].colour, LOOKS[rule].sign, "-")
        marks.append(Mark(chosen(rows, rule=rule), "stepwise", label(rule), look))
        border = share_needed(coefficient, habit=habit)
        won = f"predicted: the vote is won, {rule}"
        lines.append(Line(border, won, "predicted", look.colour, along=True))
    singles = ("base", "first alone", "second alone")
    alone = max(mean(rows, "stepwise", rule=rule) for rule in singles)
    trained = mean(rows, "stepwise", rule="composed")
    lines += [Line(trained, label("composed"), colour=GREEN), Line(alone, "base or one adapter")]
    axis: Any = {"across": "share in two steps", "up": "all steps right", "ticks": [0, 0.5, 1]}
    return Along(name, "share", marks, lines=lines, takeaway=(0.97, 1.03), **axis)
