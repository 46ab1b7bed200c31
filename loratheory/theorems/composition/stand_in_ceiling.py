r"""Stand-in ceiling: the accuracy of an adapter that ignores which partner is active.

**Statement.** Each training example has an entity and an active stand-in, and the adapter sees the
entity and one of at most k signals from the stand-in. Let w_e be the frequency of entity e, and let
π_e1 ≥ π_e2 ≥ … be the frequencies of the right answers for e over the stand-ins. The adapter's
accuracy on these examples is at most Σ_e w_e (π_e1 + … + π_ek), and some signals and adapter attain
this.

Entity :math:`e` occurs in training examples with frequency :math:`w_e`. Stand-in :math:`j` is
active in the examples of :math:`e` with frequency :math:`p_{j|e}`. The right answer :math:`a_{je}`
of an example is that of the two-hop question. Let :math:`\pi_e(a) = \sum_{j: a_{je} = a} p_{j|e}`
be the frequency of the answer :math:`a` for entity :math:`e`. The adapter knows the entity. It
receives one of :math:`k` signals :math:`r` from its partner, with any probabilities :math:`P(r | j,
e)`. It gives the answer :math:`a` with any probabilities :math:`q(a | r, e)`. Then its accuracy is
at most

.. math:: \sum_e w_e \sum_{i \le k} \pi_e^{(i)}, \qquad \pi_e^{(1)} \ge \pi_e^{(2)} \ge \dots

A signal that gives the rank of the right answer among the entity's :math:`k` most frequent answers
attains this bound.

**Proof.** Fix an entity :math:`e`, and let :math:`t_a = \max_j \sum_r P(r | j, e)\, q(a | r, e)`.
In an example whose right answer is :math:`a`, the adapter answers :math:`a` with probability at
most :math:`t_a`. So its accuracy at :math:`e` is at most :math:`\sum_a \pi_e(a)\, t_a`. Here
:math:`0 \le t_a \le \min(1, \sum_r q(a | r, e))`, and so :math:`\sum_a t_a \le \sum_r \sum_a q(a |
r, e) = k`. Under these constraints the sum is largest with :math:`t_a = 1` at the :math:`k` answers
of largest :math:`\pi_e(a)`. :math:`\square`

**Corollary (disagreeing stand-ins).** For every entity, s stand-ins are equally frequent in
training and lead to pairwise different two-hop answers. An adapter that distinguishes at most k ≤ s
kinds of stand-ins has an accuracy of at most k/s on the training examples. For one that ignores its
partner this is 1/s.

Each of an entity's :math:`s` answers has the frequency :math:`\pi_e = 1/s`.

**Implication.** With one stand-in, an adapter can memorise the two-hop answers without loss and
ignore its partner. With two disagreeing stand-ins, this shortcut is right on at most half of the
training examples, at a loss of at least ln 2 nats. So a smaller loss shows that the adapter uses
its partner. With s disagreeing stand-ins, the shortcut is right on at most 1/s of the examples. On
entities where the stand-ins agree, the shortcut remains.

**Scope.** The theorem does not say that the adapter uses the *bridge*. An adapter may instead
identify the active stand-in, which takes ln s nats. It can then look up each pair of stand-in and
entity in a table, without loss. This table is s times as long as a table of entities. Evaluating
unseen entities or held-out stand-ins reveals such an adapter.

References
----------
Mutually exclusive tasks, which no learner solves without the task's data: Yin et al. (arXiv
1912.03820). Balanced pairs, against answers from the question alone: Goyal et al. (arXiv
1612.00837). Shortcuts: Geirhos et al. (arXiv 2004.07780). Data processing: Cover and Thomas (2006).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from loratheory.lowrank import Array
from loratheory.shapes import Float
from loratheory.theorems._arrays import beside, largest, sum_to_one
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "upper"
SOURCE = "own; mutually exclusive tasks; the loss by Gibbs' inequality and data processing"

SIGNALS = "at most k signals from the partner"
SHARES = "signals and replies with frequencies of at least 0 that sum to one"
EQUAL = "stand-ins that are equally frequent"
DISAGREE = "stand-ins that disagree pairwise on every entity"


@dataclass(frozen=True, eq=False)
class Case:
    """Training examples of one adapter: the right answer depends on the active stand-in.

    `entities` (E) and `stand_ins` (S, E) are frequencies, the latter given the entity;
    ``answers[j][e]`` is right for entity e while stand-in j is active. The adapter distinguishes at
    most `signals` signals from its stand-in.
    """

    entities: Float[Array, " e"]
    stand_ins: Float[Array, "s e"]
    answers: tuple[tuple[int, ...], ...]
    signals: int

    @property
    def tokens(self) -> int:
        """Number of possible answers, one of which is never right."""
        return 2 + max(map(max, self.answers))

    def shares(self, entity: int) -> dict[int, float]:
        """Return the frequency of each answer given the entity, the most frequent first."""
        found: dict[int, float] = {}
        for stand_in, answers in enumerate(self.answers):
            share = float(self.stand_ins[stand_in, entity])
            found[answers[entity]] = found.get(answers[entity], 0.0) + share
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))


@dataclass(frozen=True, eq=False)
class Reader:
    """An adapter, as P(signal r | stand-in j, entity e) and its replies q(answer a | r, e)."""

    heard: Float[Array, "r s e"]
    replies: Float[Array, "r a e"]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw up to five stand-ins that agree often, sometimes or never, with any frequencies."""
    s, n, k = rng.integers((1, 1, 1), (6, size + 1, 4)).tolist()
    if rng.random() < 0.4:
        answers = _all_different(rng, s, n)
    else:
        answers = rng.integers(0, int(rng.integers(1, s + 2)), (s, n))
    sharp = float(rng.choice([0.3, 1.0, 1e6]))  # the last: equal but for a thousandth
    entities, stand_ins = rng.dirichlet([sharp] * n), rng.dirichlet([sharp] * s, n).T
    return Case(entities, stand_ins, tuple(map(tuple, answers.tolist())), k)


