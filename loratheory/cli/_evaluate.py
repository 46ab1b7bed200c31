"""``loratheory evaluate``, a report card for your own combination method."""

from operator import attrgetter
from typing import Annotated, Any

from typer import Argument, Option

from loratheory.cli import _shared as out

MODEL = "Evaluate on SmolLM2-135M-Instruct, too."
ALL_PAIRS = "Also evaluate 36 pairs of hops."
MEMORIES = {
    "hop_1": "first fact",
    "hop_2": "second fact",
    "two_hop": "both in one question",
}
SHARES = {
    "retention, two": "pairs", "retention, six": "six", "two-hop, standard": "standard",
    "two-hop, stand-ins": "stand_ins", "facts": "facts", "two-hop, all pairs": "all_pairs",
}  # fmt: skip


def evaluate(
    rule: Annotated[str, Argument(metavar="MODULE:RULE", help="Your function.")],
    *,
    model: Annotated[bool, Option("--model", help=MODEL)] = False,
    all_pairs: Annotated[bool, Option("--all-pairs", help=ALL_PAIRS)] = False,
    json: out.Json = None,
) -> None:
    """Evaluate your own combination method on algebraic laws and a small exact model.

    Your code is imported and run with your permissions. A merge is a function
    `rule(updates, weights)` that returns one update; a router is `rule(updates, activations)` and
    returns an object whose `weights(x)` gives one number per token and adapter. The name of the
    second argument decides which it is. Updates are NumPy `loratheory.lowrank.LowRank` matrices of
    one module. docs/how-to/check_your_method.md has a file `my_rules.py` with one of each.

    `--model` adds SmolLM2-135M-Instruct: retention on six different tasks, two-hop accuracy after
    standard and after stand-in training, drift (nats per token) and cost (relative to a pass with
    one adapter). `--all-pairs` adds questions that need one of six hop-1 and one of six hop-2
    adapters. Adapters and results of known methods are cached; training the adapters takes six
    minutes of one core, and half an hour for `--all-pairs`.

    Example: `loratheory evaluate my_rules:half --model`

    Example: `loratheory evaluate my_rules:largest_response --json card.json`

    JSON: an object `rule, form, laws, memories, language`; a law has `name, meaning,
    holds, gap, seed` (of the counterexample); memories have `curve` (leads by `coefficient`) and
    `starts`; a method on the language model has `rule`, its shares `pairs, six` (retention),
    `standard, stand_ins, all_pairs` (two-hop accuracy) and `facts`, each with `what, right, asked,
    low, high`, and `drift, cost`.
    """
    out.check_outputs(json)
    from loratheory.evaluate import card, rule_named

    # found before anything is computed, as its name is the likeliest mistake
    method = rule_named(rule)
    with out.stages(unit="step", desc="evaluate") as begin:
        report = card(method, begin, model=model or all_pairs, all_pairs=all_pairs)
    if out.deliver(json, report):
        _report(report)


def _report(report: Any) -> None:
    kept = sum(law.holds for law in report.laws)
    out.say(f": {kept} of {len(report.laws)} laws hold.", f"{report.form} {report.rule}")
    columns: out.Columns = {"law": "name"} | out.columns("holds", "gap", "seed")
    columns["meaning"] = lambda law: law.meaning.replace(":math:", "")
    out.show("Laws, each with its counterexample", columns, report.laws)
    starts = report.memories.starts
    rows = zip(map(MEMORIES.get, starts), starts.values(), strict=True)
    out.show("Exact memories: the coefficient from which each answer leads", ("", "from"), rows)
    if report.language:
        columns = out.columns("rule")
        # all-pairs evaluation has a column only where it was asked for
        for name, key in SHARES.items():
            if any(map(attrgetter(key), report.language)):
                columns[name] = lambda mark, key=key: out.format_share(getattr(mark, key))
        columns |= {"drift": "drift", "cost": "cost"}
        out.show("SmolLM2-135M-Instruct", columns, report.language)
