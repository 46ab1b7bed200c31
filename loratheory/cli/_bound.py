"""``loratheory bound``: what a theorem's bound or threshold is for given numbers."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli import _output as out
from loratheory.cli._theorems import chosen

MOST = 10_000  # values of a curve


def bound(
    label: Annotated[
        str | None, typer.Argument(help="A theorem, with or without `thm:`; none lists them all.")
    ] = None,
    known: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]", help="The numbers, as in the example."),
    ] = None,
    curve: Annotated[
        str | None, typer.Option(help="Vary one key; `hops=1:8:8` is 8 values from 1 to 8.")
    ] = None,
    json: out.Json = None,
    figure: out.Figure = None,
) -> None:
    """Compute a theorem's bound from numbers; without numbers, list those that it needs.

    Without a label, list the theorems with a calculator, what each computes and what it needs.

    Example: `loratheory bound two-read-region hops=3`

    Example: `loratheory bound gate-detection facts=8 width=128 --curve threshold=.2:.9:15
    --figure alarms.png`

    JSON: an object `label, given, values` in full precision; with `--curve`, a list of them;
    without a label, a list of objects `label, gives, keys`.
    """
    out.reachable(json, figure=figure)
    if label is None:
        _list(json, curve or figure)
        return
    if figure and not curve:
        out.refused("--figure draws a curve: say which key varies, such as --curve hops=1:8:8")
    keys = _keys(label)
    pairs = [keys.pair(text) for text in known or []]
    given = dict(pairs)
    if len(given) < len(pairs):
        out.refused(f"a key is given twice in {' '.join(known or [])}: give each once")
    key, grid = keys.curve(curve) if curve else ("", [None])
    missing = [n for n, p in keys.wanted.items() if p.default is p.empty and n not in {*given, key}]
    if missing:
        out.refused(f"{keys.label} needs {', '.join(missing)}; its keys are {keys}")
    results = [keys.result({**given, key: value} if key else given) for value in grid]
    if out.delivered(
        json, results if curve else results[0], figure, "curve", keys.label, key, results
    ):
        first = results[0]
        fixed = ", ".join(f"{n}={v}" for n, v in first["given"].items() if n != key)
        rows = [(r["given"][key], *r["values"].values()) for r in results] if key else []
        columns = (key, *first["values"]) if key else ("quantity", "value")
        out.show(f"{keys.label}: {fixed}", columns, rows or first["values"].items())


def _list(json: Path | None, varied: object) -> None:
    """What can be asked, in the order of the theorems."""
    from loratheory.theorems import ALL, CALCULATORS

    if varied:
        out.refused("--curve and --figure draw one theorem: name it first, such as two-read-region")
    able = [_keys(theorem.label) for theorem in ALL if theorem.label in CALCULATORS]
    rows = [{"label": one.label, "gives": one.gives, "keys": str(one)} for one in able]
    if out.delivered(json, rows):
        columns: out.Columns = {
            "label": "label",
            "what it gives": "gives",
            "keys (=default)": "keys",
        }
        out.show(f"{len(rows)} theorems that a few plain numbers settle", columns, rows)


def _keys(label: str) -> "_Keys":
    from loratheory.theorems import CALCULATORS

    (theorem,) = chosen([label])
    if theorem.label not in CALCULATORS:
        out.refused(
            f"{theorem.label} has no calculator: `loratheory bound` lists those that have one"
        )
    calculator = CALCULATORS[theorem.label]
    return _Keys(theorem.label, calculator, inspect.signature(calculator).parameters)


@dataclass(frozen=True)
class _Keys:
    """A theorem's calculator and what it asks for."""

    label: str
    calculator: Any
    wanted: Mapping[str, inspect.Parameter]

    @property
    def gives(self) -> str:
        """What the calculator says of itself, in one sentence."""
        return inspect.getdoc(self.calculator) or ""

    def __str__(self) -> str:
        """The keys, with the defaults of those that have one."""
        return ", ".join(
            name if parameter.default is parameter.empty else f"{name} (={parameter.default})"
            for name, parameter in self.wanted.items()
        )

    def pair(self, text: str) -> tuple[str, Any]:
        """A key and its value from ``KEY=VALUE``."""
        key, equals, value = text.partition("=")
        if not equals:
            out.refused(
                f"{text!r} is not KEY=VALUE: write, for instance, {next(iter(self.wanted))}=3"
            )
        return key, self.value(key, value)

    def value(self, key: str, text: str) -> Any:
        """A value in the type of its key."""
        if key not in self.wanted:
            out.refused(f"{self.label} knows no {key!r}: its keys are {self}")
        kind = self.wanted[key].annotation
        if kind is str:
            return text
        try:
            return int(text) if kind is int else float(text)
        except ValueError:
            what, such = ("a whole number", "3") if kind is int else ("a number", "0.5")
            out.refused(f"{key}={text} is not {what}: write {key}={such}")

    def curve(self, text: str) -> tuple[str, list[Any]]:
        """The key that varies and its values."""
        key, _, span = text.partition("=")
        first, last, count = (*span.split(":"), "", "")[:3]
        if span.count(":") != 2 or not count.isdecimal() or int(count) < 2:
            out.refused(f"--curve {text} is not KEY=FROM:TO:COUNT: write, for instance, hops=1:8:8")
        if int(count) > MOST:
            out.refused(
                f"--curve {text} asks for {count} values: {MOST} are more than a figure shows"
            )
        low, high = self.value(key, first), self.value(key, last)
        if isinstance(low, str):
            out.refused(f"{key} is not a number and cannot vary: choose another key")
        steps = int(count) - 1
        values = [low + (high - low) * step / steps for step in range(steps + 1)]
        integer = self.wanted[key].annotation is int
        return key, list(dict.fromkeys(map(round, values))) if integer else values

    def result(self, given: dict[str, Any]) -> dict[str, Any]:
        """What the calculator says of these values; its own refusals are the user's to mend."""
        try:
            values = self.calculator(**given)
        except ValueError as error:
            out.refused(f"{self.label}: {error}")
        every = {name: given.get(name, one.default) for name, one in self.wanted.items()}
        return {"label": self.label, "given": every, "values": values}
