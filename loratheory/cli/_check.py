"""``loratheory check``: what the theorems predict for a real model, and what is measured."""

from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from loratheory.cli import _shared as out

FACTS = "Prompts and answers, as above."


def check(
    folders: out.Folders,
    *,
    facts: Annotated[Path | None, Option(metavar="FILE", help=FACTS)] = None,
    base: out.Base,
    json: out.Json = None,
) -> None:
    """Compare what the theorems predict with a real model's weights, inputs and logits.

    It shows the adapters' intruder dimensions, how near one merge can come to all of them, what
    they add to each other's inputs, and which inputs Arrow can tell apart; with `--facts` also
    whether facts survive the merge and compose. Where a hypothesis fails, the theorem is "silent":
    the quantity that fails is shown, and prediction and measurement all the same.

    A file of facts is `{"ADAPTER": {"PROMPT": "ANSWER"}, "two-hop": {"PROMPT": "ANSWER"}}`. An
    adapter is named by its folder, or by its path where two folders have the same name; answers are
    compared by their first tokens. For one adapter it can be JSON Lines of `{"prompt": …,
    "completion": …}`, such as the `test.jsonl` of `loratheory augment`: the share right alone is
    then its portability. The drift of each adapter, the KL divergence from the base on ordinary
    text, is shown as well.

    Example: `loratheory check tests/data/persons tests/data/mascots --facts
    tests/data/questions.json`

    JSON: an object `model, adapters, notes, readings, kept, drifts` (a number for each adapter); a
    reading has `label, module, layer, about, bound, value, outcome` (holds, tight, broken or not
    applicable) and `note`; a row of `kept` has `group, rule` (base, alone, mean or
    sum), `predicted, measured, asked`.
    """
    out.check_outputs(json)
    from loratheory.pretrained import check_model
    from loratheory.pretrained.check import read_fact_groups
    from loratheory.pretrained.metrics import Share

    library = list(map(out.Source(download=base.download).read, folders))
    asked = read_fact_groups(facts) if facts is not None else None
    bar = partial(out.progress, unit="module", desc="check")
    result = check_model(base.load(), library, facts=asked, progress=bar)
    if not out.deliver(json, result):
        return
    _show_readings(result)
    show_drift(result.adapters, result.drifts)
    rows = []
    for one in result.kept:
        share = out.format_share(Share.of("", one.measured, one.asked))
        rows.append((one.group, one.rule, one.predicted, share))
    if rows:
        columns = ("facts of", "rule", "predicted", "right (95 % interval)")
        out.show("right answers", columns, rows)


def _show_readings(result: Any) -> None:
    from loratheory.pretrained.check import summarise

    lines = summarise(result.readings)
    out.say(f": {', '.join(result.adapters)}", result.model, result.notes)
    columns = {"asked": "question", "read": "places"}
    columns |= out.columns("holds", "tight", "silent", "broken")
    columns |= {"predicted": "bound", "measured": "value"}
    rows = map(itemgetter(*columns.values()), lines)
    out.show("medians over modules and adapters", list(columns), rows)
    for line in lines:
        out.say(f"• {'Silent' if line['silent'] else 'Seen'}, {line['label']}: {line['why']}.")
        if line["agree"] is not None:
            share = f"{100 * line['agree']:.0f} % of {line['places']}"
            out.say(f"  Predicted and measured have one sign in {share}.")


def show_drift(names: Any, drifts: Any) -> None:
    """Print each adapter's drift, and the retention of others with such a partner."""
    from loratheory.diagnosis import LIBRARY, expect_retention

    rows = []
    for name, drift in zip(names, drifts, strict=True):
        rows.append((name, drift, *expect_retention(drift)))
    columns = ("adapter", "drift, nats per token", "retention of others", "number of adapters")
    out.show(
        "Drift of each adapter, and retention of other adapters in a sum with it", columns, rows
    )
    out.say(f"Retention is that of adapters summed with one of such a drift, in {LIBRARY}.")
