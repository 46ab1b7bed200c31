"""Which answer two merged edits give, over the plane of their coefficients.

**Question.** Which answer do two merged edits give, at which pair of coefficients?

**Prediction.** Each answer gets the product of its path: ``1 - c1`` the unedited one,
``c1 (1 - c2)`` the one that stops halfway, ``c1 c2`` the composed one, which wins where
``c1 c2 > max(1 - c1, c1 (1 - c2))`` (`thm:two-read-region`).

**Chance.** An answer drawn at random among the entities is right once in as many.

**Controls.** Coefficients near 0, where nothing is edited, and near 1, where each edit is whole.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.experiments._world import world
from loratheory.experiments.engine import Experiment, Row


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
    seed : int
        Determines every draw.
    """

    size: int = 32
    entities: int = 12
    edited: int = 3
    cells: int = 24
    top: float = 1.2
    seed: int = 0


def cell(config: Config) -> list[Row]:
    """Return one row a cell: where it is and the logits of the answers that can win.

    Parameters
    ----------
    config : Config
        What to draw.

    Returns
    -------
    list of dict
        The centre `c1`, `c2`, and the mean logits over the edited prompts: `unedited`, of the
        answer before both edits; `halfway`, of the old second fact about the new bridge;
        `composed`, of the answer that both edits make together.
    """
    rng = np.random.default_rng(config.seed)
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


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={"quick": (Config(),), "paper": (Config(),)},
    minutes={"quick": 0.01, "paper": 0.01},
)
