"""Laws that a merge or a router may obey, each decided by looking for a counterexample."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from loratheory.adapters import LAWS, LawCase, Method
from loratheory.experiments.evaluate._rule import Asked
from loratheory.lowrank import LowRank

HOLDS = 1e-9  # relative gap that rounding may leave
DRAWS = 4
COUNT, RANK, SHAPE, TOKENS = 3, 2, (9, 8), 64


@dataclass(frozen=True)
class Law:
    """One law, held or broken.

    Attributes
    ----------
    name, meaning : str
        In a word, and in full.
    holds : bool
        Whether no draw broke it.
    gap : float
        Largest relative gap seen.
    seed : int or None
        Of the counterexample, where there is one.
    """

    name: str
    meaning: str
    holds: bool
    gap: float
    seed: int | None


def laws(asked: Asked, draws: int = DRAWS) -> list[Law]:
    """Return the laws of a rule's form, decided on random updates.

    Parameters
    ----------
    asked : Asked
        A merge is asked for `loratheory.adapters.LAWS`, a router for `ROUTING`.
    draws : int
        Random cases a law; a counterexample ends the search.

    Returns
    -------
    list of Law
        Costs some hundred calls of the rule on 9 by 8 updates.
    """
    gaps = merging(asked) if asked.form == "merge" else routing(asked)
    return [_law(name, meaning, gap, draws) for name, (meaning, gap) in gaps.items()]


def _law(name: str, meaning: str, gap: Callable[[int], float], draws: int) -> Law:
    worst = 0.0
    for seed in range(draws):
        found = gap(seed)
        if not found <= HOLDS:
            return Law(name, meaning, holds=False, gap=found, seed=seed)
        worst = max(worst, found)
    return Law(name, meaning, holds=True, gap=worst, seed=None)


Gaps = dict[str, tuple[str, Callable[[int], float]]]


def merging(asked: Asked) -> Gaps:
    """The operator laws as functions of a seed; a rule is exact if it is the sum or the mean."""

    def _method(name: str) -> Method:
        def _rule(updates: list[LowRank], weights: list[float], _: object) -> LowRank:
            return asked.merge(updates, weights)

        return Method(name, _rule, "", "", "", options=frozenset({"weights"}))  # type: ignore[arg-type]

    def _gap(law: str, seed: int) -> float:
        names = ("mean", "sum") if law == "exact" else ("sum",)
        return min(LAWS[law](LawCase(_method(name), "full", seed)) for name in names)

    return {
        law: (" ".join((rule.__doc__ or "").split()), partial(_gap, law))
        for law, rule in LAWS.items()
    }


def routing(asked: Asked) -> Gaps:
    """Laws of routers as functions of a seed."""
    return {
        name: (rule.__doc__ or "", partial(rule, asked))
        for name, rule in {
            "gauge": gauge,
            "permutation": permutation,
            "repeatable": repeatable,
            "token scale": token_scale,
            "shares": shares,
        }.items()
    }


def _case(seed: int) -> tuple[list[LowRank], np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, 7])
    (m, n), r = SHAPE, RANK
    draw = rng.standard_normal
    updates = [LowRank(draw((m, r)), draw((r, n))) for _ in range(COUNT)]
    return updates, draw((4 * TOKENS, n)), draw((TOKENS, n))


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def gauge(asked: Asked, seed: int) -> float:
    """Other factors of the same updates, (BG, G^-1 A), change no weight."""
    updates, base, x = _case(seed)
    rng = np.random.default_rng([seed, 8])
    moved = [low.regauged(np.eye(RANK) + rng.random((RANK, RANK))) for low in updates]
    return _agree(asked.route(updates, base).weights(x), asked.route(moved, base).weights(x))


def _agree(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference over all tokens but the few that rounding may tip."""
    rows = np.sort(np.abs(one - other).max(axis=1))
    return float(rows[: len(rows) - 2].max())


def permutation(asked: Asked, seed: int) -> float:
    """Adapters in another order get their own weights, in that order."""
    updates, base, x = _case(seed)
    one, other = asked.route(updates, base), asked.route(updates[::-1], base)
    return _agree(one.weights(x), other.weights(x)[:, ::-1])


def repeatable(asked: Asked, seed: int) -> float:
    """The same tokens get the same weights, each by itself: whatever else is in the batch."""
    updates, base, x = _case(seed)
    router = asked.route(updates, base)
    parts = np.concatenate([router.weights(x[: TOKENS // 2]), router.weights(x[TOKENS // 2 :])])
    return _agree(router.weights(x), parts)


def token_scale(asked: Asked, seed: int) -> float:
    """Longer tokens in the same direction are weighed alike."""
    updates, base, x = _case(seed)
    router = asked.route(updates, base)
    return _apart(router.weights(x), router.weights(3.0 * x))


def shares(asked: Asked, seed: int) -> float:
    """Weights are shares of one: not negative, and they add up to it at every token."""
    updates, base, x = _case(seed)
    found = asked.route(updates, base).weights(x)
    return float(max(np.abs(found.sum(axis=1) - 1).max(), -found.min()))
