"""``loratheory theorems``, which lists them, and ``loratheory verify``, which checks them."""

import collections
import functools
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli import _output as out
from loratheory.store import write_whole

Labels = Annotated[
    list[str] | None, typer.Argument(help="Labels, with or without `thm:`. Default: all.")
]
ENTRY = (
    "label", "kind", "part_of", "tells", "chapter", "status", "sense", "statement", "source",
)  # fmt: skip


def chosen(labels: list[str] | None) -> list[Any]:
    """The theorems with these labels; an unknown one is refused with its nearest relatives."""
    from loratheory.theorems import ALL

    known = {theorem.label.removeprefix("thm:"): theorem for theorem in ALL}
    names = [label.removeprefix("thm:") for label in labels or known]
    for name in names:
        if name not in known:
            hint = out.nearest(name, known, "`loratheory theorems` lists all")
            out.refused(f"there is no theorem {name!r}; {hint}")
    return [known[name] for name in dict.fromkeys(names)]


def theorems(
    labels: Labels = None,
    json: out.Json = None,
    graph: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw which theorem uses which.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the list as .md or .tex.")
    ] = None,
    proofs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write statements and proofs as .tex.")
    ] = None,
) -> None:
    """List the theorems, or show some in full: statement, hypotheses, proof, how it is checked.

    Example: `loratheory theorems two-read-region`

    Example: `loratheory theorems --graph graph.png --table theorems.md --proofs proofs.tex`
    """
    from loratheory.theorems import CITED, appendix

    out.reachable(json, graph=graph, table=table, proofs=proofs)
    shown = chosen(labels)
    if table:
        write_whole(table, _markdown(shown) if table.suffix == ".md" else _latex(shown))
    if proofs:
        write_whole(proofs, appendix(shown))
    entries = [
        {
            **{key: getattr(theorem, key) for key in ENTRY},
            "assumptions": [one.text for one in theorem.assumptions],
            "controls": [one.name for one in theorem.controls],
            "uses": list(theorem.uses),
        }
        for theorem in shown
    ]
    if not out.delivered(json, entries, graph, "theorem_graph", chosen(None) if graph else ()):
        return
    if labels:
        for theorem in shown:
            _in_full(theorem)
        return
    _list(shown)
    cited: out.Columns = {"result": "name", "source": "source"}
    cited["why not"] = lambda one: one.reason.replace("``", "")
    out.show("known results that are not run here", cited, CITED)


def _list(shown: list[Any]) -> None:
    """What each theorem tells, with its clauses, a table a chapter; then the lemmas."""
    columns: out.Columns = {"label": "label", "status": "status"}
    heading = "what it tells someone who merges or routes adapters"
    telling = columns | {heading: lambda one: one.statement if one.part_of else _plain(one.tells)}
    lemmas = [one for one in shown if one.kind == "lemma"]
    for chapter in dict.fromkeys(one.chapter for one in shown):
        these = [one for one in shown if one.chapter == chapter and one.kind != "lemma"]
        count = sum(one.kind == "theorem" for one in these)
        out.show(f"{chapter}: {count} theorems, and what each one's clauses state", telling, these)
    if lemmas:
        out.show("lemmas, used and tested", columns | {"statement": "statement"}, lemmas)


def _plain(text: str) -> str:
    """A sentence of a docstring without its marks."""
    return re.sub(r"(?::math:)?`+([^`]*)`+|\*([^*]+)\*", r"\1\2", text)


def _markdown(shown: list[Any]) -> str:
    """One line a theorem, for a README."""
    lines = ["| theorem | status | statement |", "|---|---|---|"]
    for theorem in shown:
        name, statement = theorem.label.removeprefix("thm:"), theorem.statement.replace("|", "\\|")
        lines.append(f"| `{name}` | {theorem.status} | {statement} |")
    return "\n".join(lines) + "\n"


def _latex(shown: list[Any]) -> str:
    """A longtable with a reference to each label."""
    from loratheory.theorems import latex

    rows = [rf"\ref{{{t.label}}} & {t.status} & {latex(t.statement)} \\" for t in shown]
    head = r"\begin{longtable}{llp{.7\linewidth}}"
    return "\n".join([head, *rows, r"\end{longtable}"]) + "\n"


def _in_full(theorem: Any) -> None:
    ways = {
        "its construction meets the bound": theorem.attain,
        "random rivals, far away and next to the optimum": theorem.rival,
        "an optimiser that shares no code with it": theorem.adversary,
    }
    proved = "**Proof.**" in theorem.document or not theorem.part_of
    home = theorem if proved else chosen([theorem.part_of])[0]
    out.say(f"  ({theorem.status}; {theorem.source})", theorem.label)
    tells = [] if theorem.part_of else [f"\n{_plain(theorem.tells)}"]
    lines = [
        *tells,
        f"\n{theorem.statement}\n",
        *(f"  needs     {assumption}" for assumption in theorem.assumptions),
        *(f"  breaks if {control.name}" for control in theorem.controls),
        f"  verified  {'; '.join(way for way, there in ways.items() if there)}",
        f"  uses      {', '.join(theorem.uses) or 'nothing else'}\n",
        home.document.strip() + "\n",
    ]
    for line in lines:
        out.say(line)


