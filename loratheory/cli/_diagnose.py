"""``loratheory diagnose``: the verdict on a shelf of adapters before anything is merged."""

from typing import Annotated, Any

import typer

from loratheory.cli._inspect import Figure, Folders, Json
from loratheory.cli._output import console, figure_file, reachable, save_json, show

HEADINGS = {
    "measured": "Measured on these weights",
    "needed": "What a merge would then need",
    "unknown": "What no look at the weights can tell",
}


def diagnose(
    folders: Folders,
    any_base: Annotated[
        bool, typer.Option("--any-base", help="Accept different base model names.")
    ] = False,
    json: Json = None,
    figure: Figure = None,
) -> None:
    """Say what the weights tell about merging and routing these adapters, and what they do not.

    Every sentence carries the theorem that it rests on: `loratheory theorems LABEL` shows it.

    Example: `loratheory diagnose adapter_1 adapter_2 --figure overlap.png`

    JSON: an object `adapters, findings, notes, modules`; a finding has `kind` (measured, needed or
    unknown), `text`, `label`; a module has `ranks, pair, row_cosine, crosstalk, ceiling, floors,
    gauge_gap, arrow_gap, arrow_blind, prototype_cosine`.
    """
    from tqdm.auto import tqdm

    from loratheory.diagnosis import diagnose as verdict

    reachable(json, figure)

    def _progress(modules: Any, count: int) -> Any:
        return tqdm(modules, total=count, unit="module", desc="diagnose", leave=False)

    diagnosis = verdict(*folders, any_base=any_base, progress=_progress)
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
    for kind, heading in HEADINGS.items():
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
