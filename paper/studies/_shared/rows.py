"""Rows of tables: ways of using adapters of small transformers, measured side by side."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from loratheory.shapes import Float
from loratheory.tasks.prompts import joined
from loratheory.tasks.two_hop import every, plain
from loratheory.toy.transformer import ATTENTION, Adapt, Lora
from paper.studies._shared.answers import accuracies, accuracy
from paper.studies._shared.bases import PARTS, Bases, PlainSetting, grown
from paper.studies._shared.library import Accuracies, acting, added
from paper.studies._shared.rules import Act, rule
from paper.studies._shared.run import Row
from paper.studies._shared.training import KINDS, Taught, Teaching, learned, library, retrained


def by_part(bases: Bases, passes: str) -> dict[str, float]:
    """Return the accuracies of one base without adapters on each part of its questions.

    Parts are single ``facts`` and the two-hop questions of each of `PARTS`; NaN for an empty one.
    """
    [facts], [parts] = bases.worlds, bases.splits
    single = [plain(facts, every(facts, start=hop, hops=1)) for hop in range(facts.hops)]
    asked = {"facts": joined(single)}
    asked |= {name: plain(facts, getattr(parts, name)).final() for name in PARTS}
    return {
        name: accuracy(bases, [rows], None, passes).item() if len(rows) else float("nan")
        for name, rows in asked.items()
    }


def recall(
    library: Taught, by_hop: Sequence[Sequence[Adapt]], times: float, pair: int | None = None
) -> Float[np.ndarray, " E"]:
    """Return the share of edited facts that are answered if only the adapters of their hop act.

    All adapters of the hop act, multiplied by `times`; the facts are those of one pair, or all.
    """
    asked = library.trials if pair is None else library.trials[pair : pair + 1]
    right = [
        accuracy(library.bases, [one.hops[hop] for one in trials], added(each, [times] * len(each)))
        for hop, each in enumerate(by_hop)
        for trials in asked
    ]
    return np.asarray(np.mean(right, axis=0))


More = Callable[[Sequence[Any], Accuracies], Mapping[str, Any]]
"""A function from what acts for each pair, and its accuracies, to further columns."""


@dataclass(frozen=True, eq=False)
class Arm:
    """One way of using adapters in a study, with its predicted two-hop accuracy and extra columns.

    `act` is a rule, or what acts for each pair. If `predicted` is None, the table has no column of
    predictions. Extra columns replace accuracies of the same name.
    """

    name: str
    predicted: Any
    act: Act | Sequence[Adapt]
    more: More | None
    columns: Mapping[str, Any]


def arm(
    name: str,
    predicted: Any = None,
    act: Act | Sequence[Adapt] | None = None,
    more: More | None = None,
    **columns: Any,
) -> Arm:
    """Return an `Arm`; without `act`, it uses the rule of `RULES` that has its name."""
    return Arm(name, predicted, rule(name) if act is None else act, more, columns)


def compared(
    library: Taught, head: Mapping[str, Any], arms: Iterable[Arm], **beside: Any
) -> list[Row]:
    """Measure all arms and return the rows of a study, one for each arm, base and repetition.

    Columns are `head`, the accuracies, `beside`, the arm's own columns and the prediction.
    """
    table: list[Row] = []
    for one in arms:
        acts = acting(library, one.act) if callable(one.act) else one.act
        right = accuracies(library, acts)
        more = {**beside, **one.columns, **(one.more(acts, right) if one.more else {})}
        last = {} if one.predicted is None else {"predicted": one.predicted}
        table += rows(library, {**head, "rule": one.name}, right, **more, **last)
    return table


def rows(
    library: Taught, names: Mapping[str, Any], accuracies: Accuracies, **more: object
) -> list[Row]:
    """Return one row of a table for each base and repetition.

    Columns are `names` (the cell's settings and the rule), ``seed`` and ``set``, the accuracies,
    and `more`, whose values are numbers, words or arrays (E,).
    """
    count = len(library.replicas)
    each = {
        name: np.broadcast_to(np.asarray(column), count).tolist()
        for name, column in (accuracies | more).items()
    }
    return [
        {**names, "seed": seed, "set": number, **{name: column[e] for name, column in each.items()}}
        for e, (seed, number) in enumerate(library.replicas)
    ]


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
        data = [
            joined([*(one.hops[hop].taught for one in each), each[0].hops[hop].rehearsed])
            for each in zip(*of.lessons, strict=True)
        ]
        made.append(learned(of.bases, teaching, data, (4, 0, 8 * len(KINDS) + hop)))
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
    own = {field.name for field in fields(PlainSetting)} - {"steps"}
    given = {name: value for name, value in vars(config).items() if name in own}
    setting = PlainSetting(steps=max(config.stages), **given)
    teaching = Teaching(
        config.facts, 1, config.sets, steps=config.trained, retained=config.retained
    )
    for stage, bases in grown(setting, config.seed, config.stages).items():
        everywhere = library(bases, teaching)
        for name, some in layers.items():
            yield stage, name, retrained(everywhere, some) if some else everywhere
