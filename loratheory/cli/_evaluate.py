"""``loratheory evaluate``, a report card for your own combination method."""

from operator import attrgetter
from typing import Annotated, Any

from typer import Argument, Option

from loratheory.cli import _shared as out

MODEL = "Evaluate on SmolLM2-135M-Instruct, too."
ALL_PAIRS = "The same, and 36 pairs of hops."
MEMORIES = {
    "hop_1": "first fact",
    "hop_2": "second fact",
    "two_hop": "both in one question",
}
SHARES = {
    "kept, two": "pairs", "kept, six": "six", "2-hop, standard": "plain",
    "2-hop, stand-ins": "taught", "facts": "facts", "2-hop, all pairs": "crossed",
}  # fmt: skip


def evaluate(
    rule: Annotated[str, Argument(metavar="MODULE:RULE", help="Your function.")],
    *,
    model: Annotated[bool, Option("--model", help=MODEL)] = False,
    all_pairs: Annotated[bool, Option("--all-pairs", help=ALL_PAIRS)] = False,
    json: out.Json = None,
) -> None:
    """Evaluate your own combination method on laws and exact memories.

    Your code is imported and run with your permissions. A merge is a function
    `rule(updates, weights)` that returns one update; a router is `rule(updates, activations)` and
    returns an object whose `weights(x)` gives one number per token and adapter. The name of the
    second argument decides which it is. Updates are NumPy `loratheory.lowrank.LowRank` matrices of
    one module. docs/how-to/check_your_method.md has a file `my_rules.py` with one of each.

    With `--model` it is also evaluated on SmolLM2-135M-Instruct: how much is kept of six unlike
    tasks, two-hop questions of adapters with standard training and with stand-in training, drift
    on ordinary text (nats per token), and cost (of a pass with one adapter). Adapters and the
    results of known methods are cached; training them takes six minutes of one core, and half an
    hour for `--all-pairs`.

    Example: `loratheory evaluate my_rules:half --model`

    Example: `loratheory evaluate my_rules:largest_response --json card.json`

    JSON: an object `rule, form, laws, memories, language`; a law has `name, meaning,
    holds, gap, seed` (of the counterexample); memories have `curve` (leads by `coefficient`) and
    `starts`; a method on the language model has `rule, pairs, six, plain, taught, facts, crossed`,
    each with `what, right, asked, low, high`, and `leak, cost`.
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
    out.say(f" {report.rule}", report.form)
    columns: out.Columns = {"law": "name"} | out.columns("holds", "gap", "seed")
    columns["meaning"] = lambda law: law.meaning.replace(":math:", "")
    out.show("laws, by counterexample", columns, report.laws)
    starts = report.memories.starts
    rows = zip(map(MEMORIES.get, starts), starts.values(), strict=True)
    out.show("exact memories: the coefficient from which each answer leads", ("", "from"), rows)
    if report.language:
        columns = out.columns("rule")
        # all-pairs evaluation has a column only where it was asked for
        for name, key in SHARES.items():
            if any(map(attrgetter(key), report.language)):
                columns[name] = lambda mark, key=key: out.format_share(getattr(mark, key))
        columns |= {"drift": "leak", "cost": "cost"}
        out.show("SmolLM2-135M-Instruct", columns, report.language)
