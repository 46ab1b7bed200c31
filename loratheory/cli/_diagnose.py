"""``loratheory diagnose``: the verdict on a shelf of adapters before anything is merged."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli._inspect import Figure, Folders, Json
from loratheory.cli._output import console, figure_file, progress, reachable, save_json, show

HEADINGS = {
    "measured": "Measured on these weights",
    "needed": "What a merge would then need",
    "unknown": "What no look at the weights can tell",
    "shared": "What they have in common, and what that told in our experiments",
}
COLUMNS = (
    "cross-talk: what one answers to the worst input of another, over the other's largest answer; "
    "bound: what size and angle allow; cos θ₁: of the nearest directions that both read; floor: "
    "the least distance of one merge to all; gauge gap: how much a mean of factors depends on how "
    "the updates are factored."
)
"""What the table's columns are."""
NEXT = (
    "• Single facts and composed answers: `loratheory check-model FOLDER FOLDER --facts FILE`, "
    "where FILE has prompts and answers by adapter, as tests/data/questions.json has.\n"
    "• Where an answer takes both adapters, test that answer: single facts do not stand in for it. "
    "Ask hop by hop where you can."
)
"""What to do for what the weights cannot tell."""


def diagnose(
    folders: Folders,
    any_base: Annotated[
        bool, typer.Option("--any-base", help="Accept different base model names.")
    ] = False,
    solutions: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="JSONL",
            help="What an adapter was trained on, with `template`; one for each, in their order.",
        ),
    ] = None,
    probe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Prompts, one a line, no answers; needs --model."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The base model, a folder or in the cache, for --probe."),
    ] = None,
    json: Json = None,
    figure: Figure = None,
) -> None:
    """Say what the weights tell about merging and routing these adapters, and what they do not.

    Every sentence carries the theorem that it rests on: `loratheory theorems LABEL` shows it.
    With training sets or prompts it also says what the adapters have in common, and how well such
    a measure foretold reuse in small transformers. Likeness of weights needs the adapters alone,
    `--solutions` the training sets, `--probe` prompts and the base model.

    Example: `loratheory diagnose adapter_1 adapter_2 --figure overlap.png`

    JSON: an object `adapters, findings, notes, modules`; a finding has `kind` (measured, needed,
    unknown or shared), `text`, `label`; a module has `ranks, pair, row_cosine, crosstalk,
    ceiling, floors, gauge_gap, arrow_gap, arrow_blind, prototype_cosine`.
    """
    from loratheory.cli._in_common import in_common
    from loratheory.diagnosis import diagnose as verdict
    from loratheory.diagnosis import template_findings

    reachable(json, figure=figure)
    bar = partial(progress, unit="module", desc="diagnose")
    common = in_common(folders, solutions or [], probe, model, any_base=any_base)
    diagnosis = verdict(*folders, any_base=any_base, progress=bar)
    shared = template_findings(diagnosis.adapters, common)
    diagnosis = replace(diagnosis, findings=(*diagnosis.findings, *shared))
    save_json(json, diagnosis)
    if figure:
        from loratheory.figures import overlap

        figure_file(figure, overlap.draw(diagnosis))
    if str(json) != "-":
        _report(diagnosis)


def _report(diagnosis: Any) -> None:
    out = console()
    out.print(f"[bold]{len(diagnosis.adapters)} adapters[/bold]: ", end="")
    out.print(", ".join(diagnosis.adapters), markup=False)
    for note in diagnosis.notes:
        out.print(f"Note: {note}.", markup=False)
    told = {finding.kind for finding in diagnosis.findings}
    for kind, heading in HEADINGS.items():
        if kind not in told:
            continue
        out.print(f"\n[bold]{heading}[/bold]")
        for finding in diagnosis.findings:
            if finding.kind == kind:
                out.print(f"• {finding.text} ({finding.label})", markup=False)
    loud = sorted(diagnosis.modules, key=lambda m: m.crosstalk, reverse=True)[:8]
    columns = ("module", "ranks", "cross-talk", "bound", "cos θ₁", "floor, any rank", "gauge gap")
    rows = [
        (
            m.module,
            "/".join(str(rank) for rank in m.ranks),
            m.crosstalk,
            m.ceiling,
            m.row_cosine,
            m.floors[-1][1],
            m.gauge_gap,
        )
        for m in loud
    ]
    out.print()
    show("modules with the most cross-talk (relative)", columns, rows)
    out.print(COLUMNS, markup=False)
    out.print("\n[bold]Next, on the model[/bold]")
    out.print(NEXT, markup=False)
