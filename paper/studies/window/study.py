"""Merge two edits in a linear memory; compute margins by one coefficient and answers by two.

`prediction.md` has the questions and the predictions.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from loratheory.evaluate import exact
from paper.studies._shared.run import Row, part, study


@dataclass(frozen=True, kw_only=True)
class Config:
    """The linear memory, by fields that are passed to `exact.draw_memory`."""

    size: int = 32
    entities: int = 12
    edited: int = 3
    seed: int = 0

    def memory(self) -> exact.Memory:
        """Return the memory with its two edits."""
        rng = np.random.default_rng(self.seed)
        return exact.draw_memory(rng, size=self.size, entities=self.entities, edited=self.edited)


@dataclass(frozen=True)
class Line(Config):
    """One coefficient for both edits, from 0 to 1 in `steps` steps."""

    steps: int = 20


@dataclass(frozen=True)
class Plane(Config):
    """A grid of `cells` by `cells` coefficients up to `top`."""

    cells: int = 24
    top: float = 1.2


def answers(
    memory: exact.Memory, c1: float, c2: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the edited prompts' logits for hop 1, hop 2 and both hops, at two coefficients."""
    x, new = memory.first[:, : memory.edited], slice(memory.edited, 2 * memory.edited)
    hop_1 = np.linalg.pinv(memory.values) @ memory.model.read(0, x, c1)
    hop_2 = memory.model.read(1, memory.second[:, new], c2)
    return hop_1, hop_2, memory.model.output(x, (c1, c2))


def window(config: Line) -> list[Row]:
    """Return a row per `coefficient`, with the margins of `hop_1`, `hop_2` and `two_hop`.

    Each is the least margin of the new answer over all edited prompts; it is positive if all edited
    prompts get the new answer.
    """
    model, first, rows = config.memory(), np.arange(config.edited) + config.edited, list[Row]()
    for step in range(config.steps + 1):
        c = step / config.steps
        hop_1, hop_2, two_hop = answers(model, c, c)
        row: Row = {"coefficient": c, "hop_1": exact.margin(hop_1, first)}
        row["hop_2"] = exact.margin(hop_2, first + config.edited)
        row["two_hop"] = exact.margin(two_hop, first + config.edited)
        rows.append(row)
    return rows


def two_read_region(config: Plane) -> list[Row]:
    """Return a row per grid cell, simulated at its centre `c1`, `c2`, all in one memory.

    The columns are mean logits over the edited prompts of three answers: `unedited`, the answer
    before the edits; `halfway`, the old second fact about the new bridge; and `composed`, the
    answer of both edits.
    """
    model, prompt, rows = config.memory(), np.arange(config.edited), list[Row]()
    centres = ((np.arange(config.cells) + 0.5) * config.top / config.cells).tolist()
    for c1, c2 in product(centres, centres):
        row, logits = {"c1": c1, "c2": c2}, answers(model, c1, c2)[2]
        for k, name in enumerate(("unedited", "halfway", "composed")):
            row[name] = float(np.mean(logits[prompt + k * config.edited, prompt]))
        rows.append({**row})
    return rows


STUDY = study(
    __name__,
    part("window", window, [Line()], [Line()]),
    part("two_read_region", two_read_region, [Plane()], [Plane()]),
    minutes=(0.02, 0.02),
)
