"""``loratheory theorems`` and ``loratheory verify``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli._output import (
    console,
    figure_file,
    needs,
    progress,
    reachable,
    refused,
    save_json,
    show,
    whole,
)

Labels = Annotated[
    list[str] | None, typer.Argument(help="Labels, with or without `thm:`; all where none given.")
]
Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write JSON; `-` for standard output.")
]


def chosen(labels: list[str] | None) -> list[Any]:
    """The theorems with these labels; an unknown one is refused with its nearest relatives."""
    import difflib

    from loratheory.theorems import ALL

    known = {theorem.label.removeprefix("thm:"): theorem for theorem in ALL}
    names = [label.removeprefix("thm:") for label in labels or known]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "`loratheory theorems` lists all"
            refused(f"there is no theorem {name!r}; {hint}")
    return [known[name] for name in dict.fromkeys(names)]


def theorems(
    labels: Labels = None,
    json: Json = None,
    graph: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw which rests on which.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the list as .md or .tex.")
    ] = None,
    proofs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write statements and proofs as .tex.")
    ] = None,
) -> None:
    """List the theorems, or show some in full: statement, hypotheses, proof, how verified.

    Example: `loratheory theorems two-read-region`

    Example: `loratheory theorems --graph graph.png --table theorems.md --proofs proofs.tex`
    """
    reachable(json, graph=graph, table=table, proofs=proofs)
    found = chosen(labels)
    if graph:
        from loratheory.figures import theorem_graph

        figure_file(graph, theorem_graph.draw(chosen(None)))
    if table:
        whole(table, TABLES[table.suffix](found))
    if proofs:
        from loratheory.theorems import appendix

        whole(proofs, appendix(found))
    entries = [
        {
            "label": t.label,
            "kind": t.kind,
            "part_of": t.part_of,
            "tells": t.tells,
            "chapter": t.chapter,
            "status": t.status,
            "sense": t.sense,
            "statement": t.statement,
            "source": t.source,
            "assumptions": [a.text for a in t.assumptions],
            "controls": [c.name for c in t.controls],
            "uses": list(t.uses),
        }
        for t in found
    ]
    save_json(json, entries)
    if str(json) == "-":
        return
    if not labels:
        _list(found)
        _show_cited()
        return
    for theorem in found:
        _in_full(theorem)


def _list(found: list[Any]) -> None:
    """What each theorem tells, with its clauses, a table a chapter; then the lemmas."""
    lemmas = [t for t in found if t.kind == "lemma"]
    for chapter in dict.fromkeys(t.chapter for t in found):
        these = [t for t in found if t.chapter == chapter and t.kind != "lemma"]
        rows = [(t.label, t.status, t.statement if t.part_of else t.tells) for t in these]
        count = sum(t.kind == "theorem" for t in these)
        title = f"{chapter}: {count} theorems, and what each one's clauses state"
        columns = ("label", "status", "what it tells someone who merges or routes adapters")
        show(title, columns, rows)
    if lemmas:
        rows = [(t.label, t.status, t.statement) for t in lemmas]
        show("lemmas, used and tested", ("label", "status", "statement"), rows)


def _show_cited() -> None:
    """What is only cited, and why."""
    from loratheory.theorems import CITED

    rows = [(c.name, c.source, c.reason.replace("``", "")) for c in CITED]
    show("known results that are not run here", ("result", "source", "why not"), rows)


def _markdown(found: list[Any]) -> str:
    """One line a theorem, for a README."""
    lines = ["| theorem | status | statement |", "|---|---|---|"]
    rows = [
        (t.label.removeprefix("thm:"), t.status, t.statement.replace("|", "\\|")) for t in found
    ]
    return "\n".join([*lines, *(f"| `{a}` | {b} | {c} |" for a, b, c in rows)]) + "\n"


def _latex(found: list[Any]) -> str:
    """A longtable with a reference to each label."""
    from loratheory.theorems import latex

    rows = [rf"\ref{{{t.label}}} & {t.status} & {latex(t.statement)} \\" for t in found]
    head = r"\begin{longtable}{llp{.7\linewidth}}"
    return "\n".join([head, *rows, r"\end{longtable}"]) + "\n"


TABLES = {".md": _markdown, ".tex": _latex}


def _in_full(theorem: Any) -> None:
    out = console()
    out.print(f"[bold]{theorem.label}[/bold]  ({theorem.status}; {theorem.source})")
    out.print(f"\n{theorem.statement}\n", markup=False)
    for assumption in theorem.assumptions:
        out.print(f"  needs     {assumption.text}", markup=False)
    for control in theorem.controls:
        out.print(f"  breaks if {control.name}", markup=False)
    ways = {
        "its construction meets the bound": theorem.attain,
        "random rivals, far away and next to the optimum": theorem.rival,
        "an optimiser that shares no code with it": theorem.adversary,
    }
    out.print(f"  verified  {'; '.join(way for way, there in ways.items() if there)}", markup=False)
    out.print(f"  uses      {', '.join(theorem.uses) or 'nothing else'}\n", markup=False)
    proved = "**Proof.**" in theorem.document or not theorem.part_of
    home = theorem if proved else chosen([theorem.part_of])[0]
    out.print(home.document.strip() + "\n", markup=False)


def verify(
    labels: Labels = None,
    cases: Annotated[
        int | None, typer.Option(min=1, help="Checked witnesses a theorem; 200, or 10 at scale.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Determines every draw.")] = 0,
    backend: Annotated[str, typer.Option(help="Array library: numpy or torch.")] = "numpy",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 for one a core.")] = 0,
    scale: Annotated[
        bool, typer.Option("--scale", help="Width 4096, for the theorems stated on factors.")
    ] = False,
    json: Json = None,
) -> None:
    """Check theorems on random cases, rivals and adversaries, and see their controls break.

    Exit code 1 if a theorem, a construction or a control misbehaves.

    Example: `loratheory verify merge-floor --cases 1000 --seed 7`

    JSON: a list of objects `label, status, cases, holds, tight, worst_slack, controls,
    controls_ok, seconds, trouble`. `worst_slack` is in units of the allowance for rounding and
    sampling: -1 or more holds. `tight` is null where there is no construction.
    """
    from loratheory.theorems import FACTORED, verify_all

    reachable(json)
    found = [t.label for t in chosen(labels) if not scale or t.label in FACTORED]
    if not found:
        refused(f"--scale is for {', '.join(FACTORED)}: name one of these or none")
    if backend not in ("numpy", "torch"):
        refused(f"there is no backend {backend!r}: choose numpy or torch")
    if backend == "torch":
        needs("torch", "the torch backend")
    size, count = (4096, 10) if scale else (8, 200)
    runs = verify_all(
        found, cases=cases or count, seed=seed, size=size, backend=backend, workers=workers
    )
    reports = list(progress(runs, len(found), unit="theorem", desc="verify"))
    save_json(json, reports)
    if str(json) != "-":
        columns = ("label", "status", "cases", "holds", "tight", "worst slack", "controls", "s")
        rows = [
            (r.label, r.status, r.cases, r.holds, r.tight, r.worst_slack, _controls(r), r.seconds)
            for r in reports
        ]
        width = " at width 4096" if scale else ""
        show(f"verified with seed {seed} on {backend}{width}", columns, rows)
    troubles = [report for report in reports if not report.ok]
    for report in troubles:
        typer.echo(f"loratheory: {report.label} fails: {report.trouble}", err=True)
    if troubles:
        raise typer.Exit(1)


def _controls(report: Any) -> str:
    return f"{report.controls} {'break' if report.controls_ok else 'NOT BROKEN'}"
