"""Rows of tables: ways of using adapters of small transformers, measured side by side."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import pandas as pd

from loratheory.toy.transformer import ATTENTION, Lora
from paper.studies._shared.answers import accuracies
from paper.studies._shared.bases import PlainSetting, grown
from paper.studies._shared.library import Act, acting, rule
from paper.studies._shared.run import Row
from paper.studies._shared.training import Taught, Teaching, learned, library, retrained

Condition = tuple[str, Act, Mapping[str, Any] | Callable[[Sequence[Any]], Mapping[str, Any]]]
"""One way of using adapters: its name, the method, and further columns, or a function from what
acts for each pair to these."""


def condition(
    name: str, predicted: Any = None, act: Act | None = None, **columns: Any
) -> Condition:
    """Return a `Condition`; without `act`, it uses the method of that name.

    `predicted`, a two-hop accuracy, is the last column, if there is one. Columns replace accuracies
    of the same name.
    """
    if predicted is not None:
        columns["predicted"] = predicted
    return name, rule(name) if act is None else act, columns


def compared(
    library: Taught, head: Mapping[str, Any], conditions: Iterable[Condition], **more: Any
) -> list[Row]:
    """Measure all conditions and return the rows of a study, by condition, base and repetition.

    Columns are `head`, the accuracies, `more` and the condition's own.
    """
    table: list[Row] = []
    for name, act, columns in conditions:
        acts = acting(library, act)
        right = accuracies(library, acts)
        own = columns(acts) if callable(columns) else columns
        table += rows(library, {**head, "rule": name}, {**right, **more, **own})
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
    return learned(of.bases, teaching, [one.direct.prompts for one in of.lessons[0]], (4, 0, 8))


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