def verify(
    labels: Labels = None,
    cases: Annotated[
        int | None, typer.Option(min=1, help="Witnesses per theorem. Default: 200; --scale: 10.")
    ] = None,
    seed: out.Seed = 0,
    backend: Annotated[str, typer.Option(help="Array library: numpy or torch.")] = "numpy",
    workers: out.Workers = 0,
    scale: Annotated[
        bool, typer.Option("--scale", help="Use width 4096; only theorems on factors.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Ten times the cases, and cases ten times as large.")
    ] = False,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="How small a change of each bound is noticed.")
    ] = False,
    json: out.Json = None,
) -> None:
    """Check theorems numerically, on random cases and against optimisers that try to break them.

    Each clause of a theorem has its own row and verdict. Controls are cases that break a hypothesis
    and should then break the conclusion.

    The exit code is 1 if a theorem, a construction or a control does not behave as proved. All
    theorems take well under a minute; with --deep, ten times the cases at ten times the size, a
    quarter of an hour.

    Example: `loratheory verify merge-floor --cases 1000 --seed 7`

    Example: `loratheory verify two-read-region --deep`

    JSON: a list of objects `label, status, cases, holds, tight, worst_slack, controls,
    controls_ok, seconds, trouble, part_of`, one for each theorem, lemma and clause; `part_of` names
    the theorem of a clause. `worst_slack` is in units of the tolerance for rounding and
    sampling; a bound holds if it is -1 or more. `tight` is null where there is no construction.
    With --sensitivity: `label, constant_up, constant_down, exponent_up, exponent_down, reason`: the
    smallest relative change of the bound's constant or exponent that the check notices, null where
    it does not notice one half, and why it does not notice a tenth.
    """
    from loratheory.theorems import FACTORED, verify_all

    out.reachable(json)
    asked = [t.label for t in chosen(labels) if not scale or t.label in FACTORED]
    if not asked:
        out.refused(f"--scale is for {', '.join(FACTORED)}: name one of these or none")
    if backend not in ("numpy", "torch"):
        out.refused(f"there is no backend {backend!r}: choose numpy or torch")
    if backend == "torch":
        out.needs("torch", "the torch backend")
    count = (cases or (10 if scale else 200)) * (10 if deep else 1)
    size = 4096 if scale else 80 if deep else 8
    if sensitivity:
        _sensitivity(asked, count, seed, size, workers, json)
        return
    runs = verify_all(asked, cases=count, seed=seed, size=size, backend=backend, workers=workers)
    reports = list(out.progress(runs, len(asked), unit="theorem", desc="verify"))
    if out.delivered(json, reports):
        columns: out.Columns = {key: key for key in ("label", "status", "cases", "holds", "tight")}
        columns |= {"worst slack": "worst_slack", "controls": _controls, "s": "seconds"}
        width = " at width 4096" if scale else ""
        out.show(
            f"{counted(asked)} verified with seed {seed} on {backend}{width}", columns, reports
        )
    failing(reports)


def counted(labels: list[str]) -> str:
    """How many theorems, lemmas and clauses these labels name, in words."""
    from loratheory.theorems import theorem

    kinds = collections.Counter(theorem(label).kind for label in labels)
    some = [(kinds[kind], kind) for kind in ("theorem", "lemma", "clause") if kinds[kind]]
    return ", ".join(f"{count} {kind}{'s' * (count > 1)}" for count, kind in some)


def _sensitivity(
    labels: list[str], cases: int, seed: int, size: int, workers: int, json: Any
) -> None:
    """Print for each law the smallest change of its constant and exponent that a run notices."""
    from loratheory.theorems import theorem, verify_all

    laws = [label for label in labels if theorem(label).status != "refuted"]
    runs = verify_all(laws, cases=cases, seed=seed, size=size, workers=workers, sensitive=True)
    rows = list(out.progress(runs, len(laws), unit="theorem", desc="sensitivity"))
    if not out.delivered(json, rows):
        return
    columns: out.Columns = {"label": "label"}
    for part in ("constant", "exponent"):
        for way, sign in (("up", "+"), ("down", "−")):
            columns[f"{part} {sign}"] = functools.partial(_share, f"{part}_{way}")
    columns["why not a tenth"] = "reason"
    out.show(f"the smallest change of a law that {cases} witnesses notice", columns, rows)
    out.say(
        "  – : half is not noticed. A bound that no construction meets can be weakened unnoticed;\n"
        "  an exponent acts on the bound in units of a case's own scale."
    )


def _share(field: str, row: Any) -> str:
    """A change as a percentage."""
    change = getattr(row, field)
    return "–" if change is None else f"{100 * change:g} %"


def _controls(report: Any) -> str:
    return f"{report.controls} {'break' if report.controls_ok else 'NOT BROKEN'}"


def failing(reports: list[Any]) -> None:
    """Say what theorems misbehaved, and leave with code 1 if one did."""
    troubles = [report for report in reports if not report.ok]
    for report in troubles:
        typer.echo(f"loratheory: {report.label} fails: {report.trouble}", err=True)
    if troubles:
        raise typer.Exit(1)
