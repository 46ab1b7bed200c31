"""``loratheory evaluate``, a report card for your own combination method."""

from operator import attrgetter
from typing import Annotated, Any

from typer import Argument, Option

from loratheory.cli import _shared as out

MODEL = "Also evaluate on a language model."
BASE = "This language model: a folder or Hugging Face id. Default: SmolLM2-135M-Instruct."
ALL_PAIRS = "Also evaluate 36 pairs of a hop-1 and a hop-2 adapter."
MEMORIES = {"hop_1": "first fact", "hop_2": "second fact", "two_hop": "both in one question"}
SHARES = {
    "retention, two": "pairs", "retention, six": "six", "two-hop, standard": "standard",
    "two-hop, stand-ins": "stand_ins", "facts": "facts", "two-hop, all pairs": "all_pairs",
}  # fmt: skip


def evaluate(
    rule: Annotated[str, Argument(metavar="MODULE:RULE", help="Your function.")],
    *,
    model: Annotated[bool, Option("--model", help=MODEL)] = False,
    all_pairs: Annotated[bool, Option("--all-pairs", help=ALL_PAIRS)] = False,
    base: Annotated[str | None, Option(metavar="NAME", help=BASE)] = None,
    download: out.Download = False,
    json: out.Json = None,
) -> None:
    """Evaluate your own combination method on algebraic laws and a small exact model.

    Your code is imported and run with your permissions. Your method is a function RULE in a Python
    module MODULE:

    - a merge is a function `rule(updates, weights)` that returns one update

    - a router is a function `rule(updates, activations)` that returns an object; the object's
      `weights(x)` gives one number per token and adapter

    The second argument must be named `weights` or `activations`, because the name tells a merge
    from a router. Updates are NumPy `loratheory.lowrank.LowRank` matrices of one module. The file
    `my_rules.py` in docs/how-to/check_your_method.md has an example of each kind.

    `--model` also evaluates the method on a language model, SmolLM2-135M-Instruct or `--base`:

    - retention on six different tasks

    - two-hop accuracy after standard training and after stand-in training of the adapters

    - drift in nats per token, and cost relative to a pass with one adapter

    `--all-pairs` adds a library of six hop-1 adapters and six hop-2 adapters. Each question then
    needs one hop-1 adapter and one hop-2 adapter. Adapters, and results of known methods, are
    cached. The first training of the adapters takes six minutes on one core, or half an hour with
    `--all-pairs`.

    Example: `loratheory evaluate my_rules:half --model`

    Example: `loratheory evaluate my_rules:largest_response --json card.json`

    JSON: an object `rule, form, laws, memories, base, language`. A law has `name, meaning,
    holds, gap, seed`; the seed reproduces the counterexample. `memories` has `curve` (the lead of
    each answer by `coefficient`) and `starts` (the coefficient from which each answer leads).
    `language` has an object for each method: `rule, drift, cost` and shares of right answers. The
    keys of the shares are `pairs` and `six` for retention; `standard`, `stand_ins` and `all_pairs`
    for two-hop accuracy; and `facts` for single facts. Each share has `what, right, total, low,
    high`.
    """
    from loratheory.evaluate import card, rule_named

    # found before anything is computed, as its name is the likeliest mistake
    method = rule_named(rule)
    with out.stages(unit="step", desc="evaluate") as begin:
        asked = model or all_pairs or base is not None
        report = card(method, begin, model=asked, all_pairs=all_pairs, base=base, download=download)
    if out.deliver(json, report):
        _report(report)


def _report(report: Any) -> None:
    kept = sum(law.holds for law in report.laws)
    out.say(f": {kept} of {len(report.laws)} laws hold.", f"{report.form} {report.rule}")
    columns: out.Columns = {"law": "name"} | out.columns("holds", "gap", "seed", "meaning")
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
        out.show(report.base, columns, report.language)
