"""Exact tests of a rule: algebraic laws, tried on random cases, and the theorems' memories."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import bisect

from loratheory.adapters import LAWS, LawCase, Method
from loratheory.evaluate.own_rule import OwnRule
from loratheory.lowrank import LowRank
from loratheory.toy import Hop, LinearChain, chain, interpolating


@dataclass(frozen=True)
class Law:
    """Whether a rule obeyed one law on all random cases.

    `gap` is the largest relative violation; `seed` draws the counterexample, where there is one.
    """

    name: str
    meaning: str
    holds: bool
    gap: float
    seed: int | None


@dataclass(frozen=True)
class Survival:
    """Margins of the new answers along a `curve` of coefficients, and where each becomes positive.

    There is a margin of each fact alone (``hop_1``, ``hop_2``), one of their composition
    (``two_hop``) and one of the facts of two adapters that edit the same read (``same_read``).
    `starts` has for each the least coefficient from which it is positive; None if it never is.
    """

    curve: tuple[dict[str, float], ...]
    starts: dict[str, float | None]


HOLDS = 1e-9  # relative gap that rounding may leave
DRAWS = 4
COUNT, RANK, SHAPE, TOKENS = 3, 2, (9, 8), 64


def laws(asked: OwnRule, draws: int = DRAWS) -> list[Law]:
    """Test the laws for a rule of its form: `loratheory.adapters.LAWS`, or those for routers.

    Each is tried on up to `draws` random cases of 9×8 updates; a counterexample ends the search.
    """
    merge = asked.form == "merge"
    # a router has no merged update: its laws are about weights of tokens
    table: dict[str, Callable[..., float]] = {**(LAWS if merge else ROUTING)}
    tried = []
    for name, law in table.items():
        meaning, gaps = " ".join((law.__doc__ or "").split()), list[float]()
        for seed in range(draws):
            gaps.append(_merging(asked, name, seed) if merge else law(Routed(asked, seed)))
            # written so that NaN is a violation too
            if not gaps[-1] <= HOLDS:
                tried.append(Law(name, meaning, holds=False, gap=gaps[-1], seed=seed))
                break
        else:
            tried.append(Law(name, meaning, holds=True, gap=max(gaps), seed=None))
    return tried


def _merging(asked: OwnRule, law: str, seed: int) -> float:
    """Return by how much a merge violates a law on a case; exact ones are the mean or the sum."""

    def _gap(name: str) -> float:
        method = Method(
            name,
            lambda updates, weights, _: asked.merge(updates, weights),
            *("", "", ""),
            options=frozenset({"weights"}),
        )
        return LAWS[law](LawCase(method, "full", seed))

    # a stranger does not say whether the mean or the sum is meant: either counts as exact
    return min(map(_gap, ("mean", "sum") if law == "exact" else ("sum",)))


class Routed:
    """One case for a router: updates, the module's activations on the base, and tokens `x`."""

    def __init__(self, asked: OwnRule, seed: int) -> None:
        draw, (m, n) = np.random.default_rng([seed, 7]).standard_normal, SHAPE
        self.updates = [LowRank(draw((m, RANK)), draw((RANK, n))) for _ in range(COUNT)]
        self.base, self.x = draw((4 * TOKENS, n)), draw((TOKENS, n))
        self.asked, self.seed, self.router = asked, seed, asked.route(self.updates, self.base)

    def given(self, updates: Sequence[LowRank]) -> np.ndarray:
        """Return the weights of the tokens where the router is given these updates instead."""
        return self.asked.route(updates, self.base).weights(self.x)


