"""Evaluate a method: algebraic laws, linear memories, and optionally a language model."""

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
    """The result of one algebraic law on random cases.

    `holds` is whether the method obeys the law on all cases, `gap` the largest relative violation,
    and `seed` the seed of the counterexample, or None.
    """

    name: str
    meaning: str
    holds: bool
    gap: float
    seed: int | None


@dataclass(frozen=True)
class Survival:
    """Margins of the new answers along a `curve` of coefficients, and where they become positive.

    The margins are of each single fact (``hop_1``, ``hop_2``) and of their composition
    (``two_hop``). `starts` maps each name to the least coefficient with a positive margin, or None.
    """

    curve: tuple[dict[str, float], ...]
    starts: dict[str, float | None]


# relative gap that rounding may leave
HOLDS = 1e-9
DRAWS = 4
COUNT, RANK, SHAPE, TOKENS = 3, 2, (9, 8), 64


def laws(rule: OwnRule, draws: int = DRAWS) -> list[Law]:
    """Test the laws of a method: `loratheory.adapters.LAWS` for a merge, `ROUTING` for a router.

    Each law is tested on up to `draws` random cases of 9×8 updates, up to a counterexample.
    ValueError if `draws` is below 1.
    """
    if draws < 1:
        message = f"draws is {draws}, which checks nothing: give 1 or more"
        raise ValueError(message)
    merge = rule.form == "merge"
    # a router has no merged update: its laws are about its weights at tokens
    table: Mapping[str, Callable[..., float]] = LAWS if merge else ROUTING
    tried = []
    for name, law in table.items():
        meaning, gap, seed = " ".join((law.__doc__ or "").split()), 0.0, 0
        # written so that NaN is a violation too
        while gap <= HOLDS and seed < draws:
            found = _violation(rule, name, seed) if merge else law(Routed(rule, seed))
            gap, seed = max(found, gap), seed + 1
        holds = gap <= HOLDS
        tried.append(Law(name, meaning, holds=holds, gap=gap, seed=None if holds else seed - 1))
    return tried


def _violation(rule: OwnRule, law: str, seed: int) -> float:
    """Return the relative violation of a law by a merge on the case of a seed."""

    def _rule(updates: Any, weights: Any, _: Any) -> LowRank:
        return rule.merge(updates, weights)

    # the user does not declare a mean or a sum: both count as exact, by the name of such a method
    gaps = []
    for name in ("factor-mean", "mean", "sum") if law == "exact" else ("sum",):
        method = Method(name, _rule, "", "", "", options=frozenset({"weights"}))
        gaps.append(LAWS[law](LawCase(method, "full", seed)))
    return min(gaps)


class Routed:
    """One case for a router: updates, the module's activations on the base, and tokens `x`."""

    def __init__(self, rule: OwnRule, seed: int) -> None:
        draw, (m, n) = np.random.default_rng([seed, 7]).standard_normal, SHAPE
        self.updates = [LowRank(draw((m, RANK)), draw((RANK, n))) for _ in range(COUNT)]
        self.base, self.x = draw((4 * TOKENS, n)), draw((TOKENS, n))
        self.rule, self.seed, self.weigh = rule, seed, rule.route(self.updates, self.base)

    def differ(self, updates: Sequence[LowRank], order: int = 1) -> float:
        """Return the largest change of weights if the router gets these updates in this order."""
        return _agree(self.weigh(self.x), self.rule.route(updates, self.base)(self.x)[:, ::order])


