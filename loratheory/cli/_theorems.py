"""``loratheory theorems``, which lists and evaluates them, and ``loratheory verify``."""

import inspect
import math
import re
import tomllib
from itertools import groupby
from operator import attrgetter
from textwrap import indent
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from typer import Argument, Option

from loratheory.cli import _shared as out

LABEL = "Labels of theorems, with or without `thm:`. Default: all."
Labels = Annotated[list[str] | None, Argument(metavar="LABEL", help=LABEL)]
AT = "Evaluate the formulas of one theorem with these numbers."
At = Annotated[str | None, Option(metavar="KEY=VALUE,…", help=AT)]
Cases = Annotated[int, Option(min=1, help="Random cases per theorem.")]
ENTRY = (
    "label", "kind", "part_of", "implication", "chapter", "module", "status", "sense", "statement",
    "source",
)  # fmt: skip
SENSITIVITY = "For each bound, show the smallest change that the check detects."
CHANGES = ("label", "constant_up", "constant_down", "exponent_up", "exponent_down", "reason")
# Names of numbers that lie between 0 and 1.
SHARES = ("threshold", "failure", "rate", "doubt")


def theorems(labels: Labels = None, at: At = None, json: out.Json = None) -> None:
    """List theorems, show theorems in full, or evaluate the formulas of a theorem.

    Without LABEL, a table lists the theorems. With LABEL, you see the statement, the hypotheses,
    the proof, the result of a numerical check, and a small case that you can check by hand.

    `--at` evaluates the formulas of one theorem with your numbers. First run `loratheory theorems
    LABEL`. Its output lists each formula, and the numbers that the formula needs, in a line that
    begins with "computes".

    Example: `loratheory theorems two-read-region`

    Example: `loratheory theorems gate-detection --at facts=8,width=128,threshold=.5`

    JSON: a list of objects `label, kind, part_of, implication, chapter, module, status, sense,
    statement, source, assumptions, controls, uses, computes, stored`. The keys that are not
    obvious:

    - `kind`: theorem, lemma or clause (a part of a theorem with a check of its own); `part_of`: the
      theorem of a clause

    - `status`: proved, cited, conjectured or refuted

    - `implication`: what the theorem means for users of adapters

    - `chapter, module`: where the package states the theorem; `source`: who proved it

    - `sense`: whether the bound is a lower bound, an upper bound or an equality

    - `assumptions`: the hypotheses; `controls`: names of cases that each violate one hypothesis

    - `uses`: labels of the theorems that the proof uses; `computes`: formulas that `--at` evaluates

    - `stored`: a small case, a witness, the bound of the case, and the value that the witness
      reaches; null if the theorem has no construction

    With `--at`, the JSON is an object: `label`, your numbers (`given`), and the result of each
    formula (`values`).
    """
    from loratheory.theorems import load_cited, theorem

    shown = list(map(theorem, _complete(labels)))
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
    out.say(" statements. `loratheory theorems NAME` shows one in full.", str(len(shown)))
    # `LABELS` go chapter by chapter
    for chapter, some in groupby(shown, key=attrgetter("chapter")):
        out.show(chapter, columns, some)
    cited: out.Columns = {"result": "name", "source": "source", "why": "reason"}
    out.show("Known results that this package does not check", cited, load_cited())


def _complete(labels: list[str] | None) -> list[str]:
    """Return full labels, each once; of all theorems if none is named."""
    from loratheory.theorems.registry import LABELS, complete_label

    return list(dict.fromkeys(map(complete_label, labels or LABELS)))


def _describe(one: Any) -> dict[str, Any]:
    from loratheory.theorems import list_witnesses

    entry = dict(zip(ENTRY, attrgetter(*ENTRY)(one), strict=True))
    entry["assumptions"] = list(map(attrgetter("text"), one.assumptions))
    entry["controls"] = list(map(attrgetter("name"), one.controls))
    entry |= {"uses": list(one.uses), "computes": list(map(_signature, one.compute))}
    text = list_witnesses().get(one.label)
    return entry | {"stored": tomllib.loads(text) if text else None}


def _signature(function: Any) -> str:
    """Return a function's name and the numbers that it takes, with the defaults of some."""
    takes = inspect.signature(function).parameters.values()
    shown = list[str]()
    for one in takes:
        words = get_args(one.annotation) if get_origin(one.annotation) is Literal else ()
        first = "" if one.default is one.empty else f"={'|'.join(words) or one.default}"
        shown.append(one.name + first)
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
        out.refuse(f"{theorem.label} has no formula for --at: its bound depends on whole matrices")
    given = {}
    for pair in text.split(","):
        key, equals, number = pair.strip().partition("=")
        if not equals or key not in wanted:
            out.refuse(f"--at {pair}: write KEY=VALUE with KEY one of {', '.join(wanted)}")
        if key in given:
            out.refuse(f"--at {text}: {key} is there twice: give it once")
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
        except ArithmeticError:
            out.refuse(f"{theorem.label}: {function.__name__} is not defined at {text}")
        except (ValueError, KeyError) as error:
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
        for one in theorem.assumptions:
            out.say(f"  supposes {one.text}")