def _all_different(rng: np.random.Generator, s: int, n: int) -> Array:
    return rng.permuted(np.tile(np.arange(s + 2)[:, None], n), axis=0)[:s]


def bound(case: Case) -> float:
    """Return Σ_e w_e times the summed frequencies of the k most frequent answers at e."""
    right = 0.0
    for entity in range(case.entities.shape[0]):
        # each signal can serve one answer
        frequent = list(case.shares(entity).values())[: case.signals]
        right += float(case.entities[entity]) * sum(frequent)
    return right


def measure(case: Case, reader: Reader) -> float:
    """Return the probability that the reader answers an example right."""
    right, weight = 0.0, case.entities * case.stand_ins
    for j, answers in enumerate(case.answers):
        for e, answer in enumerate(answers):
            # the signal does not matter but by the reply to it
            replied = sum(reader.heard[:, j, e] * reader.replies[:, answer, e])
            right += float(weight[j, e] * replied)
    return right


def attain(case: Case) -> Reader:
    """Return a reader that hears the answer's rank among the k most frequent, and replies by it."""
    k, (s, n) = case.signals, case.stand_ins.shape
    heard, replies = np.zeros((k, s, n)), np.zeros((k, case.tokens, n))
    for e in range(n):
        ranked = list(case.shares(e))
        for j in range(s):
            rank = ranked.index(case.answers[j][e])
            # an answer that is too rare for a signal of its own goes with the most frequent
            heard[rank if rank < k else 0, j, e] = 1.0
        for rank in range(k):
            replies[rank, ranked[rank] if rank < len(ranked) else ranked[0], e] = 1.0
    return Reader(beside(case.stand_ins, heard), beside(case.stand_ins, replies))


def _any(case: Case, rng: np.random.Generator) -> Reader:
    (s, n), signals = case.stand_ins.shape, case.signals
    sharp = float(rng.choice([0.1, 1.0]))
    heard = np.moveaxis(rng.dirichlet([sharp] * signals, (s, n)), -1, 0)
    return Reader(heard, np.moveaxis(rng.dirichlet([sharp] * case.tokens, (signals, n)), -1, 1))