def _agree(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference of weights, except at a few tokens where rounding decides."""
    return float(np.sort(np.abs(one - other).max(axis=1))[:-2].max())


def gauge(case: Routed) -> float:
    """Weights stay the same where the factors (B, A) of an update become (BG, G^-1 A)."""
    rng = np.random.default_rng([case.seed, 8])
    # factors are not unique: a method that sees G depends on how the file was written
    moved = [low.regauged(np.eye(RANK) + rng.random((RANK, RANK))) for low in case.updates]
    return _agree(case.router.weights(case.x), case.given(moved))


def permutation(case: Routed) -> float:
    """Each adapter has the same weight where the adapters come in another order."""
    return _agree(case.router.weights(case.x), case.given(case.updates[::-1])[:, ::-1])


def repeatable(case: Routed) -> float:
    """The weights at a token do not depend on the other tokens of the batch."""
    parts = [case.router.weights(part) for part in np.split(case.x, 2)]
    return _agree(case.router.weights(case.x), np.concatenate(parts))


def token_scale(case: Routed) -> float:
    """Weights do not change where a token is multiplied by a positive number."""
    one, other = (case.router.weights(scale * case.x) for scale in (1.0, 3.0))
    return float(np.abs(one - other).max())


def shares(case: Routed) -> float:
    """Weights are convex: at each token none is negative, and they add up to 1."""
    weights = case.router.weights(case.x)
    return float(max(np.abs(weights.sum(axis=1) - 1).max(), -weights.min()))


ROUTING: dict[str, Callable[[Routed], float]] = {
    "gauge": gauge,
    "permutation": permutation,
    "repeatable": repeatable,
    "token scale": token_scale,
    "shares": shares,
}


@dataclass(frozen=True, eq=False)
class World:
    """Entities x, y and z; the base knows ``x -> y`` and ``y -> z``, the edits change some of both.

    The first read has the random keys `first`, one for each x, and writes the `values` of the y;
    the second has the keys `second`, one for each y. At first ``x_i`` leads to ``y_i`` and ``y_i``
    to ``z_i``. With ``m = edited``, edit 1 lets ``x_i`` lead to ``y_(i+m)`` for ``i < m``, and
    edit 2 lets these new y lead to ``z_(i+2m)``. So the old bridges keep their facts.
    """

    model: LinearChain
    values: np.ndarray
    first: np.ndarray
    second: np.ndarray
    edited: int

    def answers(self, c1: float, c2: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return edited prompts' logits for hop 1, hop 2 and both, at these coefficients."""
        x, new = self.first[:, : self.edited], slice(self.edited, 2 * self.edited)
        hop_1 = np.linalg.pinv(self.values) @ self.model.read(0, x, c1)
        hop_2 = self.model.read(1, self.second[:, new], c2)
        return hop_1, hop_2, self.model.output(x, (c1, c2))


def world(rng: np.random.Generator, *, size: int, entities: int, edited: int) -> World:
    """Draw a world; its memories are exact if ``size >= entities >= 3 * edited``."""
    first, second, values = rng.standard_normal((3, size, entities))
    identity, number = np.eye(entities), np.arange(entities)
    new_y, new_z = number.copy(), number.copy()
    new_y[:edited] += edited
    new_z[edited : 2 * edited] += edited
    hops = (
        Hop(first, values, values[:, new_y]),
        Hop(second, identity, identity[:, new_z]),
    )
    return World(chain(hops, (values,)), values, first, second, edited)


def margin(logits: np.ndarray, answers: np.ndarray) -> float:
    """Return the least margin, over the columns, of the column's answer over all others."""
    rest, columns = logits.copy(), np.arange(logits.shape[1])
    rest[answers, columns] = -np.inf
    return float(np.min(logits[answers, columns] - rest.max(axis=0)))


TOP, STEPS = 3.0, 60
SIZE, ENTITIES, EDITED = 32, 12, 3
FINE = 1e-9  # a margin that rounding may leave


def survival(asked: OwnRule, seed: int = 0) -> Survival:
    """Return the margins of a rule's answers in linear memories, where the theorems are exact.

    The rule reuses two adapters, each of which edits one read and is zero in the other; its result
    is multiplied by a coefficient and added to the memory. For the sum, facts have a positive
    margin from 1/2 on and their composition from .618; for the mean of two, from twice these
    (``thm:two-read-region``). Costs a few calls of the rule.
    """
    # three blocks of entities: edited, their new answers, and untouched ones
    memory = world(np.random.default_rng([seed, 9]), size=SIZE, entities=ENTITIES, edited=EDITED)
    # an adapter of another read is there, with an update of zero: a mean still divides by two
    first, second = memory.model.edits
    added = [
        _answer(asked, memory, 0, [first, 0.0 * first]),
        _answer(asked, memory, 1, [0.0 * second, second]),
    ]
    crowd, edits = _same_read(memory)
    together = _answer(asked, memory, 0, edits)
    m, names, model = memory.edited, np.linalg.pinv(memory.values), memory.model
    x, y, keys = memory.first[:, :m], memory.second[:, m : 2 * m], memory.first[:, : len(crowd)]

    def _margins(c: float) -> dict[str, float]:
        def _read(hop: int, keys: np.ndarray) -> np.ndarray:
            return np.asarray(model.memories[hop] @ keys + c * added[hop](keys))

        both = _read(1, model.bridges[0] @ _read(0, x))
        one_read = names @ (model.memories[0] @ keys + c * together(keys))
        return {
            "hop_1": margin(names @ _read(0, x), m + np.arange(m)),
            "hop_2": margin(_read(1, y), 2 * m + np.arange(m)),
            "two_hop": margin(both, 2 * m + np.arange(m)),
            "same_read": margin(one_read, crowd),
        }

    # beyond 3 no rule of two adapters starts to work: the mean of two needs 1.24
    grid = [TOP * step / STEPS for step in range(STEPS + 1)]
    curve = tuple({"coefficient": c, **_margins(c)} for c in grid)
    kinds = [kind for kind in curve[0] if kind != "coefficient"]
    return Survival(curve, {kind: _start(curve, kind, _margins) for kind in kinds})


def _answer(
    asked: OwnRule, memory: World, hop: int, updates: Sequence[LowRank]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what the rule, given the updates of one read, adds at the keys, which are columns."""
    if asked.form == "merge":
        # one call serves all coefficients, which multiply the result
        merged = asked.merge(updates, [1.0] * len(updates))
        return lambda keys: merged @ keys
    # a base feeds this read the keys of unedited entities, and noise
    rng = np.random.default_rng([hop, 10])
    keys = (memory.first, memory.second)[hop][:, 2 * memory.edited :]
    chosen = keys[:, rng.integers(0, keys.shape[1], 512)]
    router = asked.route(updates, (chosen + 0.1 * rng.standard_normal(chosen.shape)).T)

    def _routed(keys: np.ndarray) -> np.ndarray:
        weights = router.weights(keys.T)
        parts = [w * (low @ keys) for w, low in zip(weights.T, updates, strict=True)]
        return np.asarray(sum(parts))

    return _routed


def _same_read(memory: World) -> tuple[np.ndarray, list[LowRank]]:
    """Return a read's new values for its first 2 m entities, and two adapters that edit m each."""
    m = memory.edited
    # a shift within other entities, so that no new answer is an old one of its entity
    targets = (np.arange(2 * m) + 3) % (2 * m) + 2 * m
    change = memory.values[:, targets] - memory.values[:, : 2 * m]
    edits = []
    for part in (slice(0, m), slice(m, 2 * m)):
        values = np.zeros_like(memory.values)
        values[:, part] = change[:, part]
        low = interpolating(memory.first, values)
        edits.append(LowRank(low.up[:, part], low.down[part]))
    return targets, edits


def _start(
    curve: Sequence[dict[str, float]], kind: str, margins: Callable[[float], dict[str, float]]
) -> float | None:
    """Return the coefficient at which the margin becomes positive, found by bisection."""
    after = next((i for i, row in enumerate(curve) if row[kind] > FINE), None)
    if after is None or after == 0:
        return None if after is None else 0.0
    # the grid brackets the first sign change; bisection gives the digits
    low, high = (curve[i]["coefficient"] for i in (after - 1, after))
    return float(bisect(lambda c: margins(c)[kind] - FINE, low, high))
