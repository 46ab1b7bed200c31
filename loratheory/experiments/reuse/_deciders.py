"""Every rule by which adapters are weighed token by token, with Arrow as PEFT has it."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from loratheory.adapters import (
    Gates,
    Router,
    Scores,
    arrow_scores,
    calibrate,
    response_scores,
    standardised,
    subspace_scores,
)
from loratheory.lowrank import LowRank, array_namespace, device

STEPS = 15  # of power iteration


def power_scores(updates: Sequence[LowRank], seed: int = 0) -> Scores:
    """Arrow with prototypes from a few power iterations on the product, from a random start."""
    xp, where = array_namespace(updates[0].up), device(updates[0].up)
    rng, codes = np.random.default_rng([seed, 7]), []
    for low in updates:
        start = rng.standard_normal(low.shape[1])
        v = xp.asarray(start, dtype=low.down.dtype, device=where)
        for _ in range(STEPS):
            v = low.down.T @ (low.up.T @ (low.up @ (low.down @ v)))
            v = v / xp.linalg.vector_norm(v)
        codes.append(v)
    count, kept = len(updates), updates[0].down.dtype
    return Scores(
        codes=xp.stack(codes),
        owner=xp.arange(count, device=where),
        shift=xp.zeros(count, dtype=kept, device=where),
        spread=xp.ones(count, dtype=kept, device=where),
    )


def deciders(budget: float) -> dict[str, Callable[[Sequence[LowRank], Tensor], Gates | Router]]:
    """Every rule by which adapters are weighed token by token, by name."""
    return {
        "uniform": lambda updates, _: Router(arrow_scores(updates), len(updates), 1e9),
        "arrow": lambda updates, _: Router(arrow_scores(updates)),
        "arrow, power": lambda updates, _: Router(power_scores(updates)),
        "arrow, peft": lambda updates, _: Router(power_scores(updates), min(3, len(updates))),
        "subspace": lambda updates, _: Router(subspace_scores(updates)),
        "norm": lambda updates, _: Router(response_scores(updates)),
        "norm, soft": lambda updates, _: Router(response_scores(updates), len(updates)),
        "norm, z": lambda updates, x: Router(standardised(response_scores(updates), x)),
        "gates": lambda updates, x: calibrate(updates, x, budget=budget),
    }
