"""A rule in exact memories: how far each fact and their composition lead, by coefficient."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.experiments._world import World, world
from loratheory.experiments.evaluate._rule import Asked
from loratheory.lowrank import LowRank
from loratheory.toy import interpolating

TOP, STEPS = 3.0, 60
SIZE, ENTITIES, EDITED = 32, 12, 3
KINDS = ("hop_1", "hop_2", "two_hop", "same_read")
FINE = 1e-9  # a lead that rounding may leave

Answer = Callable[[np.ndarray], np.ndarray]
"""What the adapters add to keys in columns, all together and at coefficient 1."""


@dataclass(frozen=True)
class Survival:
    """Leads of the new answers by coefficient, and from where on each is given.

    Attributes
    ----------
    curve : tuple of mappings
        `coefficient`, and the leads: of each fact alone (`hop_1`, `hop_2`), of their composition
        (`two_hop`), and of the facts of two adapters that edit one read (`same_read`).
    starts : mapping of str to float or None
        The least coefficient from which each leads; None where it does not up to the last one.
    """

    curve: tuple[dict[str, float], ...]
    starts: dict[str, float | None]


def survival(asked: Asked, seed: int = 0) -> Survival:
    """Return how a rule fares in memories where the theorems are exact.

    Parameters
    ----------
    asked : Asked
        The rule. It is given two adapters, each zero in the read that the other one edits; what
        it makes of them is added `coefficient` times.
    seed : int
        Determines the memories.

    Returns
    -------
    Survival
        For the sum facts lead from 1/2 and their composition from .618; for the mean of two
        from twice that (``thm:two-read-region``). Costs a few calls of the rule.
    """
    here = world(np.random.default_rng([seed, 9]), size=SIZE, entities=ENTITIES, edited=EDITED)
    first, second = here.model.edits
    added = [
        _answer(asked, here, 0, [first, 0.0 * first]),
        _answer(asked, here, 1, [0.0 * second, second]),
    ]
    crowd, edits = _same_read(here)
    together = _answer(asked, here, 0, edits)

    def _leads(c: float) -> dict[str, float]:
        def _read(hop: int, keys: np.ndarray) -> np.ndarray:
            return here.model.memories[hop] @ keys + c * added[hop](keys)

        m, names = here.edited, np.linalg.pinv(here.values)
        x, y = here.first[:, :m], here.second[:, m : 2 * m]
        keys = here.first[:, : len(crowd)]
        one_read = here.model.memories[0] @ keys + c * together(keys)
        return {
            "hop_1": _lead(names @ _read(0, x), m + np.arange(m)),
            "hop_2": _lead(_read(1, y), 2 * m + np.arange(m)),
            "two_hop": _lead(_read(1, here.model.bridges[0] @ _read(0, x)), 2 * m + np.arange(m)),
            "same_read": _lead(names @ one_read, crowd),
        }

    grid = [TOP * step / STEPS for step in range(STEPS + 1)]
    curve = tuple({"coefficient": c, **_leads(c)} for c in grid)
    starts = {kind: _start(curve, kind, _leads) for kind in KINDS}
    return Survival(curve, starts)


def _answer(asked: Asked, here: World, hop: int, updates: Sequence[LowRank]) -> Answer:
    """What the rule makes of the updates of one read."""
    if asked.form == "merge":
        merged = asked.merge(updates, [1.0] * len(updates))
        return lambda keys: merged @ keys
    router = asked.route(updates, _ordinary(here, hop))

    def _routed(keys: np.ndarray) -> np.ndarray:
        weights = router.weights(keys.T)
        parts = [w * (low @ keys) for w, low in zip(weights.T, updates, strict=True)]
        return np.asarray(sum(parts))

    return _routed


def _ordinary(here: World, hop: int) -> np.ndarray:
    """What a base feeds this read on prompts about unedited entities: their keys, and noise."""
    rng = np.random.default_rng([hop, 10])
    keys = (here.first, here.second)[hop][:, 2 * here.edited :]
    chosen = keys[:, rng.integers(0, keys.shape[1], 512)]
    return np.asarray((chosen + 0.1 * rng.standard_normal(chosen.shape)).T)


def _same_read(here: World) -> tuple[np.ndarray, list[LowRank]]:
    """New values of the first 2 m entities of one read, and two adapters that edit m each."""
    m = here.edited
    targets = (np.arange(2 * m) + 3) % (2 * m) + 2 * m
    change = here.values[:, targets] - here.values[:, : 2 * m]
    edits = []
    for part in (slice(0, m), slice(m, 2 * m)):
        values = np.zeros_like(here.values)
        values[:, part] = change[:, part]
        low = interpolating(here.first, values)
        edits.append(LowRank(low.up[:, part], low.down[part]))
    return targets, edits


def _lead(logits: np.ndarray, answers: np.ndarray) -> float:
    """The least lead of each column's answer over all others."""
    rest, columns = logits.copy(), np.arange(logits.shape[1])
    rest[answers, columns] = -np.inf
    return float(np.min(logits[answers, columns] - rest.max(axis=0)))


def _start(
    curve: Sequence[dict[str, float]], kind: str, leads: Callable[[float], dict[str, float]]
) -> float | None:
    """Bisected between the last point without and the first with a lead."""
    after = next((i for i, row in enumerate(curve) if row[kind] > FINE), None)
    if after is None or after == 0:
        return None if after is None else 0.0
    low, high = curve[after - 1]["coefficient"], curve[after]["coefficient"]
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if leads(middle)[kind] > FINE else (middle, high)
    return high
