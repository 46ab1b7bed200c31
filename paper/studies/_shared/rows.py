"""Rows of tables: ways of using adapters of small transformers, measured side by side."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from loratheory.shapes import Float
from loratheory.tasks.prompts import joined
from loratheory.tasks.two_hop import every, plain
from loratheory.toy.transformer import ATTENTION, Adapt, Lora
from paper.studies._shared.answers import accuracies, accuracy
from paper.studies._shared.bases import PARTS, Bases, PlainSetting, grown
from paper.studies._shared.library import acting, added, rule
from paper.studies._shared.run import Row
from paper.studies._shared.training import Taught, Teaching, learned, library, retrained


def by_part(bases: Bases, passes: str) -> dict[str, float]:
    """Return the accuracies of one base without adapters on each part of its questions.

    Parts are single ``facts`` and the two-hop questions of each of `PARTS`; NaN for an empty one.
    """
    [facts], [parts] = bases.worlds, bases.splits
    single = [plain(facts, every(facts, start=hop, hops=1)) for hop in range(facts.hops)]
    found = {"facts": accuracy(bases, [joined(single)], None, passes).item()}
    for name in PARTS:
        asked = plain(facts, getattr(parts, name)).final()
        found[name] = accuracy(bases, [asked], None, passes).item() if len(asked) else nan
    return found


def recall(
    library: Taught, by_hop: Sequence[Sequence[Adapt]], times: float, pair: int | None = None
) -> Float[np.ndarray, " E"]:
    """Return the share of edited facts that are answered if only the adapters of their hop act.

    All adapters of the hop act, multiplied by `times`; the facts are those of one pair, or all.
    """
    right = []
    for number in range(library.asked) if pair is None else [pair]:
        for hop, adapters in enumerate(by_hop):
            act = added(adapters, [times] * len(adapters))
            right.append(accuracy(library.bases, library.facts(hop, number), act))
    return np.asarray(np.mean(right, axis=0))


Arm = tuple[str, Any, Mapping[str, Any] | Callable[[Sequence[Any]], Mapping[str, Any]]]
"""One way of using adapters: its name, the method or what acts for each pair, and further columns,
or a function from what acts to these."""


def arm(name: str, predicted: Any = None, act: Any = None, **columns: Any) -> Arm:
    """Return an `Arm`; without `act`, it uses the method of that name.

    `predicted`, a two-hop accuracy, is the last column, if there is one. Columns replace accuracies
    of the same name.
    """
    if predicted is not None:
        columns["predicted"] = predicted
    return name, rule(name) if act is None else act, columns


def compared(
    library: Taught, head: Mapping[str, Any], arms: Iterable[Arm], **beside: Any
) -> list[Row]:
    """Measure all arms and return the rows of a study, one for each arm, base and repetition.

    Columns are `head`, the accuracies, `beside` and the arm's own.
    """
    table: list[Row] = []
    for name, act, columns in arms:
        acts = acting(library, act) if callable(act) else act
        right = accuracies(library, acts)
        more = columns(acts) if callable(columns) else columns
        table += rows(library, {**head, "rule": name}, {**right, **beside, **more})
    return table


def rows(library: Taught, names: Mapping[str, Any], columns: Mapping[str, Any]) -> list[Row]:
    """Return one row of a table for each base and repetition.

    Columns are `names` (the cell's settings and the rule), ``seed`` and ``set``, and `columns`,
    whose values are numbers, words or arrays (E,).
    """
    table = pd.DataFrame(library.replicas, columns=["seed", "set"])
    table = table.assign(**columns)
    return [{**names, **row} for row in table.to_dict("records")]


def expert(of: Taught) -> Lora:
    """Train adapters of attention alone on the first pair's two-hop questions.

    Adapters of the MLPs alone, which suffice for single facts, hardly learn whole questions.
    """
    teaching = replace(of.teaching, modules=ATTENTION)
    return library(of.bases, teaching, ("direct",)).others["direct"][0]


def pooled(of: Taught, rank: int) -> tuple[Lora, ...]:
    """Train one adapter of this rank for each hop on the facts of all pairs at once.

    They rehearse the same old facts as the first pair. The cost is proportional to all facts.
    """
    teaching = replace(of.teaching, rank=rank)
    made = []
    for hop in range(of.bases.setting.hops):
        data = []
        for each in zip(*of.lessons, strict=True):
            # Rehearsed are those of the first pair, so that only the number of edits grows.
            facts = [one.hops[hop].taught for one in each]
            data.append(joined([*facts, each[0].hops[hop].rehearsed]))
        made.append(learned(of.bases, teaching, data, (4, 0, 32 + hop)))
    return tuple(made)


def grown_libraries(
    config: Any, layers: Mapping[str, Sequence[Sequence[int | tuple[int, ...]]]]
) -> Iterator[tuple[int, str, Taught]]:
    """Yield each stage of a plain base with the libraries that are trained on it, and their names.

    Parameters
    ----------
    config : dataclass
        The `seed` and `stages` of the base, the fields of `bases.PlainSetting` that a study sets,
        and of its adapters `facts`, `sets`, `trained` (steps) and `retained`, see `Teaching`.
    layers : mapping
        For each library's name where it is trained, as in `retrained`; where empty, in all layers.
    """
    own = {field.name for field in fields(PlainSetting)} & {*vars(config)} - {"steps"}
    setting = PlainSetting(steps=max(config.stages), **{name: vars(config)[name] for name in own})
    teaching = Teaching(
        config.facts, 1, config.sets, steps=config.trained, retained=config.retained
    )
    for stage, bases in grown(setting, config.seed, config.stages).items():
        everywhere = library(bases, teaching)
        for name, some in layers.items():
            yield stage, name, retrained(everywhere, some) if some else everywhere
