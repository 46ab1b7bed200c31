"""``loratheory diagnose``: the verdict on adapters before anything is merged."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli import _output as out

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
    "• Which of them can be merged, how, and what each then loses: `loratheory advise FOLDER "
    "FOLDER --prompts FILE` measures it, on some prompts of each and without answers.\n"
    "• Single facts and composed answers: `loratheory check-model FOLDER FOLDER --facts FILE`, "
    "where FILE has prompts and answers by adapter, as tests/data/questions.json has.\n"
    "• Where an answer takes both adapters, test that answer: single facts do not stand in for it. "
    "Ask hop by hop where you can."
)
"""What to do for what the weights cannot tell."""


def diagnose(
    folders: out.Folders,
    any_base: out.AnyBase = False,
    solutions: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="JSONL",
            help="What an adapter was trained on, with `template`; one for each, in their order.",
        ),
    ] = None,
    probe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Prompts without answers, one per line."),
    ] = None,
    model: out.ModelName = None,
    subfolder: out.Subfolder = "",
    revision: out.Revision = None,
    download: out.Download = False,
    json: out.Json = None,
    figure: out.Figure = None,
) -> None:
    """Show what the weights tell about merging and routing adapters, and what they do not tell.

    Every sentence names the theorem it rests on; `loratheory theorems LABEL` shows it. With
    `--solutions` (training sets) or `--probe` (prompts that the base model reads) it also shows
    what the adapters have in common, together with the likeness of their weights, and how well such
    measures predicted reuse in small transformers.

    Example: `loratheory diagnose adapter_1 adapter_2 --figure overlap.png`

    JSON: an object `adapters, findings, notes, modules, record`; a finding has `kind` (measured,
    needed, unknown or shared), `text`, `label`; a module has `ranks, pair, row_cosine, crosstalk,
    ceiling, floors, gauge_gap, arrow_gap, arrow_blind, prototype_cosine`.
    """
    from loratheory.adapters import aligned, read_adapter
    from loratheory.diagnosis import diagnose as diagnosed
    from loratheory.diagnosis import template_findings, weight_likeness

    out.reachable(json, figure=figure)
    out.named(model=model)
    _go_together(folders, solutions, probe, model)
    bar = partial(out.progress, unit="module", desc="diagnose")
    common = {}
    if solutions:
        common["overlap"] = _overlaps(solutions)
    where: Any = {"subfolder": subfolder, "revision": revision, "download": download}
    adapters = [read_adapter(folder, **where) for folder in folders]
    if solutions or probe:
        common |= weight_likeness(aligned(adapters, any_base=any_base))
        if probe:
            common["agreement"] = _agreement(adapters, probe, model)
    diagnosis = diagnosed(*adapters, any_base=any_base, progress=bar)
    shared = template_findings(diagnosis.adapters, common)
    diagnosis = replace(diagnosis, findings=(*diagnosis.findings, *shared))
    if out.delivered(json, diagnosis, figure, "overlap", diagnosis):
        _report(diagnosis)


def _go_together(
    folders: Sequence[Path], solutions: Sequence[Path] | None, probe: Path | None, model: str | None
) -> None:
    """Refuse options that lack their partners."""
    if model and not probe:
        out.refused(f"--model {model} has nothing to read: give prompts with --probe FILE")
    if solutions and len(solutions) != len(folders):
        fact = f"--solutions was given {len(solutions)} times for {len(folders)} adapters"
        out.refused(f"{fact}: give it once for each, in their order")


def _overlaps(solutions: Sequence[Path]) -> dict[tuple[int, int], float]:
    from loratheory.diagnosis import solution_overlaps, solution_templates

    return solution_overlaps([solution_templates(file) for file in solutions])


def _agreement(
    adapters: Sequence[Any], probe: Path, model: str | None
) -> dict[tuple[int, int], float]:
    """How often each two adapters say the same next token after a prompt."""
    try:
        prompts = [line for line in probe.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        out.refused(f"--probe {probe} cannot be read ({error}): give a text file, a prompt a line")
    if not prompts:
        out.refused(f"--probe {probe} is empty: give at least one prompt, one a line")
    from loratheory.pretrained import agreement, load

    table = agreement(load(model), adapters, prompts)
    return {(i, j): float(table[i, j]) for i, j in combinations(range(len(adapters)), 2)}


def _report(diagnosis: Any) -> None:
    names = ", ".join(diagnosis.adapters)
    out.say(f": {names}", f"{len(diagnosis.adapters)} adapters", diagnosis.notes)
    out.say(diagnosis.record)
    for kind, heading in HEADINGS.items():
        findings = [finding for finding in diagnosis.findings if finding.kind == kind]
        if findings:
            out.say(bold=f"\n{heading}")
        for finding in findings:
            out.say(f"• {finding.text} ({finding.label})")
    most = sorted(diagnosis.modules, key=lambda m: m.crosstalk, reverse=True)[:8]
    columns: out.Columns = {
        "module": "module",
        "ranks": lambda m: "/".join(map(str, m.ranks)),
        "cross-talk": "crosstalk",
        "bound": "ceiling",
        "cos θ₁": "row_cosine",
        "floor, any rank": lambda m: m.floors[-1][1],
        "gauge gap": "gauge_gap",
    }
    out.say()
    out.show("modules with the most cross-talk (relative)", columns, most)
    out.say(COLUMNS)
    out.say(bold="\nNext, on the model")
    out.say(NEXT)
