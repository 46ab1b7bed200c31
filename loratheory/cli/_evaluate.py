"""``loratheory evaluate``: a report card for a merge or router of one's own."""

from functools import partial
from typing import Annotated, Any

import typer

from loratheory.cli._output import (
    Columns,
    Figure,
    Json,
    Profile,
    delivered,
    needs,
    progress,
    reachable,
    say,
    show,
)

COLUMNS = {
    "two-hop": "two_hop", "hop 1": "hop_1", "hop 2": "hop_2", "other facts": "other_hops",
    "other two-hop": "other_two_hop", "shortcut": "shortcut", "chance": "chance",
}  # fmt: skip
NAMES = {
    "hop_1": "first fact",
    "hop_2": "second fact",
    "two_hop": "both in one question",
    "same_read": "facts of two adapters in one read",
}

READING = (
    "Two-hop counts beside its controls: each adapter alone, other facts and questions, shortcut\n"
    "(the answer given to other subjects), chance, the rule on another edit's adapter and on\n"
    "noise. Intervals are over bases: few bases, too narrow."
)


def evaluate(
    rule: Annotated[str, typer.Argument(metavar="MODULE:RULE", help="A function of yours.")],
    profile: Profile = "quick",
    json: Json = None,
    figure: Figure = None,
) -> None:
    """Write a report card for a rule: laws, exact memories, small transformers beside known rules.

    The rule's own code is imported and run, with your rights. A merge is a plain function
    `rule(updates, weights)` that returns one update; a router is `rule(updates, activations)` and
    returns an object with `weights(x)`, one number per token and adapter. Updates are
    `loratheory.lowrank.LowRank` in NumPy, of one module. The name of the second argument decides.

    Example: `loratheory evaluate my_rules:half`

    Example: `loratheory evaluate my_rules:largest --json card.json --figure card.png`

    JSON: an object `rule, form, profile, laws, memories, marks`; a law has `name, meaning, holds,
    gap, seed` (of the counterexample); memories have `curve` (leads by `coefficient`) and `starts`;
    a mark has `rule, coverage, two_hop, low, high, hop_1, hop_2, other_hops, other_two_hop,
    shortcut, chance`.
    """
    reachable(json, figure=figure)
    needs("torch", "evaluate")
    from loratheory.experiments.evaluate import card, rule_named

    asked = rule_named(rule)
    with progress(unit="step", desc="evaluate") as bar:

        def _progress(text: str) -> None:
            bar.set_description(text)
            bar.update()

        report = card(asked, profile, _progress)
    if delivered(json, report, figure, "evaluation", report):
        _report(report)


def _report(report: Any) -> None:
    say(f" {report.rule}", report.form)
    columns: Columns = {key: key for key in ("holds", "gap", "seed")}
    columns |= {"meaning": lambda law: law.meaning.replace(":math:", "")}
    show("laws, by counterexample", {"law": "name", **columns}, report.laws)
    starts = [(NAMES[kind], start) for kind, start in report.memories.starts.items()]
    show("exact memories: the coefficient from which each answer leads", ("", "from"), starts)
    shares: Columns = {name: partial(_share, key=key) for name, key in COLUMNS.items()}
    for coverage in dict.fromkeys(mark.coverage for mark in report.marks):
        rows = [mark for mark in report.marks if mark.coverage == coverage]
        title = f"small transformers, {coverage:.0%} of two-hop questions in pretraining"
        show(title, {"rule": "rule", **shares, "two-hop, 95 %": _interval}, rows)
    say(READING)


def _share(mark: Any, key: str) -> str:
    return f"{getattr(mark, key):.2f}"


def _interval(mark: Any) -> str:
    return f"{mark.low:.2f} to {mark.high:.2f}"