def _agree(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference of weights, without two tokens that rounding may decide."""
    return float(np.sort(np.abs(one - other).max(axis=1))[:-2].max())


def gauge(case: Routed) -> float:
    """Weights stay the same where the factors (B, A) of an update become (BG, G^-1 A)."""
    rng = np.random.default_rng([case.seed, 8])
    # factors are not unique: a method that depends on G depends on how the file was written
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
class Memory:
    """A linear memory of facts ``x -> y`` and ``y -> z``, and two edits of these facts.

    The first read has the random keys `first`, one for each x, and writes the `values` of the y;
    the second read has the keys `second`, one for each y. The base facts are ``x_i -> y_i`` and
    ``y_i -> z_i``. With ``m = edited`` and ``i < m``, edit 1 states ``x_i -> y_(i+m)``, and edit 2
    states ``y_(i+m) -> z_(i+2m)``. The old bridges keep their facts.
    """

    model: LinearChain
    values: np.ndarray
    first: np.ndarray
    second: np.ndarray
    edited: int


def draw_memory(rng: np.random.Generator, *, size: int, entities: int, edited: int) -> Memory:
    """Draw entities and edits; the memories are exact if ``size >= entities >= 3 * edited``."""
    first, second, values = rng.standard_normal((3, size, entities))
    identity, (new_y, new_z) = np.eye(entities), np.tile(np.arange(entities), (2, 1))
    new_y[:edited] += edited
    new_z[edited : 2 * edited] += edited
    hops = (Hop(first, values, values[:, new_y]), Hop(second, identity, identity[:, new_z]))
    return Memory(chain(hops, (values,)), values, first, second, edited)


def margin(logits: np.ndarray, answers: np.ndarray) -> float:
    """Return the least margin, over the columns, of the column's answer over all other answers."""
    rest, columns = logits.copy(), np.arange(logits.shape[1])
    rest[answers, columns] = -np.inf
    return float(np.min(logits[answers, columns] - rest.max(axis=0)))


TOP, STEPS = 3.0, 60
SIZE, ENTITIES, EDITED = 32, 12, 3
# a margin that rounding may leave
FINE = 1e-9


def survival(rule: OwnRule, seed: int = 0) -> Survival:
    """Return the margins of a method's answers in a linear memory, where the theorems are exact.

    The method combines two adapters, each of which edits one read and is zero in the other read.
    Its result is multiplied by a coefficient and added to the memory. For the sum, facts have a
    positive margin from coefficient 0.5 on and their composition from 0.618 on; for the mean of
    two, from twice these coefficients (``thm:two-read-region``). The cost is a few calls.
    """
    # three blocks of entities: edited entities, their new answers, unedited entities
    memory = draw_memory(
        np.random.default_rng([seed, 9]), size=SIZE, entities=ENTITIES, edited=EDITED
    )
    model, m, names = memory.model, memory.edited, np.linalg.pinv(memory.values)
    # the adapter of the other read has an update of zero, so that a mean divides by two
    first, second = model.edits
    hop_1 = _answer(rule, memory, 0, [first, 0.0 * first])
    hop_2 = _answer(rule, memory, 1, [0.0 * second, second])
    x, y = memory.first[:, :m], memory.second[:, m : 2 * m]
    new_y, new_z = m + np.arange(m), 2 * m + np.arange(m)

    def _margins(c: float) -> dict[str, float]:
        bridge = model.memories[0] @ x + c * hop_1(x)
        states = model.bridges[0] @ bridge
        both = model.memories[1] @ states + c * hop_2(states)
        return {
            "hop_1": margin(names @ bridge, new_y),
            "hop_2": margin(model.memories[1] @ y + c * hop_2(y), new_z),
            "two_hop": margin(both, new_z),
        }

    # up to 3, because the mean of two adapters needs a coefficient of 1.24
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
    rule: OwnRule, memory: Memory, hop: int, updates: Sequence[LowRank]
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from keys, as columns, to the method's output for one read's updates."""
    if rule.form == "merge":
        # one call serves all coefficients, which multiply the result
        merged = rule.merge(updates, [1.0] * len(updates))
        return lambda keys: merged @ keys
    # the base activations of a read are the keys of unedited entities with noise
    rng = np.random.default_rng([hop, 10])
    keys = (memory.first, memory.second)[hop][:, 2 * memory.edited :]
    chosen = keys[:, rng.integers(0, keys.shape[1], 512)]
    weigh = rule.route(updates, (chosen + 0.1 * rng.standard_normal(chosen.shape)).T)

    def _routed(keys: np.ndarray) -> np.ndarray:
        outputs = np.stack([low @ keys for low in updates])
        return np.einsum("tk,kmt->mt", weigh(keys.T), outputs)

    return _routed


@dataclass(frozen=True)
class Card:
    """All results of the evaluation of a method."""

    rule: str
    form: str
    laws: list[Law]
    memories: Survival
    base: str  # the language model, empty without one
    language: list[Any]  # of `report_card.LanguageMark`


def card(
    rule: OwnRule,
    progress: Callable[[str], None] = lambda _: None,
    *,
    model: bool = False,
    all_pairs: bool = False,
    base: str | None = None,
    download: bool = False,
) -> Card:
    """Evaluate a method on laws and exact memories, and on a language model if `model`.

    Parameters
    ----------
    rule : OwnRule
        The method.
    progress : callable
        Is called with a line of text before each step.
    model : bool
        Whether to evaluate on a language model, with all known methods. Costs minutes, and the
        training of the adapters the first time.
    all_pairs : bool
        Whether to evaluate all pairs of twelve adapters there, half an hour to train once.
    base : str, optional
        The language model, as `load_model` takes it; by default SmolLM2-135M-Instruct.
    download : bool
        Whether `base` may be fetched from the hub.

    Raises
    ------
    RuleError
        If the method fails.
    """
    progress("laws")
    # the laws come first: a malformed method fails before any model is loaded
    obeyed = laws(rule)
    progress("exact memories")
    memories = survival(rule)
    marks, name = [], ""
    if model:
        # only here are torch and transformers needed, which an install without extras lacks
        from loratheory.evaluate.report_card import Exam, known_marks, own_marks

        exam = Exam(all_pairs=all_pairs, base=base, download=download)
        name = exam.model.name
        marks = [*known_marks(exam, progress), *own_marks(rule, exam, progress)]
    return Card(rule.name, rule.form, obeyed, memories, name, marks)
