r"""Argmax rank: how many answers scores of rank `r` can give.

**Statement.** Argmax over scores of rank 1 gives at most two answers; over scores of rank 2 it
gives every map from inputs to tokens, if keys and outputs are free.

Let scores :math:`S \in \mathbb{R}^{m \times n}` of :math:`m \ge 2` tokens for :math:`n` inputs
have rank at most :math:`r`. The number of tokens that are the strict maximum of some column is at
most

.. math:: 0 \;(r = 0), \qquad \min(2, n) \;(r = 1), \qquad \min(m, n) \;(r \ge 2),

and each is attained: rank 2 realises *every* map from inputs to tokens, with margin :math:`1 -
\cos(2\pi/m)` for unit vectors.

**Proof.** Rank 0 ties all tokens. Rank 1, :math:`S_{tj} = b_t a_j`, ranks the tokens by :math:`b`
where :math:`a_j > 0`, backwards where :math:`a_j < 0`, and not at all where :math:`a_j = 0`: only
the largest and the smallest :math:`b_t` are ever first, and :math:`b = (1, -1, 0, \dots)` with both
signs of :math:`a` uses both. Rank 2: put token :math:`t` at the angle :math:`2\pi t/m` of the unit
circle and input :math:`j` at its answer's place; the answer scores 1 and any other token at most
:math:`\cos(2\pi/m) < 1`. :math:`\square`

**What it does not say.** Keys and outputs are free; with *given* outputs a token can be an answer
iff it is a vertex of their convex hull. The price of rank 2 is the margin, of order :math:`1/m^2`
(``thm:argmax-margin``). A bias counts as one more rank: :math:`t a_j - t^2/2` is first at any
:math:`t` one likes (a control). Top-:math:`k` patterns need sign rank.

**What it tells someone who merges adapters.** From rank 2 on, limits of argmax decoding are limits
of margin, norm or fixed embeddings, never of rank alone; two opposite answers are all that a
rank-one memory can give.

References
----------
Unreachable tokens: Cover (1967); Demeter et al., arXiv:2005.02433 (2020); Grivas et al.,
arXiv:2203.06462 (2022). Sign rank: Weller et al., arXiv:2508.21038 (2025).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import LowRank, array_namespace, gaussian
from loratheory.theorems._theorem import Control, Theorem

SENSE = "upper"
SOURCE = "own; circle: folklore"

RANK = "rank(scores) <= r, biases included"


@dataclass(frozen=True)
class Case:
    """How many tokens, inputs and ranks there are."""

    tokens: int
    inputs: int
    rank: int


def circle(answers: Sequence[int], tokens: int) -> LowRank:
    """Scores of rank 2 whose column ``j`` puts ``answers[j]`` first, by ``1 - cos(2 pi / m)``."""
    angle = 2 * np.pi * np.arange(tokens) / tokens
    up = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return LowRank(up, up[np.asarray(answers, dtype=int)].T)


def line(answers: Sequence[bool], tokens: int) -> LowRank:
    """Scores of rank 1: token 0 where `answers` is false, token 1 where it is true."""
    up = np.zeros((tokens, 1))
    up[:2, 0] = (1.0, -1.0)[:tokens]
    return LowRank(up, np.where(np.asarray(answers, dtype=bool), -1.0, 1.0)[None, :])


def draw(rng: np.random.Generator, size: int) -> Case:
    """At least two tokens, at least one input, rank 0 to 3."""
    tokens, inputs = int(rng.integers(2, 2 * size)), int(rng.integers(1, 2 * size))
    return Case(tokens, inputs, int(rng.integers(0, 4)))


def bound(case: Case) -> float:
    """None, two or all."""
    return float(min(case.tokens, case.inputs, (0, 2)[case.rank] if case.rank < 2 else case.tokens))


def attain(case: Case) -> LowRank:
    """Ask for the tokens in turn, on the circle or at both ends of the line."""
    if case.rank >= 2:
        return circle([j % case.tokens for j in range(case.inputs)], case.tokens)
    scores = line([j % 2 == 1 for j in range(case.inputs)], case.tokens)
    return LowRank(scores.up[:, : case.rank], scores.down[: case.rank, :])


def answers_of(scores: LowRank) -> list[int]:
    """The token that each input's scores put strictly first; inputs with a tie are left out."""
    xp, table = array_namespace(scores.up), scores.dense()
    first = xp.count_nonzero(table == xp.max(table, axis=0), axis=0) == 1
    best = xp.argmax(table, axis=0)
    return [int(best[j]) for j in range(table.shape[1]) if bool(first[j])]


def measure(case: Case, scores: LowRank) -> float:
    """How many of the case's tokens are the answer to some input."""
    return float(len(set(answers_of(scores)) & set(range(case.tokens))))


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """Random scores of that rank, or the construction nudged by 1e-12 to 1."""
    if rng.random() < 0.5:
        scale = 10.0 ** int(rng.integers(-6, 7))
        return gaussian(rng, case.tokens, case.inputs, case.rank, scale)
    best, nudge = attain(case), 10.0 ** int(rng.integers(-12, 1))
    return LowRank(best.up + nudge * rng.standard_normal(best.up.shape), best.down)


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """A perceptron that pulls each input towards its own token whenever that is not first."""
    scores = gaussian(rng, case.tokens, case.inputs, case.rank)
    up, down = scores.up.copy(), scores.down.copy()
    for step in range(300):
        j = step % case.inputs
        wanted, first = j % case.tokens, int(np.argmax(up @ down[:, j]))
        if wanted != first:
            pull = up[wanted] - up[first]
            up[wanted], up[first] = up[wanted] + 0.1 * down[:, j], up[first] - 0.1 * down[:, j]
            down[:, j] += 0.1 * pull
    return LowRank(up, down)


ASSUMPTIONS = {RANK: lambda case, scores: scores.width <= case.rank}


def _second_rank() -> tuple[Case, LowRank]:
    return Case(tokens=3, inputs=3, rank=1), circle([0, 1, 2], 3)


def _bias() -> tuple[Case, LowRank]:
    # t a - t^2/2 is largest at t = a: every token is first somewhere.
    token = np.arange(4.0)
    scores = LowRank(np.stack([token, -(token**2) / 2], axis=1), np.stack([token, np.ones(4)]))
    return Case(tokens=4, inputs=4, rank=1), scores


CONTROLS = (
    Control("spend rank 2 where 1 is allowed", RANK, _second_rank),
    Control("add a bias to scores of rank 1", RANK, _bias),
)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