def rival(case: Case, rng: np.random.Generator) -> Reader:
    """Return a random reader, or the best one with a small share of a random one mixed in."""
    free, best = _any(case, rng), attain(case)
    share = 1.0 if rng.random() < 0.5 else 10.0 ** int(rng.integers(-9, 0))
    heard = (1 - share) * best.heard + share * free.heard
    return Reader(heard, (1 - share) * best.replies + share * free.replies)


def adversary(case: Case, rng: np.random.Generator) -> Reader:
    """Return the best reader found by improving replies and signals in turn."""
    best = found = _any(case, rng)
    weight = case.entities * case.stand_ins
    answers = np.array(case.answers)
    for start in range(20):
        # alternation ends in local optima: it starts anew
        if start % 5 == 0:
            found = _any(case, rng)
        # the best reply to a signal is its most frequent answer, and the other way round
        votes = np.zeros(found.replies.shape)
        for j, e in np.ndindex(answers.shape):
            votes[:, answers[j, e], e] += weight[j, e] * found.heard[:, j, e]
        replies = np.moveaxis(np.eye(case.tokens)[votes.argmax(axis=1)], -1, 1)
        right = np.stack([replies[:, a, np.arange(len(a))] for a in answers], axis=1)
        found = Reader(np.moveaxis(np.eye(case.signals)[right.argmax(axis=0)], -1, 0), replies)
        best = max(best, found, key=partial(measure, case))
    return best


def _sums(_: Case, reader: Reader) -> bool:
    return sum_to_one(reader.heard, axis=0) and sum_to_one(reader.replies, axis=1)


def _disagree(case: Case, _: Reader) -> bool:
    return all(len(set(given)) == len(given) for given in zip(*case.answers, strict=True))


ASSUMPTIONS = {SIGNALS: lambda case, reader: reader.heard.shape[0] <= case.signals, SHARES: _sums}


def _two(signals: int = 1, agreeing: int = 0, often: float = 0.5) -> Case:
    """Return two stand-ins and two entities, on the first `agreeing` of which they agree."""
    second = tuple(int(e >= agreeing) for e in range(2))
    stand_ins = np.array([[often, often], [1 - often, 1 - often]])
    return Case(np.full(2, 0.5), stand_ins, ((0, 0), second), signals)


def _two_answers() -> tuple[Case, Reader]:
    reader = attain(_two())
    return _two(), replace(reader, replies=2 * reader.replies + 0.5)


CONTROLS = (
    Control("read the partner", SIGNALS, lambda: (_two(), attain(_two(2)))),
    Control("give two answers at once", SHARES, _two_answers),
)


# Disagreement on every entity


def draw_disagreeing(rng: np.random.Generator, size: int) -> Case:
    """Draw equally frequent stand-ins that disagree pairwise on every entity."""
    case = draw(rng, size)
    even, answers = np.ones(case.stand_ins.shape), _all_different(rng, *case.stand_ins.shape)
    answered = tuple(map(tuple, answers.tolist()))
    return replace(case, stand_ins=even / len(even), answers=answered)


ASSUMPTIONS_DISAGREEING = {
    **ASSUMPTIONS,
    EQUAL: lambda case, _: largest(case.stand_ins - 1 / len(case.answers)) <= SAFETY,
    DISAGREE: _disagree,
}

CONTROLS_DISAGREEING = (
    *CONTROLS,
    Control("one acts more often", EQUAL, lambda: (_two(often=0.75), attain(_two()))),
    Control("agree about one entity", DISAGREE, lambda: (_two(agreeing=1), attain(_two(1, 1)))),
)

THEOREM: Theorem[Case, Reader] = Theorem.of(__name__)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause(
        "disagreeing stand-ins",
        "_disagreeing",
        bound=lambda case: min(1.0, case.signals / len(case.answers)),
        branch=lambda case: "some" if case.signals < len(case.answers) else "all",
    ),
)
