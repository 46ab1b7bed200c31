"""Figures of word problems: which skills compose, what bases must have seen, where merges fail."""

from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from loratheory.experiments.bench.problems import share_needed
from loratheory.experiments.bench.reliability import MEASURES, REUSED, composed, forecasts
from loratheory.experiments.failing_step import OUTCOMES, RIGHT
from loratheory.figures._engine import Along, Heat, Line, Mark, Page, chosen, figure, mean
from loratheory.figures._look import (
    GREEN,
    GREY,
    INK,
    LINES,
    LOOKS,
    ORANGE,
    SIGNS,
    TAKEAWAY,
    Look,
    label,
    labels,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

COLOURS = {
    **dict(zip(OUTCOMES[:4], ("#003F6B", "#0072B2", "#56B4E9", "#B5DDF5"), strict=True)),
    **dict(zip(OUTCOMES[4:8], ("#7A3300", "#D55E00", "#F0A36B", "#FADBC4"), strict=True)),
    RIGHT: GREEN,
}
"""Colours of outcomes: blue if the first step fails, the paler the later; orange for the second."""


@figure("rule first second seed outcome rate question solution written")
def failing_step(table: "pd.DataFrame") -> Page:
    """Where solutions fail, counted; and examples of problems as they were put and solved.

    Above are shares of all problems, over base seeds and pairs of skills. Below, for the first base
    and pair, are the first problems of each rule's most frequent outcomes, wrong words in colour.
    """
    rules = labels("base", "second alone", "mean", "sum", "composed")
    shown = [(name, row) for rule, name in rules.items() for row in _examples(table, rule)]
    title = (
        "The mean solves {rate; rule=mean; outcome=right} of the problems and goes wrong at the "
        "second step's skill in {rate; rule=mean; outcome=second skill}; trained on the task a "
        "model solves {rate; rule=composed; outcome=right}"
    )
    panels = [[partial(_outcomes, table, rules)], [partial(_solutions, shown)]]
    return Page(table, title, panels, heights=(1, 2))


def _named(outcome: str) -> str:
    return "nothing: all right" if outcome == RIGHT else outcome.replace(" ", " step's ")


def _outcomes(table: "pd.DataFrame", rules: "Mapping[str, str]", axes: Any) -> None:
    left = np.zeros(len(rules))
    for outcome in OUTCOMES:
        rates = [mean(table, "rate", rule=rule, outcome=outcome) for rule in rules]
        look = {"color": COLOURS[outcome], "height": 0.72, "label": _named(outcome)}
        axes.barh(list(rules.values()), rates, left=left, **look)
        left += rates
    told = list(rules).index("mean")
    axes.axhspan(told - 0.5, told + 0.5, **TAKEAWAY)
    axes.set(xlim=(0, 1), ylim=(len(rules) - 0.5, -0.5))
    axes.set_xlabel("share of problems, by the first word that is wrong")
    axes.grid(visible=False)


def _examples(table: "pd.DataFrame", rule: str) -> list[Any]:
    """Of the first base and pair of skills the two most frequent outcomes that occur."""
    rows = chosen(table, rule=rule)
    first = {key: rows[key].iloc[0] for key in ("seed", "first", "second")}
    rows = chosen(rows, **first)
    rows = rows[rows["rate"] > 0].sort_values("rate", ascending=False, kind="stable")
    return rows[:2].to_dict("records")


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


def _solutions(shown: list[tuple[str, Any]], axes: Any) -> None:
    """A wrong word lies in the gap that the right ones leave for it."""
    lines = len(shown) + len({name for name, _ in shown})
    axes.set(xlim=(0, 1), ylim=(lines - 0.4, -1.6))
    axes.axis("off")
    heads = ("problem, modulo 7", "right solution", "as written")
    aside: Any = {"va": "center", "in_layout": False}
    for x, head in zip(COLUMNS, heads, strict=True):
        axes.text(x, -1, head, weight="bold", fontsize=8, **aside)
    before, line = None, -1
    for name, row in shown:
        if name != before:
            line += 1
            axes.text(COLUMNS[0], line, name, fontsize=8, **aside)
            ends, rule = [COLUMNS[0], 1.0], [line - 0.5] * 2
            axes.plot(ends, rule, color=GREY, lw=0.4, clip_on=False, in_layout=False)
        before = name
        line += 1
        due, written = row["solution"].split(), row["written"].split()
        wrong = [k for k, (a, b) in enumerate(zip_longest(due, written)) if a != b]
        pieces = _solution(row["written"])
        layers = [
            "".join(text if (place in wrong) == odd else " " * len(text) for text, place in pieces)
            for odd in (False, True)
        ]
        right = "".join(text for text, _ in _solution(row["solution"]))
        look: Any = {**aside, "family": "monospace", "fontsize": 7.7}
        for x, text in zip(COLUMNS, (question(row["question"]), right, layers[0]), strict=True):
            axes.text(x, line, text, **look)
        axes.text(COLUMNS[2], line, layers[1], color=ORANGE, weight="bold", **look)


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


@figure(" ".join(["seed first second alone_2 base composed", *REUSED, *MEASURES]))
def label_free_prediction(table: "pd.DataFrame") -> Page:
    """Which pairs of skills compose, and how often measures that need no labels foretell it."""
    rules = {"base": "base", "alone_2": "2nd", "mean": "mean", "sum": "sum"}
    rules |= {"composed": "trained"}
    signs = {name: SIGNS[name] for name in table["first"].unique()}
    pair = table["first"].map(signs) + " then " + table["second"].map(signs)
    keys = ["seed", "pair"]
    rows = table.assign(pair=pair)[[*keys, *rules]].melt(keys, var_name="rule", value_name="solved")
    downs = {name: name for name in sorted(pair.unique())}
    heat = Heat("solved, by pair and rule", rows, "pair", "rule", "solved", downs, rules, ["sum"])
    foretold, outcome = forecasts(table), composed(table)
    hits = {name: float(((foretold[name] >= 0.5) == outcome).mean()) for name in NEEDS}
    title = (
        "Of pairs that pretraining never showed the sum solves {sum}, training on the pair "
        f"{{composed}}; the measure that was best on other skills foretells {hits['chosen']:.0%} "
        f"of pairs of adapters, no measure {hits['constant']:.0%}"
    )
    usual = max(outcome.mean(), 1 - outcome.mean())
    note = "2nd: the second skill's adapter alone; trained: on the pair itself."
    right = partial(_hits, hits, usual)
    return Page(table, title, [[heat, right]], 5, note, scale="all steps right")


def _hits(hits: "Mapping[str, float]", usual: float, axes: Any) -> None:
    """Of each measure, with a threshold chosen on other skills and bases, the share of hits."""
    names = sorted(hits, key=lambda name: -hits[name])
    axes.plot([hits[name] for name in names], range(len(names)), "o", color=INK, label="right")
    look = {"color": INK, "ls": LINES["chance"], "label": "chance (the more frequent outcome)"}
    axes.axvline(usual, **look)
    told = names.index("chosen")
    axes.axhspan(told - 0.46, told + 0.46, **TAKEAWAY)
    axes.set(xlim=(0.3, 1), xlabel="share of pairs of adapters", ylim=(len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), [NEEDS[name] for name in names])
    axes.set_title("right about skills held out")


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


@figure("lessons rule first second seed stepwise step_1 step_2")
def skill_stand_ins(table: "pd.DataFrame") -> Page:
    """Adapters of one skill each by how they were taught: both skills at once, and single steps."""
    rules = ("sum", "mean", "arrow", "gates", "second alone")
    marks = [
        Mark(chosen(table, rule=rule), "stepwise", label(rule), LOOKS.get(rule, Look(GREY, "X")))
        for rule in rules
    ]
    asked = Along("both skills", "lessons", marks, LESSONS, span=4, takeaway=("beside others",))
    added = chosen(table, rule="sum")
    steps = [
        Mark(added, "step_1", "single steps, first skill", Look(INK)),
        Mark(added, "step_2", "single steps, second skill", Look(ORANGE, "s")),
    ]
    single = Along("single steps, sum", "lessons", steps, LESSONS, span=3)
    title = (
        "Skills practised beside others: the sum solves {stepwise; rule=sum; lessons=beside "
        "others} of what needs two, as when practised alone ({stepwise; rule=sum; lessons=with "
        "others}), the mean {stepwise; rule=mean; lessons=beside others} instead of {stepwise; "
        "rule=mean; lessons=with others}"
    )
    return Page(table, title, [[asked, single]], height=3.2)


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
