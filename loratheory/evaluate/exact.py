"""The report card of a rule: algebraic laws, the theorems' memories, perhaps a language model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import bisect

from loratheory.adapters import LAWS, LawCase, Method
from loratheory.evaluate.own_rule import OwnRule
from loratheory.lowrank import LowRank
from loratheory.toy import Hop, LinearChain, chain


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

    There is a margin of each fact alone (``hop_1``, ``hop_2``) and one of their composition
    (``two_hop``).
    `starts` has for each the least coefficient from which it is positive; None if it never is.
    """

    curve: tuple[dict[str, float], ...]
    starts: dict[str, float | None]


# relative gap that rounding may leave
HOLDS = 1e-9
DRAWS = 4
COUNT, RANK, SHAPE, TOKENS = 3, 2, (9, 8), 64


def laws(asked: OwnRule, draws: int = DRAWS) -> list[Law]:
    """Test the laws for a rule of its form: `loratheory.adapters.LAWS`, or those for routers.

    Each is tried on up to `draws` random cases of 9×8 updates; a counterexample ends the search.
    """
    merge = asked.form == "merge"
    # a router has no merged update: its laws are about weights of tokens
    table: Mapping[str, Callable[..., float]] = LAWS if merge else ROUTING
    tried = []
    for name, law in table.items():
        meaning, gap, seed = " ".join((law.__doc__ or "").split()), 0.0, 0
        # written so that NaN is a violation too
        while gap <= HOLDS and seed < draws:
            found = _violation(asked, name, seed) if merge else law(Routed(asked, seed))
            gap, seed = max(found, gap), seed + 1
        holds = gap <= HOLDS
        tried.append(Law(name, meaning, holds=holds, gap=gap, seed=None if holds else seed - 1))
    return tried


def _violation(asked: OwnRule, law: str, seed: int) -> float:
    """Return by how much a merge violates a law on a case."""

    def _rule(updates: Any, weights: Any, _: Any) -> LowRank:
        return asked.merge(updates, weights)

    # a user does not say whether the mean or the sum is meant: either counts as exact
    gaps = []
    for name in ("mean", "sum") if law == "exact" else ("sum",):
        method = Method(name, _rule, "", "", "", options=frozenset({"weights"}))
        gaps.append(LAWS[law](LawCase(method, "full", seed)))
    return min(gaps)


class Routed:
    """One case for a router: updates, the module's activations on the base, and tokens `x`."""

    def __init__(self, asked: OwnRule, seed: int) -> None:
        draw, (m, n) = np.random.default_rng([seed, 7]).standard_normal, SHAPE
        self.updates = [LowRank(draw((m, RANK)), draw((RANK, n))) for _ in range(COUNT)]
        self.base, self.x = draw((4 * TOKENS, n)), draw((TOKENS, n))
        self.asked, self.seed, self.weigh = asked, seed, asked.route(self.updates, self.base)

    def differ(self, updates: Sequence[LowRank], order: int = 1) -> float:
        """Return how far weights move where the router is given these updates in this order."""
        return _agree(self.weigh(self.x), self.asked.route(updates, self.base)(self.x)[:, ::order])


