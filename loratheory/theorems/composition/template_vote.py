r"""Template vote: merged adapters vote on the next step; each fact depends on one coefficient.

**Statement.** A linear memory has linearly independent keys and, with one adapter alone, scores
each next step by the step's frequency in that adapter's training set. At one key, each of K
training sets has the same new step with frequency ρ, and the base's only habitual step with
frequency 1 − ρ. The merge of the K adapters with equal coefficients c > 0 chooses the new step iff
ρ > 1/(2Kc).

A memory solves problems step by step. Each step is decoded and then read again for the next one. At
every key the base has *habits* :math:`h`, weights on the steps that may come next, of sum 1, or all
0 where it holds nothing. Adapter :math:`j` alone gives these steps the weights :math:`\pi_j`
instead. They are the shares of the steps that its training solutions take at the key, or :math:`h`
if its solutions never pass the key. The adapters are merged with coefficients :math:`c_j` of sum
:math:`C`. Then step :math:`s` leads at the key by

.. math:: v_s - \max_{a \ne s} v_a, \qquad v = (1 - C)\,h + \sum_j c_j \pi_j,

and a problem is solved iff the right step leads at each key that its solution passes. A fact is a
key that only adapter :math:`j` was trained on. Its right step leads by :math:`2 c_j - 1` if the
base has an old fact there, and by :math:`c_j` if the base has none. Now let each adapter have
coefficient :math:`c` and take the shared step with share :math:`\rho`, as in the statement in
words. If each adapter takes one own step in all other solutions, not the base's, the shared step
wins iff :math:`\rho > \max(\frac{1 - Kc}{Kc}, \frac1{K+1})`. Finally, suppose the base has habits
at a key. Then a step that neither the adapters nor the base ever take there never leads, whatever
the coefficients. It trails by at least one over the number of other steps.

**Proof.** Least squares on demonstrations with the same key fits their mean. So an adapter's update
changes the weights at this key by :math:`\pi_j - h`. A memory is linear in its updates, which gives
:math:`v`. Each chosen step is decoded. So the solution goes wrong at the first key at which the
right step does not lead. At a fact, :math:`v = (1 - c_j) h + c_j \pi_j`. With equal shares, the
shared step has :math:`v_s = Kc\rho`. If the other steps are the habit, the habit has :math:`1 -
Kc\rho`. If they are the adapters' own, the habit has :math:`1 - Kc` and each own step has
:math:`c(1 - \rho)`. If :math:`h_s = \pi_{js} = 0` for all :math:`j`, the weights of the other steps
sum to 1. :math:`\square`

**Implication.** Averaging keeps the steps that all training sets share (the template). It dilutes
what only one adapter was trained on (its facts). To keep the facts too, give each adapter a
coefficient above 1/2, or train the shared steps into the base.

**Scope.** Keys that are not independent interfere (``thm:perturbed-region``). If no step is decoded
between two facts, the facts need the conditions of ``thm:two-read-region``.

References
----------
Chen, Hoang, Hahn and Sarfraz (arXiv 2506.13479) claim that shared templates make reuse work.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import add_outside, condition_number
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.toy import AssociativeMemory, interpolating, miss

SENSE = "equal"
KIND = "lemma"
SOURCE = "own"
USES = ("thm:averaging-survival", "thm:clean-up-bridge")

KEYS = "linearly independent keys (condition below 1000)"
BASE = "a base that follows the habits of the case"
SHARES = "adapters that alone give what their solutions do on average"
WEIGHTS = "adapters merged with the coefficients of the case"


def overlap_needed(
    adapters: int, coefficient: int | float, rest: Literal["habit", "own"] = "habit"
) -> float:
    """Return the share of each exactly fitted adapter's solutions above which the shared step wins.

    A result of 1 or more means that it never does. `rest` says what the other solutions do: as the
    base's only habit (``"habit"``), or each adapter one own step (``"own"``). ValueError unless
    `adapters` is 1 or more and `coefficient` is positive.
    """
    if adapters < 1 or not coefficient > 0:
        message = f"{adapters} adapters with coefficient {coefficient}: give 1 or more, above 0"
        raise ValueError(message)
    # against the habit, with what the adapters leave of it, or also against one's own steps
    total = adapters * coefficient
    return 1 / (2 * total) if rest == "habit" else max((1 - total) / total, 1 / (adapters + 1))


@dataclass(frozen=True, eq=False)
class Case:
    """How often the base (`habits`) and each adapter (`shares`) take each step at each key.

    Rows are steps, the right one first; columns belong to the columns of `keys`.
    """

    keys: Float[Array, "d n"]
    habits: Float[Array, "s n"]
    shares: tuple[Float[Array, "s n"], ...]
    coefficients: tuple[float, ...]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw how often base and adapters take each step at one to three cues.

    Each adapter also has a fact of its own; coefficients are near ½, 1/K, 1, or random.
    """
    k, cues, s = rng.integers((1, 1, 2), (4, 4, 6)).tolist()
    counts = rng.integers(0, 4, (k + 1, s, cues)) * (rng.random((k + 1, s, cues)) < 0.7)
    # a cue that nothing answers gets the right step
    counts[:, 0] += counts.sum(axis=1) == 0
    # facts come beside the cues: each adapter edits its own
    old = np.tile(np.eye(s)[:, [-1]] * float(rng.random() < 0.7), k)  # all zero: no old facts
    new = [np.where(np.arange(k) == j, np.eye(s)[:, [0]], old) for j in range(k)]
    voted = counts / counts.sum(axis=1, keepdims=True)
    habits, *shares = (np.hstack(pair) for pair in zip(voted, [old, *new], strict=True))
    # a fact over an old one ties at one half
    border = 0.5 * (1 + float(rng.choice([-1, 1])) * 10.0 ** int(rng.integers(-9, 0)))
    pool = (np.full(k, border), np.full(k, 1 / k), np.ones(k), rng.uniform(-1, 2, k))
    keys = rng.standard_normal((2 * (k + cues) + size, k + cues))
    return Case(keys, habits, tuple(shares), tuple(pool[int(rng.integers(4))].tolist()))


