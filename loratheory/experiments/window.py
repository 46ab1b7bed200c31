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

from loratheory.bench.chain import margin, world
from loratheory.experiments.engine import Row, study


@dataclass(frozen=True)
class Config:
    """One coefficient for both edits, from 0 to 1 in `steps` steps; other fields go to `world`."""

    size: int = 32
    entities: int = 12
    edited: int = 3
    steps: int = 20
    seed: int = 0


def cell(config: Config) -> list[Row]:
    """Return a row per `coefficient`, with the margins of `hop_1`, `hop_2` and `two_hop`.

    Each is the least margin of the new answer over the best other one, over all edited prompts; it
    is positive if all of them get the new answer.
    """
    rng, m = np.random.default_rng(config.seed), config.edited
    model = world(rng, size=config.size, entities=config.entities, edited=m)
    names, first, rows = ("hop_1", "hop_2", "two_hop"), np.arange(m) + m, list[Row]()
    for c in (step / config.steps for step in range(config.steps + 1)):
        logits = zip(names, model.answers(c, c), (first, first + m, first + m), strict=True)
        rows.append({"coefficient": c, **{name: margin(x, new) for name, x, new in logits}})
    return rows


EXPERIMENT = study(cell, quick=[Config()], paper=[Config()], minutes=(0.01, 0.01))
