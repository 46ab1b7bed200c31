"""Which answer two merged edits give, over the plane of their coefficients."""

from dataclasses import dataclass

import numpy as np

from loratheory.experiments._record import Row
from loratheory.experiments._world import world


@dataclass(frozen=True)
class Config:
    """A grid of cells, each simulated at its centre, every cell in the same world.

    Attributes
    ----------
    size, entities, edited : int
        Dimension of keys and values; entities of each kind; facts that each edit changes.
    cells : int
        How many a side.
    top : float
        The largest coefficient.
    """

    size: int = 32
    entities: int = 12
    edited: int = 3
    cells: int = 24
    top: float = 1.2


def run(config: Config, *, rng: np.random.Generator) -> list[Row]:
    """Return one row a cell: where it is and the logits of the answers that can win.

    Parameters
    ----------
    config : Config
        What to draw.
    rng : Generator
        Where it comes from.

    Returns
    -------
    list of dict
        The centre `c1`, `c2`, and the mean logits over the edited prompts: `unedited`, of the
        answer before both edits; `halfway`, of the old second fact about the new bridge;
        `composed`, of the answer that both edits make together.
    """
    here = world(rng, size=config.size, entities=config.entities, edited=config.edited)
    centres = (np.arange(config.cells) + 0.5) * config.top / config.cells
    prompt = np.arange(config.edited)
    rows = []
    for c1 in centres.tolist():
        for c2 in centres.tolist():
            logits = here.answers(c1, c2)[2]
            unedited, halfway, composed = (
                float(np.mean(logits[prompt + step * config.edited, prompt])) for step in range(3)
            )
            answers = {"unedited": unedited, "halfway": halfway, "composed": composed}
            rows.append({"c1": c1, "c2": c2, **answers})
    return rows
