"""``loratheory theorems``, which lists and evaluates them, and ``loratheory verify``."""

import inspect
import math
import re
from itertools import groupby
from operator import attrgetter
from typing import Annotated, Any

import typer
from typer import Argument, Option

from loratheory.cli import _shared as out

LABEL = "With or without `thm:`. Default: all."
Labels = Annotated[list[str] | None, Argument(metavar="LABEL", help=LABEL)]
At = Annotated[str | None, Option(metavar="KEY=VALUE,…", help="Evaluate its bound there.")]
Cases = Annotated[int, Option(min=1, help="Cases per theorem.")]
ENTRY = (
    "label", "kind", "part_of", "implication", "chapter", "module", "status", "sense", "statement",
    "source",
)  # fmt: skip
CHANGES = ("label", "constant_up", "constant_down", "exponent_up", "exponent_down", "reason")
# Names of numbers that lie between 0 and 1.
SHARES = ("threshold", "failure", "rate", "doubt")


def theorems(labels: Labels = None, at: At = None, json: out.Json = None) -> None:
    """List the theorems, or show some in full: statement, hypotheses, proof, evidence, numbers.

    One theorem with `--at` is evaluated at the numbers that are given; shown in full it says which
    numbers it takes.

    Example: `loratheory theorems two-read-region`

    Example: `loratheory theorems gate-detection --at facts=8,width=128,threshold=.5`

    JSON: a list of objects `label, kind, part_of, implication, chapter, module, status, sense,
    statement, source, assumptions, controls, uses, computes`; with `--at` an object `label, given,
    values`.
    """
    from loratheory.theorems import load_cited, theorem

    out.check_outputs(json)
    shown = list(map(theorem, complete_labels(labels)))
    if at is not None:
        if len(labels or ()) != 1:
            out.refuse("--at evaluates one theorem: name it, such as two-read-region --at hops=3")
        _evaluate(shown[0], at, json)
        return
    if not out.deliver(json, list(map(_describe, shown))):
        return
    if labels:
        for one in shown:
            _show_in_full(one)
        return
    columns = out.columns("label", "status")
    columns["result"] = lambda one: one.statement if one.part_of else _strip_marks(one.implication)
    # `LABELS` go chapter by chapter
    for chapter, some in groupby(shown, key=attrgetter("chapter")):
        out.show(chapter, columns, some)
    cited: out.Columns = {"result": "name", "source": "source", "why not": "reason"}
    out.show("known results that are not run here", cited, load_cited())


def complete_labels(labels: list[str] | None) -> list[str]:
    """Return full labels; an unknown one is refused with its nearest relatives."""
    from loratheory.theorems import LABELS

    known, found = dict(zip(map(_shorten, LABELS), LABELS, strict=True)), []
    for name in map(_shorten, labels or LABELS):
        if name not in known:
            hint = out.suggest(name, known, "`loratheory theorems` lists all")
            out.refuse(f"there is no theorem {name!r}; {hint}")
        found.append(known[name])
    return list(dict.fromkeys(found))


def _shorten(label: str) -> str:
    return label.removeprefix("thm:")


def _describe(one: Any) -> dict[str, Any]:
    entry = dict(zip(ENTRY, attrgetter(*ENTRY)(one), strict=True))
    entry["assumptions"] = list(map(attrgetter("text"), one.assumptions))
    entry["controls"] = list(map(attrgetter("name"), one.controls))
    return entry | {"uses": list(one.uses), "computes": list(map(_signature, one.compute))}


def _signature(function: Any) -> str:
    """Return a function's name and the numbers that it takes, with the defaults of some."""
    takes = inspect.signature(function).parameters.values()
    shown = [one.name if one.default is one.empty else f"{one.name}={one.default}" for one in takes]
    return f"{function.__name__}({', '.join(shown)})"


def _strip_marks(text: str) -> str:
    """Return a sentence of a docstring without its marks."""
    return re.sub(r"(?::math:)?`+([^`]*)`+|\*([^*]+)\*", r"\1\2", text)


def _evaluate(theorem: Any, text: str, json: Any) -> None:
    """Print what each function of the theorem gives that can be called with these numbers."""
    # one name means the same in all functions of a theorem
    wanted: dict[str, Any] = {}
    for function in theorem.compute:
        wanted |= inspect.signature(function).parameters
    if not wanted:
        out.refuse(f"{theorem.label} has no numbers to give: its bound depends on whole matrices")
    given = {}
    for pair in text.split(","):
        key, equals, number = pair.strip().partition("=")
        if not equals or key not in wanted:
            out.refuse(f"--at {pair}: write KEY=VALUE with KEY one of {', '.join(wanted)}")
        given[key] = _parse_number(key, number, wanted[key].annotation)
    values: dict[str, Any] = {}
    for function in theorem.compute:
        # a theorem has several functions, each of some of the numbers
        takes, mine = inspect.signature(function).parameters, {}
        for key, one in takes.items():
            if key in given or one.default is one.empty:
                mine[key] = given.get(key)
        # without any number of its own it says nothing about these
        if not mine or None in mine.values():
            continue
        try:
            values[function.__name__] = found = function(**mine)
        except (ValueError, ArithmeticError, KeyError) as error:
            out.refuse(f"{theorem.label}: {function.__name__} is not defined there ({error})")
        if isinstance(found, float) and math.isnan(found):
            out.refuse(f"{theorem.label}: {function.__name__} is not defined at {text}")
    if not values:
        computes = "; ".join(map(_signature, theorem.compute))
        out.refuse(f"--at {text} is not enough: {theorem.label} computes {computes}")
    if out.deliver(json, {"label": theorem.label, "given": given, "values": values}):
        rows = []
        for name, value in values.items():
            ends = value if isinstance(value, tuple) else (value,)
            rows.append((name.replace("_", " "), ", ".join(map("{:.6g}".format, ends))))
        out.show(f"{theorem.label} at {text}", ("quantity", "value"), rows)


