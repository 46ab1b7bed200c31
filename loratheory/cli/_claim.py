"""``loratheory claim``: a theorem with everything that supports it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli import _output as out
from loratheory.cli._theorems import chosen, failing


def claim(
    label: out.Label,
    cases: Annotated[int, typer.Option(min=1, help="Checked witnesses.")] = 200,
    seed: out.Seed = 0,
    paper: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A paper's folder. Default: ./paper, or the project's."),
    ] = None,
    json: out.Json = None,
) -> None:
    """Show what supports one theorem: statement, proof, a new check, experiments, the paper.

    Experiments and paper are found by searching their texts for the theorem's label. The results of
    experiments come with the package, the paper's text only with a checkout of the repository.
    Numbers of theorems, figures and pages are known after `make paper`. The exit code is 1 if the
    check fails.

    Example: `loratheory claim two-read-region`

    JSON: an object `label, status, statement, source, proof, appendix, report, experiments,
    sections`; `experiments` is a list of objects `name, question, table, figure`.
    """
    from loratheory.experiments import home
    from loratheory.paper import claim as supported

    out.reachable(json)
    place = paper or (Path("paper") if Path("paper/main.tex").is_file() else home())
    if not (place / "results").is_dir():
        out.refused(
            f"--paper {place}: there is no folder {place / 'results'}: name one that has it"
        )
    built = place.parent / "build" / "paper"
    support = supported(chosen([label])[0], place, built, cases=cases, seed=seed)
    if out.delivered(json, support):
        out.say(f"  ({support.status}; {support.source})", support.label)
        out.say(f"\n{support.statement}\n")
        for name, text in _links(support, place):
            out.say(f"  {name:12}{text}")
    failing([support.report])


def _links(found: Any, paper: Path) -> Iterator[tuple[str, str]]:
    report = found.report
    yield "proof", found.proof + (f"; in the paper {found.appendix}" if found.appendix else "")
    holds = "holds" if report.holds else "FAILS"
    holds += f", worst slack {report.worst_slack:.2g} of the allowance"
    if found.status == "refuted":
        holds = "the counterexample still stands" if report.holds else "NO COUNTEREXAMPLE ANY MORE"
    broken = "each breaks it" if report.controls_ok else "NOT ALL BREAK IT"
    seconds = f"{report.controls} controls, {broken}; {report.seconds:.1f} s"
    yield "checked now", f"{report.cases} witnesses, {holds}; {seconds}"
    for one in found.experiments:
        yield "experiment", f"{one.name}: {one.question}"
        missing = f"no table in {paper / 'results'}: `loratheory run {one.name}` makes one"
        yield "", (one.table or missing) + (f"; {one.figure}" if one.figure else "")
    if not found.experiments:
        yield "experiment", "none names it: it stands on its proof and its check"
    for title in found.sections:
        yield "text", f"{paper / 'main.tex'}: {title}"
    if not found.sections:
        there = (paper / "main.tex").is_file()
        yield (
            "text",
            ("only in the appendix of proofs" if there else "the paper's text is in a checkout"),
        )
