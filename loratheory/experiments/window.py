"""How far each fact and their composition lead, as two edits are merged ever more strongly.

**Question.** At which merge coefficient is each fact recalled, and at which their composition?

**Prediction.** A fact alone leads by ``2c - 1``, so from 1/2 on; both together by
``c^2 - max(1 - c, c (1 - c))``, so from the golden ratio's .618 on: between the two every
single-hop test passes and the two-hop answer is lost (`thm:two-read-region`).

**Chance.** An answer drawn at random among the entities is right once in as many.

**Controls.** Coefficient 0, where the old answers lead by 1, and 1, where the new ones do.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.experiments._world import world
from loratheory.experiments.engine import Experiment, Row


@dataclass(frozen=True)
class Config:
    """Both edits with one coefficient, from 0 to 1.

    Attributes
    ----------
    size, entities, edited : int
        Dimension of keys and values; entities of each kind; facts that each edit changes.
    steps : int
        How many steps from 0 to 1.
    seed : int
        Determines every draw.
    """

    size: int = 32
    entities: int = 12
    edited: int = 3
    steps: int = 20
    seed: int = 0


def cell(config: Config) -> list[Row]:
    """Return one row a coefficient: the least lead of the new answer over the edited prompts.

    Parameters
    ----------
    config : Config
        What to draw.

    Returns
    -------
    list of dict
        `coefficient`; the lead over the best other answer of `hop_1`, `hop_2` and `two_hop`,
        positive where the new answer is given.
    """
    rng = np.random.default_rng(config.seed)
    here = world(rng, size=config.size, entities=config.entities, edited=config.edited)
    rows: list[Row] = []
    for step in range(config.steps + 1):
        c = step / config.steps
        hop_1, hop_2, both = here.answers(c, c)
        leads = {
            "hop_1": _lead(hop_1, config.edited),
            "hop_2": _lead(hop_2, 2 * config.edited),
            "two_hop": _lead(both, 2 * config.edited),
        }
        rows.append({"coefficient": c, **leads})
    return rows


def _lead(logits: np.ndarray, first: int) -> float:
    """The least lead of answer number ``first + prompt`` over all others, prompt by prompt."""
    rest, prompts = logits.copy(), np.arange(logits.shape[1])
    rest[first + prompts, prompts] = -np.inf
    return float(np.min(logits[first + prompts, prompts] - np.max(rest, axis=0)))


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={"quick": (Config(),), "paper": (Config(),)},
    minutes={"quick": 0.01, "paper": 0.01},
)
