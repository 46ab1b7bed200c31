"""Where edits sit: which modules hold them, and in which of two passes each of them acts."""

from dataclasses import dataclass, field

import numpy as np

from loratheory.toy.transformer import ATTENTION, MLP
from paper.studies._shared.answers import accuracies, answer_margins, scores
from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import added
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
"""The loops in which the adapter of hop 1 acts, and those of hop 2."""
ANSWERS = {"half_way": (True, False), "unchanged": (False, False)}
"""Wrong answers to a two-hop question, by which of its two facts are then the edited ones."""


@dataclass(frozen=True)
class Config(Small):
    """Which `modules` are adapted: "mlp", "attention" or "all"."""

    modules: str = "mlp"
    facts: int = field(default=3, kw_only=True)


def cell(config: Config) -> list[Row]:
    """Return a row per place, base and edit set.

    The columns are accuracies; `half_way`, how often the new bridge's old answer is given, and
    `unchanged`, how often the old answer is; and two predictions of two-hop accuracy, each with the
    share of questions that it is right about: `predicted` from margins of the facts asked alone
    with the adapters in that place, `inside` from margins of the facts within such questions.
    """
    modules = {"mlp": MLP, "attention": ATTENTION, "all": ATTENTION + MLP}
    library = config.library(modules=modules[config.modules])
    prompts, case = library.questions(), pattern(library)
    table: list[Row] = []
    for place, loops in PLACES.items():
        placed = in_loops(loops)
        # Restricted copies: outside their loops they add nothing.
        each = [placed(x, hop) for hop, x in enumerate(library.adapters)]
        adapt = added(each, [1.0, 1.0])
        right = answer_margins(library.bases, prompts, adapt) > 0
        answers = scores(library.bases, prompts, adapt).argmax(axis=-1)
        # Within questions whose other fact is old.
        inside = margins(library, inside=True, placed=placed)
        guesses = {"predicted": margins(library, placed=placed), "inside": inside}
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
