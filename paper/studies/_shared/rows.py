"""Evaluate combination methods on adapters of small transformers; return rows of tables."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import pandas as pd

from loratheory.toy.transformer import ATTENTION, Lora
from paper.studies._shared.answers import accuracies
from paper.studies._shared.bases import UntiedSetting, train_in_stages
from paper.studies._shared.library import Method, activate, rule
from paper.studies._shared.run import Row
from paper.studies._shared.training import AdapterTraining, EditLibrary, library, retrained, train

Condition = tuple[str, Method, Mapping[str, Any] | Callable[[Sequence[Any]], Mapping[str, Any]]]
"""A row's name, the combination method, and further columns, or a function from the active adapters
of each pair to further columns."""


def condition(
    name: str, predicted: Any = None, method: Method | None = None, **columns: Any
) -> Condition:
    """Return a `Condition`; without `method`, it uses the method of that name.

    `predicted`, a two-hop accuracy, is the last column if it is given. Columns replace accuracies
    of the same name.
    """
    if predicted is not None:
        columns["predicted"] = predicted
    return name, rule(name) if method is None else method, columns


def compared(
    library: EditLibrary, head: Mapping[str, Any], conditions: Iterable[Condition], **more: Any
) -> list[Row]:
    """Evaluate all conditions; return the rows of a study, by condition, base and repetition.

    Columns are `head`, the accuracies, `more` and the condition's own.
    """
    table: list[Row] = []
    for name, method, columns in conditions:
        active = activate(library, method)
        right = accuracies(library, active)
        own = columns(active) if callable(columns) else columns
        table += rows(library, {**head, "rule": name}, {**right, **more, **own})
    return table


def rows(library: EditLibrary, names: Mapping[str, Any], columns: Mapping[str, Any]) -> list[Row]:
    """Return one row of a table for each base and repetition.

    Columns are `names` (the run's settings and the rule), ``seed`` and ``set``, and `columns`,
    whose values are numbers, words or arrays (E,).
    """
    table = pd.DataFrame(library.replicas, columns=["seed", "set"])
    table = table.assign(**columns)
    return [{**names, **row} for row in table.to_dict("records")]


def expert(source: EditLibrary) -> Lora:
    """Train adapters of attention alone on the first pair's two-hop questions.

    Adapters of the MLPs alone suffice for single facts, but not for two-hop questions.
    """
    training = replace(source.training, modules=ATTENTION)
    return train(
        source.bases, training, [one.direct.prompts for one in source.training_sets[0]], (4, 0, 8)
    )


def train_libraries(
    config: Any, layers: Mapping[str, Sequence[Sequence[int | tuple[int, ...]]]]
) -> Iterator[tuple[int, str, EditLibrary]]:
    """Yield each stage of an untied base, and the name and adapters of each library on it.

    Parameters
    ----------
    config : dataclass
        The `seed` and `stages` of the base, the fields of `bases.UntiedSetting` that a study sets,
        and `facts`, `sets`, `trained` (steps) and `retained` of its adapters.
    layers : mapping
        For each library's name its layers, as in `retrained`; empty for all layers.
    """
    own = {field.name for field in fields(UntiedSetting)} & {*vars(config)} - {"steps"}
    setting = UntiedSetting(steps=max(config.stages), **{name: vars(config)[name] for name in own})
    training = AdapterTraining(
        config.facts, 1, config.sets, steps=config.trained, retained=config.retained
    )
    for stage, bases in train_in_stages(setting, config.seed, config.stages).items():
        everywhere = library(bases, training)
        for name, some in layers.items():
            yield stage, name, retrained(everywhere, some) if some else everywhere