def bound(case: Case) -> float:
    """Return the least over keys of v_s − max v_a, s being the right step and v the votes."""
    # the base votes with what the adapters leave
    votes = (1 - sum(case.coefficients)) * case.habits
    for c, shares in zip(case.coefficients, case.shares, strict=True):
        votes = votes + c * shares
    xp = array_namespace(votes)
    return float(xp.min(votes[0, :] - xp.max(votes[1:, :], axis=0)))


def attain(case: Case) -> AssociativeMemory:
    """Return memories of least norm that do at each key what base and adapters do in the case."""
    adapters = tuple(interpolating(case.keys, said - case.habits) for said in case.shares)
    return AssociativeMemory(interpolating(case.keys, case.habits), adapters, case.coefficients)


def measure(case: Case, merge: AssociativeMemory) -> float:
    """Return the least margin of the right step over all keys, in the merged memory's logits."""
    xp, logits = array_namespace(case.keys), merge.logits(case.keys)
    return float(xp.min(logits[0, :] - xp.max(logits[1:, :], axis=0)))


def condition(case: Case) -> float:
    """Return the squared condition number of the keys, which a pseudo-inverse inverts."""
    return min(condition_number(case.keys), 1e3) ** 2


def rival(case: Case, rng: np.random.Generator) -> AssociativeMemory:
    """Return memories that agree with those of `attain` at the keys and are random elsewhere."""
    exact = attain(case)
    basis, changed = np.linalg.qr(case.keys)[0], []
    for low in (exact.weight, *exact.adapters):
        size = 10.0 ** int(rng.integers(-9, 1))
        # changes that no key of the case can see
        changed.append(add_outside(rng, low, basis, size))
    return AssociativeMemory(changed[0], tuple(changed[1:]), exact.coefficients)


def _says(case: Case, low: LowRank, said: Array) -> bool:
    return miss(low, case.keys, said) <= SAFETY * condition(case)


def _alone(case: Case, merge: AssociativeMemory) -> bool:
    pairs = zip(merge.adapters, case.shares, strict=True)
    return all(_says(case, merge.weight + low, said) for low, said in pairs)


ASSUMPTIONS = {
    KEYS: lambda case, _: condition(case) < 1e6,
    BASE: lambda case, merge: _says(case, merge.weight, case.habits),
    SHARES: _alone,
    WEIGHTS: lambda case, merge: merge.coefficients == case.coefficients,
}


def _example(repeat: bool = False, **change: Any) -> tuple[Case, AssociativeMemory]:
    """Return two adapters that take a shared step in 3/4 of their solutions, and a fact of one."""
    keys = np.random.default_rng(0).standard_normal((6, 2))
    # column 0 is the shared cue, column 1 the fact of the first adapter
    keys[:, 1] = keys[:, 0] if repeat else keys[:, 1]
    habits = np.array([[0.0, 0.0], [1.0, 1.0]])
    shares = (np.array([[0.75, 1.0], [0.25, 0.0]]), np.array([[0.75, 0.0], [0.25, 1.0]]))
    case = Case(keys, habits, shares, (0.8, 0.8))
    return case, replace(attain(case), **change)


_MERGE = _example()[1]
_TWICE = _MERGE.adapters[1:] * 2

CONTROLS = (
    Control("ask for a fact by the key of a cue", KEYS, partial(_example, repeat=True)),
    Control("merge onto nothing", BASE, partial(_example, weight=0 * _MERGE.weight)),
    Control("merge the adapter without the fact twice", SHARES, partial(_example, adapters=_TWICE)),
    Control("average instead", WEIGHTS, partial(_example, coefficients=(0.5, 0.5))),
)

COMPUTE = (overlap_needed,)

THEOREM: Theorem[Case, AssociativeMemory] = Theorem.of(
    __name__,
    # the largest votes that meet in a difference
    scale=lambda case: 2 + 4 * sum(map(abs, case.coefficients)),
)
