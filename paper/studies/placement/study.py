"""Vary fact placement: the modules of edits, and the passes in which each edit is active."""

from dataclasses import dataclass, field

import numpy as np

from loratheory.toy.transformer import ATTENTION, MLP
from paper.studies._shared.answers import accuracies, answer_margins, scores
from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import add
from paper.studies._shared.rows import rows
from paper.studies._shared.run import Row, grid, part, study
from paper.studies._shared.theory import in_loops, margins, pattern

PLACES = {
    "both loops": ((0, 1), (0, 1)),
    "oracle placement": ((0,), (1,)),
    "first loop": ((0,), (0,)),
    "second loop": ((1,), (1,)),
    "reversed placement": ((1,), (0,)),
    "nowhere": ((), ()),
}
"""The loops in which the adapters of hop 1 and of hop 2 are active."""
ANSWERS = {"half_way": (True, False), "unchanged": (False, False)}
"""Wrong answers to a two-hop question; the flags are true for hops that follow the edit."""


@dataclass(frozen=True)
class Config(Small):
    """Edits in the `modules` "mlp", "attention" or "all"."""

    modules: str = "mlp"
    facts: int = field(default=3, kw_only=True)


def cell(config: Config) -> list[Row]:
    """Return a row per place, base and edit set.

    The columns are accuracies; `half_way`, the share of questions with the new bridge's old answer,
    and `unchanged`, the share with the old answer; and two predictions of two-hop accuracy, each
    with the share of questions that it predicts correctly: `predicted` from margins of single facts
    with the adapters in that place, `inside` from margins of the facts within questions.
    """
    modules = {"mlp": MLP, "attention": ATTENTION, "all": ATTENTION + MLP}
    library = config.library(modules=modules[config.modules])
    prompts, case = library.questions(), pattern(library)
    table: list[Row] = []
    for place, loops in PLACES.items():
        where = in_loops(loops)
        # Restricted adapters add nothing outside their loops.
        each = [where(x, hop) for hop, x in enumerate(library.adapters)]
        adapt = add(each, [1.0, 1.0])
        right = answer_margins(library.bases, prompts, adapt) > 0
        answers = scores(library.bases, prompts, adapt).argmax(axis=-1)
        # Margins of facts within questions whose other fact is old.
        inside = margins(library, inside=True, where=where)
        guesses = {"predicted": margins(library, where=where), "inside": inside}
        columns = {}
        for name, edited in ANSWERS.items():
            wrong = np.stack([one.answers(edited) for one in library.edits[0]])
            columns[name] = answers == wrong
        columns |= {n: x.composes(1.0, case) & inside.held[1] for n, x in guesses.items()}
        columns |= {f"{name}_right": columns[name] == right for name in guesses}
        means = {name: x.mean(axis=1).round(3) for name, x in columns.items()}
        head = {"modules": config.modules, "place": place}
        table += rows(library, head, accuracies(library, [adapt]) | means)
    return table


STUDY = study(
    __name__,
    part(
        "placement",
        cell,
        (Config("mlp"), Config("attention")),
        on_all_bases(grid(Config, modules=("mlp", "attention", "all"))),
    ),
    minutes=(0.25, 4),
)
