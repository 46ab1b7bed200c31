"""Combination methods by their names in tables, for models of either size.

This module has the parts that do not depend on the model: merges, and routers or gates for the
updates of one linear map. `library` applies them to small transformers, `language` to language
models.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from loratheory.adapters import (
    Gates,
    Router,
    Scores,
    arrow_scores,
    calibrate,
    calibrate_z,
    response_norms,
    standardised,
)
from loratheory.lowrank import LowRank, array_namespace, device

STEPS = 15  # of power iteration, as in PEFT
Decide = Callable[..., Router | Gates]
"""``decide(updates, x)`` prepares a router or gates for the updates of one map from its inputs in
the base on generic tokens; `x` is None for methods outside `NEED_GENERIC`."""


def power_scores(updates: Sequence[LowRank]) -> Scores:
    """Return Arrow's scores, with singular vectors approximated by a few power iterations."""
    xp, where = array_namespace(updates[0].up), device(updates[0].up)
    rng, codes = np.random.default_rng([0, 7]), []
    for low in updates:
        start = rng.standard_normal(low.shape[1])
        v = xp.asarray(start, dtype=low.down.dtype, device=where)
        for _ in range(STEPS):
            v = low.down.T @ (low.up.T @ (low.up @ (low.down @ v)))
            norm = xp.linalg.vector_norm(v)
            # The vector of an adapter without this map stays zero.
            v = v / xp.where(norm > 0, norm, xp.ones_like(norm))
        codes.append(v)
    count, kept = len(updates), updates[0].down.dtype
    return Scores(
        codes=xp.stack(codes),
        owner=xp.arange(count, device=where),
        shift=xp.zeros(count, dtype=kept, device=where),
        spread=xp.ones(count, dtype=kept, device=where),
    )


def best(scores: Callable[..., Scores], most: int = 1, temperature: float = 1.0) -> Decide:
    """Return routers that weigh up to `most` adapters by a softmax of their scores at a token."""

    def _decide(updates: Sequence[LowRank], _: Any) -> Router:
        return Router(scores(updates), min(most, len(updates)), temperature)

    return _decide


def _standardised(updates: Sequence[LowRank], x: Any) -> Router:
    return Router(standardised(response_norms(updates), x))


EVERY = 1_000_000  # more adapters than any library has
DECIDERS: Mapping[str, Decide] = {
    "arrow": best(arrow_scores),
    "arrow, peft": best(power_scores, 3),
    "norm": best(response_norms),
    "norm, soft": best(response_norms, EVERY),
    "norm, z": _standardised,
    "per-matrix gating": partial(calibrate, budget=0.3),
    "per-matrix gating, z = 2": partial(calibrate_z, z=2),
}
NEED_GENERIC = ("norm, z", "per-matrix gating", "per-matrix gating, z = 2")
"""Methods that need the inputs of the map on generic tokens."""
MERGES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ties": ("ties", {"space": "full", "density": 0.3, "rank": 1024}),
    "dare": ("dare", {"space": "full", "density": 0.3, "rank": 1024}),
    "knots": ("ties", {"space": "knots", "density": 0.3}),
    "interpolating": ("interpolate", {"space": "full"}),
}
"""Merges: the method of `loratheory.adapters.merge` and its default options."""
LABELS: Mapping[str, str] = {
    "ties": "TIES",
    "knots": "KnOTS",
    "interpolating": "interpolating merge",
    "arrow": "Arrow",
    "arrow, peft": "Arrow, by PEFT",
    "norm, z": "largest z-scored norm",
    "per-matrix gating, z = 2": "per-matrix gating",
    "per-block gating, z = 2": "per-block gating",
}
"""Names in figures, where they differ from names in tables."""