def _agree(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference of weights, except at a few tokens where rounding decides."""
    return float(np.sort(np.abs(one - other).max(axis=1))[:-2].max())


def gauge(case: Routed) -> float:
    """Weights stay the same where the factors (B, A) of an update become (BG, G^-1 A)."""
    rng = np.random.default_rng([case.seed, 8])
    # factors are not unique: a method that sees G depends on how the file was written
    return case.differ(
        [low.regauged(np.eye(RANK) + rng.random((RANK, RANK))) for low in case.updates]
    )


def permutation(case: Routed) -> float:
    """Each adapter has the same weight where the adapters come in another order."""
    return case.differ(case.updates[::-1], order=-1)


def repeatable(case: Routed) -> float:
    """The weights at a token do not depend on the other tokens of the batch."""
    parts = list(map(case.weigh, np.split(case.x, 2)))
    return _agree(case.weigh(case.x), np.concatenate(parts))


def token_scale(case: Routed) -> float:
    """Weights do not change where a token is multiplied by a positive number."""
    return float(np.abs(case.weigh(case.x) - case.weigh(3.0 * case.x)).max())


def shares(case: Routed) -> float:
    """Weights are convex: at each token none is negative, and they add up to 1."""
    weights = case.weigh(case.x)
    return float(max(np.abs(weights.sum(axis=1) - 1).max(), -weights.min()))


ROUTING = {
    law.__name__.replace("_", " "): law
    for law in (gauge, permutation, repeatable, token_scale, shares)
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


def world(rng: np.random.Generator, *, size: int, entities: int, edited: int) -> World:
    """Draw entities and edits; the memories are exact if ``size >= entities >= 3 * edited``."""
    first, second, values = rng.standard_normal((3, size, entities))
    identity, (new_y, new_z) = np.eye(entities), np.tile(np.arange(entities), (2, 1))
    new_y[:edited] += edited
    new_z[edited : 2 * edited] += edited
    hops = (Hop(first, values, values[:, new_y]), Hop(second, identity, identity[:, new_z]))
    return World(chain(hops, (values,)), values, first, second, edited)


def margin(logits: np.ndarray, answers: np.ndarray) -> float:
    """Return the least margin, over the columns, of the column's answer over all others."""
    rest, columns = logits.copy(), np.arange(logits.shape[1])
    rest[answers, columns] = -np.inf
    return float(np.min(logits[answers, columns] - rest.max(axis=0)))


TOP, STEPS = 3.0, 60
SIZE, ENTITIES, EDITED = 32, 12, 3
# a margin that rounding may leave
FINE = 1e-9


def survival(asked: OwnRule, seed: int = 0) -> Survival:
    """Return the margins of a rule's answers in linear memories, where the theorems are exact.

    The rule reuses two adapters, each of which edits one read and is zero in the other; its result
    is multiplied by a coefficient and added to the memory. For the sum, facts have a positive
    margin from 1/2 on and their composition from .618; for the mean of two, from twice these
    (``thm:two-read-region``). Costs a few calls of the rule.
    """
    # three blocks of entities: edited, their new answers, and untouched ones
    memory = world(np.random.default_rng([seed, 9]), size=SIZE, entities=ENTITIES, edited=EDITED)
    model, m, names = memory.model, memory.edited, np.linalg.pinv(memory.values)
    # an adapter of another read is there, with an update of zero: a mean still divides by two
    first, second = model.edits
    hop_1 = _answer(asked, memory, 0, [first, 0.0 * first])
    hop_2 = _answer(asked, memory, 1, [0.0 * second, second])
    x, y = memory.first[:, :m], memory.second[:, m : 2 * m]
    new_y, new_z = m + np.arange(m), 2 * m + np.arange(m)

    def _margins(c: float) -> dict[str, float]:
        bridge = model.memories[0] @ x + c * hop_1(x)
        asked_both = model.bridges[0] @ bridge
        both = model.memories[1] @ asked_both + c * hop_2(asked_both)
        return {
            "hop_1": margin(names @ bridge, new_y),
            "hop_2": margin(model.memories[1] @ y + c * hop_2(y), new_z),
            "two_hop": margin(both, new_z),
        }

    # beyond 3 no rule of two adapters starts to work: the mean of two needs 1.24
    grid = (np.arange(STEPS + 1) * TOP / STEPS).tolist()
    curve = list(map(_margins, grid))
    starts = {}
    for kind in curve[0]:
        after = next((i for i, row in enumerate(curve) if row[kind] > FINE), None)
        starts[kind] = None if after is None else grid[after]
        if after:
            # the grid brackets the first sign change; bisection gives the digits
            ends = grid[after - 1 : after + 1]
            starts[kind] = float(bisect(lambda c, kind=kind: _margins(c)[kind] - FINE, *ends))
    rows = [{"coefficient": c, **row} for c, row in zip(grid, curve, strict=True)]
    return Survival(tuple(rows), starts)


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
    weigh = asked.route(updates, (chosen + 0.1 * rng.standard_normal(chosen.shape)).T)

    def _routed(keys: np.ndarray) -> np.ndarray:
        outputs = np.stack([low @ keys for low in updates])
        return np.einsum("tk,kmt->mt", weigh(keys.T), outputs)

    return _routed


@dataclass(frozen=True)
class Card:
    """Everything that an evaluation found out about a method."""

    rule: str
    form: str
    laws: list[Law]
    memories: Survival
    language: list[Any]  # of `report_card.LanguageMark`


def card(
    asked: OwnRule,
    progress: Callable[[str], None] = lambda _: None,
    *,
    model: bool = False,
    all_pairs: bool = False,
) -> Card:
    """Evaluate a method on laws and exact memories, and on a language model if `model`.

    Parameters
    ----------
    asked : OwnRule
        The method.
    progress : callable
        Is called with a line of text before each step.
    model : bool
        Whether to evaluate on SmolLM2-135M-Instruct, with all known methods. Costs minutes, and
        the training of the adapters the first time.
    all_pairs : bool
        Whether to evaluate all pairs of twelve adapters there, half an hour to train once.

    Raises
    ------
    RuleError
        If the method fails.
    """
    progress("laws")
    # cheapest first: a malformed method is refused before any model is loaded
    obeyed = laws(asked)
    progress("exact memories")
    memories = survival(asked)
    marks = []
    if model:
        # only here are torch and transformers needed, which a plain install lacks
        from loratheory.evaluate.report_card import Exam, known_marks, own_marks

        exam = Exam(all_pairs=all_pairs)
        marks = [*known_marks(exam, progress), *own_marks(asked, exam, progress)]
    return Card(asked.name, asked.form, obeyed, memories, marks)
