"""Evaluate every pair of a library of 24 adapters on a language model, and larger groups."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

from loratheory.evaluate.task_library import NAMES
from paper.studies._shared import Language
from paper.studies._shared.run import Row, part, study
from paper.studies.lm_library.collection import Stage, collection

SEED = 300
METHODS: tuple[str, ...] = ("shared coefficient", "per-adapter coefficients", "knots-ties", "tsv")
METHODS += ("interpolate", "chebyshev", "per-matrix gating", "prompt-level gating")
GEMMA = "gemma-3-270m"
# Two adapters of each of the first six kinds, of both learning rates.
TWELVE = tuple(number for number in range(18) if number % 3 < 2)
STAGES: Mapping[str, Stage] = {
    "alone": Stage(1, len(NAMES), 1, ()),
    "pairs": Stage(2, 276, 23, ("mean", "sum")),
    "methods": Stage(2, 40, 2, METHODS),
    "triples": Stage(3, 100, 10, ("mean", 0.5, "sum")),
    "methods, triples": Stage(
        3, 12, 1, ("shared coefficient", "per-adapter coefficients", "prompt-level gating")
    ),
    "sixes": Stage(6, 30, 3, ("mean", 0.5, "sum", "prompt-level gating")),
    f"alone, {GEMMA}": Stage(1, len(TWELVE), 1, (), TWELVE),
    f"pairs, {GEMMA}": Stage(2, 66, 11, ("mean", "sum"), TWELVE),
}
"""The first stage measures adapters alone. The mean of a pair is its sum with coefficient 0.5.
Seconds of one core: training an adapter takes 5 to 45; a pass 0.8 for a pair, 1.2 for three
adapters, 2.5 for six; a search 3 for one coefficient and 8 for two; a merge 3.5; gates 2 to 5."""


@dataclass(frozen=True)
class Config(Language):
    """One part of a stage in `STAGES`, with adapters trained with self-distillation or without."""

    silence: bool = False
    stage: str = "alone"
    part: int = 0


def cell(config: Config) -> list[Row]:
    """Return a row for each adapter of each group of this part, and each combination method.

    Returns
    -------
    list of dict
        ``training`` (``standard`` or ``self-distillation``), ``stage``, ``method``, ``group``;
        ``adapter`` and its ``partners``; then the columns of `StudiedCollection.measure_group` and
        `measure_alone`, NaN where not measured. Numbers are rounded to three digits.
    """
    found = collection(config.model, config.device, config.seed, self_distilled=config.silence)
    stage, rows = STAGES[config.stage], list[Row]()
    training = "self-distillation" if config.silence else "standard"
    # Every row has all columns: stages measure different ones.
    nothing = dict.fromkeys(("right", "retention", "kl_few", "drift"), nan)

    def _row(
        method: str, group: int, adapter: int, among: Sequence[int], some: Mapping[str, float]
    ) -> None:
        row: Row = {"training": training, "stage": config.stage, "method": method, "group": group}
        row["adapter"] = NAMES[adapter]
        row["partners"] = ", ".join(NAMES[j] for j in among if j != adapter) or "none"
        rows.append(row | nothing | {name: float(f"{x:.3g}") for name, x in some.items()})

    for number in range(stage.groups)[config.part * stage.each :][: stage.each]:
        if stage.size == 1:
            one = stage.among[number]
            _row("alone", number, one, (), found.measure_alone(one))
            continue
        group = stage.group(number, config.seed)
        for name, method in stage.named_methods():
            for i, kept in zip(group, found.measure_group(group, method), strict=True):
                _row(name, number, i, group, kept)
    return rows


RUN = [(False, "alone"), (False, "pairs"), (True, "alone"), (True, "pairs"), (False, "methods")]
RUN += [(False, "triples"), (False, "sixes"), (True, "sixes"), (False, "methods, triples")]
"""The stages that have been run, with self-distillation (True) or without, in this order."""


def configs() -> Iterator[Config]:
    """Yield the configs of all cells, in the order of the stages in `RUN`."""
    for silence, name in RUN:
        for number in range(-(-STAGES[name].groups // STAGES[name].each)):
            yield Config(silence, name, number, seed=SEED)
    for name in (f"alone, {GEMMA}", f"pairs, {GEMMA}"):
        for number in range(STAGES[name].groups // STAGES[name].each):
            yield Config(False, name, number, seed=SEED, model=GEMMA)


STUDY = study(__name__, part("lm_library", cell, (Config(seed=SEED),), configs()), minutes=(1, 310))
