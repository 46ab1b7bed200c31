"""``loratheory bound``: a bound or threshold from the numbers that a practitioner has."""

import inspect
from typing import Annotated, Any

import typer

from loratheory.cli._inspect import Figure, Json
from loratheory.cli._output import figure_file, reachable, refused, save_json, show
from loratheory.cli._theorems import chosen

Pairs = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]", help="What is known; see the example.")
]
MOST = 10_000
Curve = Annotated[str | None, typer.Option(help="Vary one key: `hops=1:8:8`, from, to, how many.")]


def bound(
    label: Annotated[str, typer.Argument(help="A theorem, with or without `thm:`.")],
    known: Pairs = None,
    curve: Curve = None,
    json: Json = None,
    figure: Figure = None,
) -> None:
    """Evaluate a theorem from plain numbers; without any, say which it asks for.

    Example: `loratheory bound two-read-region hops=3`

    Example: `loratheory bound gate-detection facts=8 width=128 --curve threshold=.2:.9:15
    --figure alarms.png`

    JSON: an object `label, given, values` in full precision; with `--curve`, a list of them.
    """
    from loratheory.theorems import CALCULATORS

    reachable(json, figure=figure)
    if figure and not curve:
        refused("--figure draws a curve: say which key varies, such as --curve hops=1:8:8")
    (theorem,) = chosen([label])
    if theorem.label not in CALCULATORS:
        able = ", ".join(name.removeprefix("thm:") for name in CALCULATORS)
        refused(f"{theorem.label} has no calculator; these have: {able}")
    wanted = inspect.signature(CALCULATORS[theorem.label]).parameters
    pairs = [_pair(text, wanted, theorem.label) for text in known or []]
    given = dict(pairs)
    if len(given) < len(pairs):
        refused(f"a key is given twice in {' '.join(known or [])}: give each once")
    key, grid = _grid(curve, wanted, theorem.label) if curve else ("", [None])
    missing = [n for n, p in wanted.items() if p.default is p.empty and n not in {*given, key}]
    if missing:
        keys = ", ".join(_described(name, wanted[name]) for name in wanted)
        refused(f"{theorem.label} needs {', '.join(missing)}; its keys are {keys}")
    results = []
    for value in grid:
        here = given if value is None else {**given, key: value}
        results.append(
            {
                "label": theorem.label,
                "given": _all(here, wanted),
                "values": _values(theorem.label, here),
            }
        )
    save_json(json, results if curve else results[0])
    if figure:
        from loratheory.figures import curve as drawing

        figure_file(figure, drawing.draw(theorem.label, key, results))
    if str(json) != "-":
        _report(theorem, results, key)


def _described(name: str, parameter: inspect.Parameter) -> str:
    return name if parameter.default is parameter.empty else f"{name} (={parameter.default})"


def _pair(text: str, wanted: Any, label: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        refused(f"{text!r} is not KEY=VALUE: write, for instance, {next(iter(wanted))}=3")
    return key, _number(key, value, wanted, label)


def _number(key: str, value: str, wanted: Any, label: str) -> Any:
    """The value in the type of the key."""
    if key not in wanted:
        keys = ", ".join(_described(name, parameter) for name, parameter in wanted.items())
        refused(f"{label} knows no {key!r}: its keys are {keys}")
    kind = wanted[key].annotation
    if kind is str:
        return value
    try:
        return int(value) if kind is int else float(value)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        refused(f"{key}={value} is not {what}: write {key}={'3' if kind is int else '0.5'}")


def _grid(text: str, wanted: Any, label: str) -> tuple[str, list[Any]]:
    """The key that varies and its values."""
    key, _, span = text.partition("=")
    parts = span.split(":")
    if len(parts) != 3 or not parts[2].isdecimal() or int(parts[2]) < 2:
        refused(f"--curve {text} is not KEY=FROM:TO:COUNT: write, for instance, hops=1:8:8")
    if int(parts[2]) > MOST:
        refused(f"--curve {text} asks for {parts[2]} values: {MOST} are more than a figure shows")
    low, high = (_number(key, part, wanted, label) for part in parts[:2])
    if isinstance(low, str):
        refused(f"{key} is not a number and cannot vary: choose another key")
    steps = int(parts[2]) - 1
    values = [low + (high - low) * step / steps for step in range(steps + 1)]
    whole = wanted[key].annotation is int
    return key, list(dict.fromkeys(round(v) for v in values)) if whole else values


def _all(given: dict[str, Any], wanted: Any) -> dict[str, Any]:
    return {name: given.get(name, parameter.default) for name, parameter in wanted.items()}


def _values(label: str, given: dict[str, Any]) -> dict[str, float]:
    """What the calculator says; its own refusals are the user's to mend."""
    from loratheory.theorems import CALCULATORS

    try:
        return CALCULATORS[label](**given)
    except ValueError as error:
        refused(f"{label}: {error}")


def _report(theorem: Any, results: list[dict[str, Any]], key: str) -> None:
    first = results[0]
    if not key:
        rows = [(name, value) for name, value in first["values"].items()]
        given = ", ".join(f"{name}={value}" for name, value in first["given"].items())
        show(f"{theorem.label}: {given}", ("quantity", "value"), rows)
        return
    rows = [(r["given"][key], *r["values"].values()) for r in results]
    fixed = ", ".join(f"{n}={v}" for n, v in first["given"].items() if n != key)
    show(f"{theorem.label}: {fixed}", (key, *first["values"]), rows)
