"""Which answer two merged edits give, over the plane of their coefficients."""

from dataclasses import dataclass

import numpy as np

from loratheory.evaluate.exact import world
from paper.studies._shared.run import Row, part


@dataclass(frozen=True)
class Config:
    """A grid of `cells` by `cells` coefficients up to `top`; other fields are passed to `world`."""

    size: int = 32
    entities: int = 12
    edited: int = 3
    cells: int = 24
    top: float = 1.2
    seed: int = 0


def cell(config: Config) -> list[Row]:
    """Return a row per cell of the grid, simulated at its centre `c1`, `c2`, all in one world.

    The columns are mean logits over the edited prompts, of three answers: `unedited`, the one
    before the edits; `halfway`, the old second fact about the new bridge; `composed`, the one that
    both edits make.
    """
    rng, m = np.random.default_rng(config.seed), config.edited
    model = world(rng, size=config.size, entities=config.entities, edited=m)
    centres = ((np.arange(config.cells) + 0.5) * config.top / config.cells).tolist()
    names, rows = ("unedited", "halfway", "composed"), list[Row]()
    for c1, c2 in ((c1, c2) for c1 in centres for c2 in centres):
        logits, prompt = model.answers(c1, c2)[2], np.arange(m)
        means = {n: float(np.mean(logits[prompt + k * m, prompt])) for k, n in enumerate(names)}
        rows.append({"c1": c1, "c2": c2, **means})
    return rows


PART = part("two_read_region", cell, [Config()], [Config()])
