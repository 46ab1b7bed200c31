"""``loratheory evaluate``, a report card for your own rule."""

from functools import partial
from typing import Annotated, Any

import typer

from loratheory.cli import _output as out

NAMES = {
    "hop_1": "first fact",
    "hop_2": "second fact",
    "two_hop": "both in one question",
    "same_read": "facts of two adapters in one read",
}

SHARES = {
    "kept, two": "pairs", "kept, six": "six", "2-hop, plain": "plain", "2-hop, taught": "taught",
    "facts": "facts", "2-hop of 12": "crossed",
}  # fmt: skip
READING_LANGUAGE = (
    "Kept: of what each of six adapters answers alone, with two at once and with all. 2-hop:\n"
    "two-hop questions of adapters taught plainly, and beside stand-ins; facts: their single\n"
    "facts; of 12: of six first and six second hops (--crossings). Right is the likeliest token\n"
    "of all, so chance is nothing; intervals are Wilson's, over questions. Leak: KL from the base\n"
    "on ordinary text, all six at once, nats a token. Cost: multiplications of its passes, over\n"
    "those with one adapter."
)
Model = Annotated[
    bool, typer.Option("--model/--no-model", help="Test on SmolLM2-135M-Instruct, too.")
]
Crossings = Annotated[
    bool,
    typer.Option("--crossings", help="With --model, ask twelve adapters, too; see below."),
]


def evaluate(
    rule: Annotated[str, typer.Argument(metavar="MODULE:RULE", help="Your function.")],
    profile: out.Profile = "quick",
    model: Model = False,
    crossings: Crossings = False,
    json: out.Json = None,
    figure: out.Figure = None,
) -> None:
    """Test your own rule of reuse on laws and exact memories; write a report.

    Your code is imported and run with your permissions. A merge is a function
    `rule(updates, weights)` that returns one update; a router is `rule(updates, activations)` and
    returns an object whose `weights(x)` gives one number per token and adapter. The name of the
    second argument decides which it is. Updates are NumPy `loratheory.lowrank.LowRank` matrices of
    one module.

    With `--model` it is also tested on SmolLM2-135M-Instruct: what is kept of six unlike tasks,
    two-hop questions of adapters trained plainly and beside stand-ins, what leaks into ordinary
    text, and the cost. `--crossings` adds the two-hop questions of six first and six second hops
    taught beside stand-ins, any of which may be needed together, and the gates for such libraries.
    Adapters and the results of known rules are cached. Training takes six minutes, and half an hour
    of one core for the twelve; the first card then takes less than five minutes on two cores.

    Example: `loratheory evaluate my_rules:half --model`

    Example: `loratheory evaluate my_rules:largest --json card.json --figure card.png`

    JSON: an object `rule, form, profile, laws, memories, language`; a law has `name, meaning,
    holds, gap, seed` (of the counterexample); memories have `curve` (leads by `coefficient`) and
    `starts`; a method on the language model has `rule, pairs, six, plain, taught, facts, crossed`,
    each with `what, right, asked, low, high`, and `leak, cost`.
    """
    out.reachable(json, figure=figure)
    _asks(model=model, crossings=crossings)
    if model:
        out.needs("pretrained", "evaluate --model")
    from loratheory.evaluate import card, rule_named

    asked = rule_named(rule)
    with out.stages(unit="step", desc="evaluate") as begin:
        report = card(asked, profile, begin, model=model, all_pairs=crossings)
    if out.delivered(json, report, figure, "evaluation", report):
        _report(report)


def _asks(*, model: bool, crossings: bool) -> None:
    if crossings and not model:
        out.refused("--crossings asks adapters of the language model: add --model")


def _report(report: Any) -> None:
    out.say(f" {report.rule}", report.form)
    columns: out.Columns = {key: key for key in ("holds", "gap", "seed")}
    columns |= {"meaning": lambda law: law.meaning.replace(":math:", "")}
    out.show("laws, by counterexample", {"law": "name", **columns}, report.laws)
    starts = [(NAMES[kind], start) for kind, start in report.memories.starts.items()]
    out.show("exact memories: the coefficient from which each answer leads", ("", "from"), starts)
    if report.language:
        asked = {key for mark in report.language for key, value in vars(mark).items() if value}
        shares: out.Columns = {
            name: partial(_kept, key=key) for name, key in SHARES.items() if key in asked
        }
        columns = {"rule": "rule", **shares, "leak": "leak", "cost": "cost"}
        out.show("SmolLM2-135M-Instruct", columns, report.language)
        out.say(READING_LANGUAGE)


def _kept(mark: Any, key: str) -> str:
    share = getattr(mark, key)
    return share and str(share)
