"""Two single-hop adapters on a two-layer transformer that learned two-hop questions."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from paper.studies._shared.answers import PASSES
from paper.studies._shared.library import rule
from paper.studies._shared.rows import by_part, compared, grown_libraries
from paper.studies._shared.run import Row, part
from paper.studies._shared.theory import forecast, in_own_layer, margins
from paper.studies._shared.training import Taught

LAYERS = {"together": (), "own": ((0,), (1,)), "each": ((0, 1), (0, 1))}
"""For each hop's adapter, the layers in which it is trained separately; ``()``: both at once."""
RULES = {"base": 0.0, "base, second pass": 0.0, "base, hop by hop": 0.0}
RULES |= {"hop 1 alone": 0.0, "hop 2 alone": 0.0, "mean": 0.5, "sum": 1.0}
RULES |= {"oracle placement": 1.0, "reversed placement": 0.0}
RULES |= {"block gates, z = 0": 1.0, "block gates, z = 2": 1.0, "sum, second pass": 1.0}
RULES |= {"mean, hop by hop": 0.5, "sum, hop by hop": 1.0}
"""Rules, and the coefficient that each gives an adapter where it acts."""


@dataclass(frozen=True)
class Config:
    """A base of a `seed` at several `stages`, steps of a training that ends with the last of them.

    The other fields are those of `bases.PlainSetting` and `training.Teaching`; `trained` is the
    number of steps of an adapter.
    """

    seed: int = 0
    stages: tuple[int, ...] = (250, 500, 1000, 2000)
    sets: int = 3
    facts: int = 4
    entities: int = 50
    relations: int = 8
    width: int = 64
    rows: int = 256
    trained: int = 120
    retained: int = 150


def cell(config: Config) -> list[Row]:
    """Return a row per stage, layers of the adapters' training, rule and edit set.

    The columns are accuracies; `predicted`, that predicted on two-hop questions; the base's own
    accuracies in the passes of the rule, on `facts` and on each of `bases.PARTS`; the median
    strengths of the edits if the adapter acts everywhere (`strength_1`, `strength_2`) and only in
    its own layer (`placed_1`, `placed_2`); how often an edit alone decides its hop within a
    question whose other facts are old (`inside_1`, `inside_2`), and how often both of a question's
    edits do (`inside`).
    """
    table: list[Row] = []
    for stage, where, library in grown_libraries(config, LAYERS):
        table += _rows(library, {"stage": stage, "layers": where})
    return table


def _rows(library: Taught, head: Row) -> list[Row]:
    """Every rule, and what is predicted of it from the strengths in its passes."""
    everywhere = forecast(library)
    there = forecast(library, placed=in_own_layer(library))
    inside = margins(library, inside=True).survives(1.0)
    beside = {**everywhere.medians}
    beside |= {name.replace("strength", "placed"): x for name, x in there.medians.items()}
    beside |= {f"inside_{hop + 1}": x for hop, x in enumerate(inside.mean(axis=-1))}
    beside["inside"] = inside.all(axis=0).mean(axis=-1)
    bare = {passes: by_part(library.bases, passes) for passes in PASSES}

    def _columns(weight: float, acts: Any) -> dict[str, Any]:
        passes = acts[0].passes
        if passes == "hop by hop":
            predicted = replace(everywhere, strengths=weight * everywhere.strengths).decided()
        else:
            theory = there if passes == "one" else everywhere
            predicted = theory.feasible([weight, weight]) * bare[passes]["held_out"]
        return {"predicted": predicted, **bare[passes], **beside}

    arms = [(name, rule(name), partial(_columns, x)) for name, x in RULES.items()]
    return compared(library, head, arms)


PART = part(
    "plain_transformer",
    cell,
    (Config(stages=(250, 2000), sets=1),),
    tuple(Config(seed) for seed in range(4)),
)
