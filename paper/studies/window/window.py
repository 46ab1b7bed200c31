"""How far each fact and their composition lead, as two edits are merged ever more strongly."""

from dataclasses import dataclass

import numpy as np

from loratheory.evaluate.exact import margin, world
from paper.studies._shared.run import Row, part


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


PART = part("window", cell, [Config()], [Config()])