def _parse_number(key: str, text: str, kind: Any) -> Any:
    """Return a value in the type that its function declares: a number, or a word as it is."""
    if kind not in (int, float) and kind != int | float:
        return text
    try:
        value = int(text) if kind is int else float(text)
    except ValueError:
        out.refuse(f"{key}={text} is not a number: write {key}={3 if kind is int else 0.5}")
    if (kind is int and value < 0) or (key in SHARES and not 0 < value < 1):
        what = "between 0 and 1" if key in SHARES else "0 or more"
        out.refuse(f"{key}={text} is out of range: give a number {what}")
    return value


def _show_in_full(one: Any) -> None:
    """Print a theorem with its evidence: how it is verified, and what a check finds now."""
    from loratheory.theorems import theorem, verify

    # A clause without a proof of its own is proved where its theorem is.
    proved = "**Proof.**" in one.document or not one.part_of
    home = one if proved else theorem(one.part_of)
    report = verify(one)
    found = "as stated" if report.ok else f"NOT AS STATED: {report.trouble}"
    ways = {
        "its construction meets the bound": one.attain,
        "random rivals, far away and next to the optimum": one.rival,
        "an optimiser that shares no code with it": one.adversary,
    }
    facts = {
        "needs": one.assumptions,
        "breaks if": map(attrgetter("name"), one.controls),
        "stated in": [one.module],
        "verified": ["; ".join(filter(ways.get, ways))],
        "now": [f"{report.cases} witnesses, {found}; {report.controls} controls"],
        "computes": map(_signature, one.compute),
        "uses": [", ".join(one.uses) or "nothing else"],
    }
    out.say(f"  ({one.status}; {one.source})", one.label)
    if not one.part_of:
        out.say(f"\n{_strip_marks(one.implication)}")
    out.say(f"\n{one.statement}\n")
    for what, lines in facts.items():
        for line in lines:
            out.say(f"  {what:9} {line}")
    out.say(f"\n{home.document.strip()}\n")


def verify(
    labels: Labels = None,
    cases: Cases = 200,
    seed: out.Seed = 0,
    backend: Annotated[str, Option(help="Array library: numpy or torch.")] = "numpy",
    workers: Annotated[int, Option(min=0, help="Number of processes; 0 for one per core.")] = 0,
    sensitivity: Annotated[bool, Option("--sensitivity", help="What change is noticed.")] = False,
    json: out.Json = None,
) -> None:
    """Check theorems numerically, on random cases and against optimisers that try to break them.

    Each clause of a theorem has its own row and verdict. Controls are cases that break a hypothesis
    and should then break the conclusion.

    The exit code is 1 if a theorem, a construction or a control does not behave as proved. All
    theorems take well under a minute.

    Example: `loratheory verify merge-floor --cases 1000 --seed 7`

    JSON: a list of objects `label, status, cases, holds, tight, worst_slack, controls,
    controls_ok, seconds, trouble, part_of`, one for each theorem, lemma and clause; `part_of` names
    the theorem of a clause. `worst_slack` is in units of the tolerance for rounding and
    sampling; a bound holds if it is -1 or more. `tight` is null where there is no construction.
    With --sensitivity: `label, constant_up, constant_down, exponent_up, exponent_down, reason`: the
    smallest relative change of the bound's constant or exponent that the check notices, null where
    it does not notice one half, and why it does not notice a tenth.
    """
    from loratheory.theorems import theorem, verify_all

    out.check_outputs(json)
    asked = complete_labels(labels)
    if backend not in ("numpy", "torch"):
        out.refuse(f"there is no backend {backend!r}: choose numpy or torch")
    if backend == "torch":
        import torch  # noqa: F401  refused here where it is missing, and not in a process
    run: Any = {"seed": seed, "cases": cases, "workers": workers}
    if sensitivity:
        # A refuted conjecture has no bound to move.
        laws = [label for label in asked if theorem(label).status != "refuted"]
        runs = verify_all(laws, sensitive=True, **run)
        rows = list(out.progress(runs, len(laws), unit="theorem", desc="sensitivity"))
        if out.deliver(json, rows):
            title = "the smallest relative change of a bound that is noticed; – where 0.5 is not"
            out.show(title, out.columns(*CHANGES), rows)
        return
    runs = verify_all(asked, backend=backend, **run)
    reports = list(out.progress(runs, len(asked), unit="theorem", desc="verify"))
    failed = [report for report in reports if not report.ok]
    if out.deliver(json, reports):
        what = f" statements verified on {backend} with seed {seed}, {len(failed)} failed"
        out.say(what, str(len(asked)))
        names = out.columns("label", "status", "cases", "holds", "tight", "worst_slack", "controls")
        out.show("", names | {"they break": "controls_ok", "s": "seconds"}, reports)
    for report in failed:
        typer.echo(f"loratheory: {report.label} fails: {report.trouble}", err=True)
    if failed:
        raise typer.Exit(1)
