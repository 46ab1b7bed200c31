"""``loratheory theorems``, which lists and evaluates them, and ``loratheory verify``."""

import collections
import functools
import inspect
import math
import re
from typing import Annotated, Any

import typer

from loratheory.cli import _output as out

Labels = Annotated[
    list[str] | None, typer.Argument(help="Labels, with or without `thm:`. Default: all.")
]
ENTRY = (
    "label", "kind", "part_of", "tells", "chapter", "module", "status", "sense", "statement",
    "source",
)  # fmt: skip
SHARES = ("threshold", "failure", "rate", "doubt")
"""Names of numbers that lie between 0 and 1."""


def names_of(labels: list[str] | None) -> list[str]:
    """Return full labels; an unknown one is refused with its nearest relatives."""
    from loratheory.theorems import LABELS

    known = [label.removeprefix("thm:") for label in LABELS]
    names = [label.removeprefix("thm:") for label in labels or known]
    for name in names:
        if name not in known:
            hint = out.nearest(name, known, "`loratheory theorems` lists all")
            out.refused(f"there is no theorem {name!r}; {hint}")
    return [f"thm:{name}" for name in dict.fromkeys(names)]


def theorems(
    labels: Labels = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="KEY=VALUE,...", help="Evaluate the law at these numbers."),
    ] = None,
    json: out.Json = None,
) -> None:
    """List the theorems, or show some in full: statement, hypotheses, proof, evidence, numbers.

    One theorem with `--at` is evaluated at the numbers that are given; shown in full it says which
    numbers it takes.

    Example: `loratheory theorems two-read-region`

    Example: `loratheory theorems gate-detection --at facts=8,width=128,threshold=.5`

    JSON: a list of objects `label, kind, part_of, tells, chapter, module, status, sense, statement,
    source, assumptions, controls, uses, computes`; with `--at` an object `label, given, values`.
    """
    from loratheory.theorems import load_cited, theorem

    out.reachable(json)
    shown = [theorem(label) for label in names_of(labels)]
    if at is not None:
        if len(labels or ()) != 1:
            out.refused("--at evaluates one theorem: name it, such as two-read-region --at hops=3")
        _evaluate(shown[0], at, json)
        return
    entries = [
        {
            **{key: getattr(one, key) for key in ENTRY},
            "assumptions": [assumption.text for assumption in one.assumptions],
            "controls": [control.name for control in one.controls],
            "uses": list(one.uses),
            "computes": list(map(_signature, one.compute)),
        }
        for one in shown
    ]
    if not out.delivered(json, entries):
        return
    if labels:
        for one in shown:
            _in_full(one)
        return
    _list(shown)
    cited: out.Columns = {"result": "name", "source": "source"}
    cited["why not"] = lambda one: one.reason.replace("``", "")
    out.show("known results that are not run here", cited, load_cited())


def _signature(function: Any) -> str:
    """Return a function's name and the numbers that it takes, with the defaults of some."""
    takes = inspect.signature(function).parameters.values()
    shown = [one.name if one.default is one.empty else f"{one.name}={one.default}" for one in takes]
    return f"{function.__name__}({', '.join(shown)})"


def _evaluate(theorem: Any, text: str, json: Any) -> None:
    """Print what each function of the theorem gives that can be called with these numbers."""
    wanted: dict[str, Any] = {}
    for function in theorem.compute:
        wanted |= inspect.signature(function).parameters
    if not wanted:
        out.refused(f"{theorem.label} has no numbers to give: its bound depends on whole matrices")
    given = {}
    for pair in text.split(","):
        key, equals, value = pair.strip().partition("=")
        if not equals or key not in wanted:
            out.refused(f"--at {pair}: write KEY=VALUE with KEY one of {', '.join(wanted)}")
        given[key] = _number(key, value, wanted[key].annotation)
    values = {}
    for function in theorem.compute:
        mine = inspect.signature(function).parameters
        missing = [
            key for key, one in mine.items() if one.default is one.empty and key not in given
        ]
        if missing or not mine.keys() & given.keys():
            continue
        try:
            found = function(**{key: given[key] for key in mine if key in given})
        except (ValueError, ArithmeticError, KeyError) as error:
            out.refused(f"{theorem.label}: {function.__name__} is not defined there ({error})")
        if isinstance(found, float) and math.isnan(found):
            out.refused(f"{theorem.label}: {function.__name__} is not defined at {text}")
        values[function.__name__] = found
    if not values:
        takes = "; ".join(map(_signature, theorem.compute))
        out.refused(f"--at {text} is not enough: {theorem.label} computes {takes}")
    if out.delivered(json, {"label": theorem.label, "given": given, "values": values}):
        rows = []
        for name, value in values.items():
            ends = value if isinstance(value, tuple) else (value,)
            rows.append((name.replace("_", " "), ", ".join(f"{end:.6g}" for end in ends)))
        out.show(f"{theorem.label} at {text}", ("quantity", "value"), rows)


def _number(key: str, text: str, kind: Any) -> Any:
    """Return a value in the type that its function declares: a number, or a word as it is."""
    try:
        value = int(text) if kind is int else float(text)
    except ValueError:
        if kind in (int, float) or kind == int | float:
            what = "a whole number" if kind is int else "a number"
            out.refused(f"{key}={text} is not {what}: write {key}={3 if kind is int else 0.5}")
        return text
    if kind is int and value < 0:
        out.refused(f"{key}={text} is below 0: give a count")
    if key in SHARES and not 0 < value < 1:
        out.refused(f"{key}={text} is not between 0 and 1: write {key}=0.5")
    return value


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


def _in_full(one: Any) -> None:
    """Print a theorem with its evidence: how it is verified, and what a check finds now."""
    from loratheory.theorems import theorem, verify

    ways = {
        "its construction meets the bound": one.attain,
        "random rivals, far away and next to the optimum": one.rival,
        "an optimiser that shares no code with it": one.adversary,
    }
    proved = "**Proof.**" in one.document or not one.part_of
    home = one if proved else theorem(one.part_of)
    out.say(f"  ({one.status}; {one.source})", one.label)
    report = verify(one)
    found = "as stated" if report.ok else f"NOT AS STATED: {report.trouble}"
    tells = [] if one.part_of else [f"\n{_plain(one.tells)}"]
    lines = [
        *tells,
        f"\n{one.statement}\n",
        *(f"  needs     {assumption}" for assumption in one.assumptions),
        *(f"  breaks if {control.name}" for control in one.controls),
        f"  stated in {one.module}",
        f"  verified  {'; '.join(way for way, there in ways.items() if there)}",
        f"  now       {report.cases} witnesses, {found}; {report.controls} controls",
        *(f"  computes  {_signature(function)}" for function in one.compute),
        f"  uses      {', '.join(one.uses) or 'nothing else'}\n",
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
    asked = [label for label in names_of(labels) if not scale or label in FACTORED]
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