def _parse_number(key: str, text: str, kind: Any) -> Any:
    """Return a value in the type that its function declares: a number, or one of some words."""
    if get_origin(kind) is Literal and text not in get_args(kind):
        out.refuse(f"{key}={text} is unknown: choose one of {', '.join(get_args(kind))}")
    if kind not in (int, float) and kind != int | float:
        return text
    try:
        value = int(text) if kind is int else float(text)
    except ValueError:
        what, example = ("whole number", 3) if kind is int else ("number", 0.5)
        out.refuse(f"{key}={text} is not a {what}: write {key}={example}")
    if (kind is int and value < 0) or (key in SHARES and not 0 < value < 1):
        what = "between 0 and 1" if key in SHARES else "0 or more"
        out.refuse(f"{key}={text} is out of range: give a number {what}")
    return value


def _show_in_full(one: Any) -> None:
    """Print a theorem with its evidence: how it is verified, and what a check finds now."""
    from loratheory.theorems import list_witnesses, theorem, verify

    # A clause without a proof of its own is proved where its theorem is.
    proved = "**Proof.**" in one.document or not one.part_of
    home = one if proved else theorem(one.part_of)
    report = verify(one)
    found = "as stated" if report.ok else f"NOT AS STATED: {report.trouble}"
    ways = {
        "a construction that meets the bound": one.attain,
        "random candidates, far from the optimum and close to it": one.rival,
        "an optimiser that shares no code with the bound": one.adversary,
    }
    facts = {
        "assumes": one.assumptions,
        "control": map(attrgetter("name"), one.controls),
        "stated in": [one.module],
        "tried": ["; ".join(filter(ways.get, ways))],
        "result": [f"{found} in {report.cases} cases; {report.controls} controls"],
        "computes": map(_signature, one.compute),
        "uses": [", ".join(one.uses) or "no other theorem"],
    }
    out.say(f"  ({one.status}; {one.source})", one.label)
    if not one.part_of:
        out.say(f"\n{_strip_marks(one.implication)}")
    out.say(f"\n{one.statement}\n")
    for what, lines in facts.items():
        for line in lines:
            out.say(f"  {what:9} {line}")
    out.say("")
    if text := list_witnesses().get(one.label):
        out.say(f"A case to check by hand, and a witness:\n\n{indent(text, '  ')}")
    out.say(f"\n{home.document.strip().replace(':math:', '')}\n")


def verify(
    labels: Labels = None,
    cases: Cases = 200,
    seed: out.Seed = 0,
    backend: Annotated[str, Option(help="Array library: numpy or torch.")] = "numpy",
    workers: Annotated[int, Option(min=0, help="Number of processes; 0 for one per core.")] = 0,
    sensitivity: Annotated[bool, Option("--sensitivity", help=SENSITIVITY)] = False,
    json: out.Json = None,
) -> None:
    """Check theorems numerically, on random cases and with optimisers that try to violate them.

    Use this command to test your installation, or a theorem that you changed. The check of all
    theorems takes less than a minute. The exit code is 1 if a check fails.

    The table has a row for each theorem, and for each clause (a part of a theorem with a check of
    its own):

    - holds: no case violates the bound; for a refuted claim, every counterexample violates it

    - tight: a construction meets the bound; "–" if there is no construction

    - smallest margin: the distance to the bound in the worst case, in units of the numerical
      tolerance; the bound holds if this number is at least -1

    - controls ok: the conclusion fails in every control (a case that violates one hypothesis)

    Example: `loratheory verify merge-floor --cases 1000 --seed 7`

    JSON: a list of objects `label, status, cases, holds, tight, worst_slack, controls,
    controls_ok, seconds, trouble, part_of`. The list has one object for each row of the table.
    `tight` is null if there is no construction. The other keys that are not obvious:

    - `part_of`: the theorem of a clause

    - `worst_slack`: the column "smallest margin"; `controls_ok`: the column "controls ok"

    - `cases, controls`: the numbers of cases and controls; `seconds`: the duration of the check

    - `trouble`: the first failure, with the seed that reproduces it

    With `--sensitivity`, the objects have other keys:

    - `constant_up, constant_down`: the smallest relative increase and decrease of the bound that
      the check detects; null if the check misses a change of 50%

    - `exponent_up, exponent_down`: the same for the exponent of the bound

    - `reason`: why the check misses a change of 10%

    - `branch`: where a bound has branches, such as a maximum: the one of these numbers, which is
      the one that the check is least sensitive to
    """
    from loratheory.theorems import theorem, verify_all

    asked = _complete(labels)
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
            title = (
                "The smallest relative change of each bound that is detected (– if 0.5 is missed)"
            )
            out.show(title, out.columns(*CHANGES), rows)
        return
    runs = verify_all(asked, backend=backend, **run)
    reports = list(out.progress(runs, len(asked), unit="theorem", desc="verify"))
    failed = [report for report in reports if not report.ok]
    if out.deliver(json, reports):
        what = f" of {len(asked)} checks passed with {backend} and seed {seed}."
        out.say(what, str(len(asked) - len(failed)))
        names = {"smallest margin": "worst_slack", "controls ok": "controls_ok"}
        out.show("", out.columns("label", "status", "holds", "tight") | names, reports)
    for report in failed:
        typer.echo(f"loratheory: {report.label} fails: {report.trouble}", err=True)
    if failed:
        raise typer.Exit(1)
