"""A table made again, perhaps on another machine, against the stored one: by means, not by bytes.

Training rounds differently from machine to machine, so that single replicas part; their means over
bases may not, beyond what bases differ among themselves.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from loratheory.experiments.engine._experiment import Row, plain

FREE = ("seed", "seeds", "sets", "steps")
"""Fields of a config that say how often or how finely something is measured, not what."""
REPLICA = ("seed", "set")
MARKS = (
    *("two_hop", "k_hop", "hop_1", "hop_2", "other_hops", "other_two_hop", "other_k_hop"),
    *("stepwise", "answered", "step_1", "step_2", "rate"),
    *("overlap", "shape", "read", "write", "response", "agreement"),
    *("base", "mean", "sum", "ties", "arrow", "gates"),
)
"""Of facts, of problems, of what adapters have in common, and of ways of reuse side by side."""
GRAIN = 0.05
"""How far means may be apart where the stored bases do not differ at all."""
DEVIATIONS = 4

Cells = Sequence[tuple[Any, Sequence[Row]]]
"""Configs with their rows."""


@dataclass(frozen=True)
class Replay:
    """How a table made again compares.

    Attributes
    ----------
    means : int
        How many means were compared.
    missing : int
        Cells made again that the stored table does not hold.
    outside : tuple of str
        A line for each mean that is further off than chance allows.
    """

    means: int
    missing: int
    outside: tuple[str, ...]


def replayed(made: Cells, stored: Cells) -> Replay:
    """Compare accuracies, setting by setting.

    Parameters
    ----------
    made, stored : sequence of (config, rows)
        As `stored_cells` gives them. Settings are equal where the configs are, but for seeds, sets
        and steps, and the columns up to the set's or the coefficient's are, or where there is
        neither up to the first mark. Tables without seeds are exact and not compared here.

    Returns
    -------
    Replay
        A mean over bases is outside where it is further from the stored mean than a twentieth plus
        four standard errors of the difference, with the spread of the stored bases: that in this
        setting or, where it is larger, that of the mark in all settings, for few bases may agree.
    """
    new, old = _grouped(made), _grouped(stored)
    known = {_settled(config) for config, _ in stored}
    usual = {mark: _usual(old.values(), mark) for mark in MARKS}
    outside: list[str] = []
    count = 0
    for setting in new.keys() & old.keys():
        for mark in MARKS:
            here, there = (_by_base(found[setting], mark) for found in (new, old))
            if not here or len(there) < 2:
                continue
            count += 1
            error = max(stdev(there), usual[mark]) * sqrt(1 / len(here) + 1 / len(there))
            room = GRAIN + DEVIATIONS * error
            if abs(fmean(here) - fmean(there)) > room:
                told = f"{mark} is {fmean(here):.2f}, stored {fmean(there):.2f} ± {room:.2f}"
                outside.append(f"{', '.join(map(str, setting[1]))}: {told}")
    missing = sum(_settled(config) not in known for config, _ in made)
    return Replay(count, missing, tuple(sorted(outside)))


Setting = tuple[str, tuple[str | int | float, ...]]


def _settled(config: Any) -> str:
    """What a config measures, whatever how often."""
    told = {name: value for name, value in plain(config).items() if name not in FREE}
    return json.dumps(told, sort_keys=True)


def _grouped(cells: Cells) -> dict[Setting, list[Row]]:
    """Rows by what they measure."""
    found: dict[Setting, list[Row]] = {}
    for config, rows in cells:
        settled = _settled(config)
        for row in rows if "seed" in rows[0] else ():
            found.setdefault((settled, _named(row)), []).append(row)
    return found


def _named(row: Mapping[str, str | int | float]) -> tuple[str | int | float, ...]:
    """The values before the marks, but for those that tell replicas apart."""
    names = list(row)
    last = [names.index(name) for name in ("set", "coefficient") if name in names]
    count = max(last) + 1 if last else min(names.index(mark) for mark in MARKS if mark in names)
    return tuple(row[name] for name in names[:count] if name not in REPLICA)


def _by_base(rows: Iterable[Row], mark: str) -> list[float]:
    """The mean of a mark on each base."""
    bases: dict[Any, list[float]] = {}
    for row in rows:
        if mark in row:
            bases.setdefault(row["seed"], []).append(float(row[mark]))
    return [fmean(each) for each in bases.values()]


def _usual(settings: Iterable[Sequence[Row]], mark: str) -> float:
    """How far bases differ in a mark, over all settings that more than one was asked in."""
    each = [there for rows in settings if len(there := _by_base(rows, mark)) > 1]
    return sqrt(fmean(stdev(there) ** 2 for there in each)) if each else 0.0
