"""``loratheory claim``: from a statement to everything that supports it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli._output import console, reachable, refused, save_json
from loratheory.cli._theorems import chosen

Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write JSON; `-` for standard output.")
]


def claim(
    label: Annotated[str, typer.Argument(help="A theorem, with or without `thm:`.")],
    cases: Annotated[int, typer.Option(min=1, help="Checked witnesses.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Determines every draw.")] = 0,
    paper: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A paper's folder. Default: ./paper, or the project's."),
    ] = None,
    json: Json = None,
) -> None:
    """Print the chain behind one claim: statement, proof, a fresh check, experiments, paper.

    All links are found, none is stored: experiments name the claim in their own documents, the
    paper in its text. The tables come with the package, the paper's text only with a checkout.
    Numbers of theorems, figures and pages are known after `make paper`. Exit code 1 if the check
    finds something against it.

    Example: `loratheory claim two-read-region`

    JSON: an object `label, status, statement, source, proof, appendix, report, experiments,
    sections`; `experiments` is a list of objects `name, question, table, figure`.
    """
    from loratheory.experiments import home
    from loratheory.paper import claim as chain

    reachable(json)
    here = Path("paper")
    place = paper or (here if (here / "main.tex").is_file() else home())
    if not (place / "results").is_dir():
        refused(f"--paper {place}: there is no folder {place / 'results'}: name one that has it")
    built = place.parent / "build" / "paper"
    found = chain(chosen([label])[0], place, built, cases=cases, seed=seed)
    save_json(json, found)
    if str(json) != "-":
        _show(found, place)
    if not found.report.ok:
        typer.echo(f"loratheory: {found.label} fails: {found.report.trouble}", err=True)
        raise typer.Exit(1)


def _show(found: Any, paper: Path) -> None:
    out, report = console(), found.report
    out.print(f"[bold]{found.label}[/bold]  ({found.status}; {found.source})")
    out.print(f"\n{found.statement}\n", markup=False)
    place = f"; in the paper {found.appendix}" if found.appendix else ""
    links = [("proof", f"{found.proof}{place}")]
    worst = f"worst slack {report.worst_slack:.2g} of the allowance"
    refuted = "the counterexample still stands" if report.holds else "NO COUNTEREXAMPLE ANY MORE"
    holds = f"holds, {worst}" if report.holds else f"FAILS, {worst}"
    broken = "each breaks it" if report.controls_ok else "NOT ALL BREAK IT"
    links.append(
        (
            "checked now",
            f"{report.cases} witnesses, {refuted if found.status == 'refuted' else holds}; "
            f"{report.controls} controls, {broken}; {report.seconds:.1f} s",
        )
    )
    for one in found.experiments:
        shown = f"; {one.figure}" if one.figure else ""
        links.append(("experiment", f"{one.name}: {one.question}"))
        table = (
            one.table or f"no table in {paper / 'results'}: `loratheory run {one.name}` makes one"
        )
        links.append(("", f"{table}{shown}"))
    if not found.experiments:
        links.append(("experiment", "none names it: it stands on its proof and its check"))
    links += [("text", f"{paper / 'main.tex'}: {title}") for title in found.sections]
    if not found.sections:
        there = (paper / "main.tex").is_file()
        alone = "only in the appendix of proofs" if there else "the paper's text is in a checkout"
        links.append(("text", alone))
    for name, text in links:
        out.print(f"  {name:12}{text}", markup=False)
