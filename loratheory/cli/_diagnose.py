"""``loratheory diagnose``: the verdict on adapters before anything is merged."""

from functools import partial
from typing import Any

from loratheory.cli import _output as out

HEADINGS = {
    "measured": "Measured on these weights",
    "needed": "What a merge would then need",
    "unknown": "What no look at the weights can tell",
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
    subfolder: out.Subfolder = "",
    revision: out.Revision = None,
    download: out.Download = False,
    json: out.Json = None,
    figure: out.Figure = None,
) -> None:
    """Show what the weights tell about merging and routing adapters, and what they do not tell.

    Every sentence names the theorem it rests on; `loratheory theorems LABEL` shows it.

    Example: `loratheory diagnose adapter_1 adapter_2 --figure overlap.png`

    JSON: an object `adapters, findings, notes, modules, record`; a finding has `kind` (measured,
    needed or unknown), `text`, `label`; a module has `ranks, pair, row_cosine, crosstalk,
    ceiling, floors, gauge_gap, arrow_gap, arrow_blind, prototype_cosine`.
    """
    from loratheory.adapters import read_adapter
    from loratheory.diagnosis import diagnose as run_diagnosis

    out.reachable(json, figure=figure)
    bar = partial(out.progress, unit="module", desc="diagnose")
    where: Any = {"subfolder": subfolder, "revision": revision, "download": download}
    adapters = [read_adapter(folder, **where) for folder in folders]
    diagnosis = run_diagnosis(*adapters, any_base=any_base, progress=bar)
    if out.delivered(json, diagnosis, figure, "overlap", diagnosis):
        _report(diagnosis)


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
