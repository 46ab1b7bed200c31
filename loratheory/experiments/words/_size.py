"""How large bases and adapters are, and how long they are trained."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Of a base, of its adapters, and of their training.

    Attributes
    ----------
    width, depth, heads : int
        Of the transformer: full attention, rotary positions, no loop.
    steps, rows, problems : int
        Of its training: steps, prompts a step, problems in each third of a set.
    rate : float
        Of its training.
    rank, trained, shown, lesson : int
        Of an adapter, of its training: steps, prompts a step, prompts in all.
    asked : int
        Problems of each target.
    """

    width: int = 64
    depth: int = 2
    heads: int = 4
    steps: int = 1000
    rows: int = 64
    problems: int = 1500
    rate: float = 2e-3
    rank: int = 8
    trained: int = 120
    shown: int = 24
    lesson: int = 1536
    asked: int = 64


SIZES = {
    "single steps": Size(steps=700),
    "problems": Size(),
    "half the pairs": Size(),
}
"""What the paper's tables are made with: single steps are learned sooner."""
QUICK = Size(steps=400, rows=48, trained=30)
"""A base that has begun to learn single steps, and as few steps for adapters."""
SMALL = range(1, 4)
"""Seeds of the bases on which the setting of quick profiles is measured too, to be compared."""
