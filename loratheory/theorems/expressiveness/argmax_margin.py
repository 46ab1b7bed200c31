r"""Argmax margin: how clearly scores of rank `r` can tell `m` tokens apart at bounded norm.

**Statement.** Each of m ≥ 2 tokens has a key and an output in the unit ball of dimension r. Let the
margin γ be the least lead of a key's own token over another token. Then γ ≤ m/(m − 1) if m ≤ r + 1,
and γ ≤ 1 otherwise. For r = 2 and m ≥ 3 even γ ≤ 1 − cos(2π/m), and for r ≤ 1 and m ≥ r + 2 even γ
≤ 0.

Let :math:`m \ge 2`, and let outputs :math:`b_1, \dots, b_m` and keys :math:`a_1, \dots, a_m` lie in
the unit ball of :math:`\mathbb{R}^r`. Key :math:`a_t` asks for token :math:`t`. Then

.. math::
    \min_{t \ne s} \langle a_t, b_t - b_s \rangle \;\le\; \begin{cases}
    m / (m - 1) & m \le r + 1 \\ 1 & r + 2 \le m \le 2r \\ 1 - \cos(2\pi/m) & r = 2,\ m \ge 3 \\
    0 & r \le 1,\ m \ge r + 2. \end{cases}

Each bound is attained, in this order by the simplex, the cross-polytope, the circle and zero keys.

**Proof.** Let :math:`\gamma` be the margin, the left side. *Simplex.* Let :math:`\beta = \sum_s
b_s`. For a fixed :math:`t` the differences :math:`b_t - b_s` add up to :math:`m b_t - \beta`. The
sum over all pairs :math:`t \ne s` is therefore bounded by :math:`m (m-1) \gamma \le \sum_t \langle
a_t, m b_t - \beta \rangle \le (m \sum_t \|m b_t - \beta\|^2)^{1/2} \le (m^3 \sum_t \|b_t\|^2)^{1/2}
\le m^2`.

*Cross-polytope.* Suppose :math:`\gamma > 0`. Any :math:`r + 2` outputs split into two sets whose
convex hulls share a point :math:`p` (Radon). Let :math:`b_t` be in the first set. Then :math:`p` is
in the hull of other outputs, so :math:`\gamma \le \langle a_t, b_t - p \rangle \le \|b_t - p\|`.
Let :math:`\lambda_t` be weights that average the first set to :math:`p`. With these weights the
squares average to :math:`\gamma^2 \le \sum \lambda_t \|b_t\|^2 - \|p\|^2 \le 1`.

*Circle.* Suppose :math:`\gamma > 0`. Then the :math:`b_t` are the corners of a convex polygon.
Number them in its order, and let the edge from :math:`b_t` to :math:`b_{t+1}` have the length
:math:`e_t` and the exterior angle at :math:`b_t` be :math:`\theta_t`. As before, :math:`\gamma` is
at most the distance from :math:`b_t` to any point of the segment between its two neighbours. Take
the point on the bisector at :math:`b_t`. Its distance is :math:`2 e_{t-1} e_t \sin(\theta_t/2) /
(e_{t-1} + e_t) \le (e_{t-1} e_t)^{1/2} \sin(\theta_t/2)`. Multiply these bounds over :math:`t`. As
:math:`\sum \theta_t = 2\pi` and :math:`\log\sin` is concave, :math:`\gamma \le \sin(\pi/m) \sum_t
e_t / m`. It remains to bound the edges. From each corner follow an outer normal of the polygon to
the unit circle. The map from a point to the nearest point of the polygon is 1-Lipschitz, and it
takes these points of the circle back to the corners. So the edges are no longer than the chords
between these points. The chords are :math:`2 \sin(g_t/2)` for angles :math:`g_t` with :math:`\sum
g_t = 2\pi`, hence :math:`\sum e_t \le 2 m \sin(\pi/m)`.

*Line.* For :math:`r = 1`, the middle one of three outputs is in the hull of the other two. For
:math:`r = 0` all outputs are equal. :math:`\square`

**Corollary (argmax rank).** If scores have rank 1, argmax without ties gives at most two different
answers. If they have rank 2, with free keys and outputs, it can give every map from inputs to
tokens.

Scores of rank 0 tie all tokens. Let :math:`S_{tj} = b_t a_j` be scores of rank 1 for token
:math:`t` and input :math:`j`. They order the tokens by :math:`b_t` where :math:`a_j > 0`, and in
the reverse order where :math:`a_j < 0`. So only the tokens with the largest and the smallest
:math:`b_t` are ever first. At rank 2, place the outputs at :math:`m` equally spaced points of the
circle, and the key of each input at the place of its answer. The answer then scores 1, and any
other token at most :math:`\cos(2\pi/m)`. A bias counts as one more rank: the scores :math:`t a_j -
t^2/2` are largest at :math:`t = a_j`, which can be any token.

**Implication.** From rank 2 on, rank alone never limits argmax decoding. Only a required margin, a
limit on norms, or fixed embeddings do. At rank 2 the largest margin is about :math:`2\pi^2/m^2`, so
a little interference overturns an answer. A margin of 1 needs rank :math:`m/2`, and no rank gives
more than :math:`m/(m-1)`.

**Scope.** For :math:`r \ge 3` and :math:`m > 2r` the largest margin is the solution of a packing
problem, and 1 is still a bound. If the outputs are *given*, a token can be an answer iff its output
is a vertex of their convex hull. Which sets of :math:`k` tokens can have the :math:`k` highest
scores depends on the sign rank.

References
----------
Radon (1921); Rankin (1955), on angles; simplex and orthoplex codes in learned classifiers:
arXiv:2310.05351, arXiv:2603.20587. Unreachable tokens: Cover (1967); Demeter et al.,
arXiv:2005.02433; Grivas et al., arXiv:2203.06462. Sign rank: Weller et al., arXiv:2508.21038.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import LowRank, array_namespace, gaussian
from loratheory.theorems._arrays import eye, harmonic_frame, perturb
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "upper"
SOURCE = "own; rests on Radon (1921); circle: folklore"

BALL = "keys and outputs in the unit ball"
RANK = "rank(scores) <= r, biases included"
SETTLED = "r <= 2 or m <= 2 r (to know the largest margin)"


@dataclass(frozen=True)
class Case:
    """Number of tokens, each the answer to a key of its own, and dimension of the vectors."""

    tokens: int
    rank: int


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw two tokens or more, and a dimension for which the largest margin is known."""
    tokens = int(rng.integers(2, size + 3))
    # ranks between are those of spherical codes, whose margins are not known
    ranks = [*range(3), *range(-(-tokens // 2), tokens + 2)]
    return Case(tokens, ranks[rng.integers(len(ranks))])


def bound(case: Case) -> float:
    """Return the statement's largest margin for the case's m tokens in dimension r."""
    m, r = case.tokens, case.rank
    # a simplex fits: all tokens are equally far from each other
    if m <= r + 1:
        return m / (m - 1)
    if r <= 1:
        return 0.0
    return 2 * float(np.sin(np.pi / m)) ** 2 if r == 2 else 1.0


def branch(case: Case) -> str:
    """Return the name of the configuration that attains the margin."""
    if case.tokens <= case.rank + 1:
        return "simplex"
    return ("origin", "origin", "circle", "cross-polytope")[min(case.rank, 3)]


def circle(answers: Sequence[int], tokens: int) -> LowRank:
    """Return scores of rank 2 that put ``answers[j]`` first in column ``j``.

    The margin over every other token is at least ``1 - cos(2 pi / tokens)``.
    """
    # neighbours on a circle are the hardest to tell apart
    angle = 2 * np.pi * np.arange(tokens) / tokens
    up = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return LowRank(up, up[np.asarray(answers, dtype=int)].T)


def simplex(tokens: int) -> LowRank:
    """Return the Gram matrix of `tokens` unit vectors at equal angles, of rank ``tokens - 1``."""
    corners = harmonic_frame(tokens, tokens - 1)
    return LowRank(corners.T, corners)


def cross_polytope(tokens: int) -> LowRank:
    """Return the Gram matrix of `tokens` unit vectors along the axes, two to each axis."""
    # two tokens at opposite ends of an axis, so that no cosine is positive
    axis, sign = np.arange(tokens) // 2, np.where(np.arange(tokens) % 2, -1.0, 1.0)
    corners = sign * (axis == np.arange(-(-tokens // 2))[:, None])
    return LowRank(corners.T, corners)


def attain(case: Case) -> LowRank:
    """Return the scores of the configuration whose margin is the bound."""
    m, r = case.tokens, case.rank
    if m <= r + 1:
        return simplex(m)
    if r <= 1:
        # on a line three tokens never all win: the best margin is 0
        return LowRank(np.zeros((m, r)), np.zeros((r, m)))
    return circle(range(m), m) if r == 2 else cross_polytope(m)


def measure(case: Case, scores: LowRank) -> float:
    """Return the least of ⟨a_t, b_t − b_s⟩ over t ≠ s, the margin of these scores."""
    xp, table = array_namespace(scores.up), scores.dense()
    margins = xp.linalg.diagonal(table)[None, :] - table
    # 9 is more than any margin in the ball
    return float(xp.min(margins + 9 * eye(table, case.tokens)))


def _into_ball(up: np.ndarray, down: np.ndarray) -> LowRank:
    rows, columns = np.linalg.norm(up, axis=1)[:, None], np.linalg.norm(down, axis=0)
    return LowRank(up / np.maximum(rows, 1), down / np.maximum(columns, 1))


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """Return scores of random vectors in the ball, or the best ones perturbed by 1e-12 to 1."""
    best, nudge = attain(case), 10.0 ** int(rng.integers(-12, 3))
    # vectors that leave the ball are scaled back into it
    keep, draw_like = float(rng.integers(2)) if nudge < 1 else 0.0, rng.standard_normal
    up, down = draw_like((case.tokens, best.width)), draw_like((best.width, case.tokens))
    return _into_ball(keep * best.up + nudge * up, keep * best.down + nudge * down)


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Return scores found by gradient ascent on a smooth minimum of the margins."""
    m = case.tokens
    up, down = rng.standard_normal((m, case.rank)), rng.standard_normal((case.rank, m))
    for step in range(400):
        margins = np.diagonal(up @ down) - up @ down + 9.0 * np.eye(m)
        # the smooth minimum sharpens as the ascent goes on
        weight = np.exp((margins.min() - margins) * (5 + step / 2))
        weight /= weight.sum()
        # the slope of a margin pulls its own pair together and pushes the other away
        slope = (np.diag(weight.sum(axis=0)) - weight) / (2 + step / 10)
        moved = _into_ball(up + slope @ down.T, down + up.T @ slope)
        up, down = moved.up, moved.down
    return LowRank(up, down)


def _in_ball(_: Case, scores: LowRank) -> bool:
    xp = array_namespace(scores.up)
    squares = xp.concat([xp.sum(scores.up**2, axis=1), xp.sum(scores.down**2, axis=0)])
    # both lengths together move a margin of 2 by less than rounding may
    return float(xp.max(squares)) <= 1 + SAFETY / 8


def _longer(factor: float) -> tuple[Case, LowRank]:
    best = simplex(3)
    return Case(3, 2), LowRank(factor * best.up, factor * best.down)


ASSUMPTIONS = {
    RANK: lambda case, scores: scores.width <= case.rank,
    BALL: _in_ball,
    SETTLED: lambda case, _: case.rank <= 2 or case.tokens <= 2 * case.rank,
}

CONTROLS = (
    Control("keys and outputs a little too long", BALL, lambda: _longer(1 + 4.9e-13)),
    Control("a triangle where a line is allowed", RANK, lambda: (Case(3, 1), simplex(3))),
    Control(
        "a heptagon in space", SETTLED, lambda: (Case(7, 3), circle(range(7), 7)), fails="tight"
    ),
)


# How many answers there are at all


@dataclass(frozen=True)
class Answers:
    """Number of tokens, the token that each input asks for, and the rank of the scores."""

    tokens: int
    wanted: tuple[int, ...]
    rank: int


def draw_answers(rng: np.random.Generator, size: int) -> Answers:
    """Draw at least two tokens, any map from at least one input to them, and rank 0 to 3."""
    tokens, inputs = int(rng.integers(2, 2 * size)), int(rng.integers(1, 2 * size))
    wanted = rng.integers(0, tokens, inputs).tolist()
    return Answers(tokens, tuple(wanted), int(rng.integers(0, 4)))


def bound_answers(case: Answers) -> float:
    """Return how many of the tokens asked for scores of the case's rank can answer at most."""
    return float(min(len(set(case.wanted)), 2 * case.rank if case.rank < 2 else case.tokens))


def attain_answers(case: Answers) -> LowRank:
    """Return scores that answer with every token asked for or, at rank 1, with two of them."""
    if case.rank >= 2:
        return circle(case.wanted, case.tokens)
    # scores of rank 1 have one sign pattern and its opposite: two tokens at most
    first = case.wanted[0]
    other = next((t for t in case.wanted if t != first), (first + 1) % case.tokens)
    up, signs = np.zeros((case.tokens, 1)), [1.0 if t == first else -1.0 for t in case.wanted]
    up[[first, other], 0] = 1.0, -1.0
    return LowRank(up[:, : case.rank], np.array([signs])[: case.rank, :])


def answers_of(scores: LowRank) -> list[int | None]:
    """Return for each input the token with the strictly highest score; None at a tie."""
    xp, table = array_namespace(scores.up), scores.dense()
    first = xp.count_nonzero(table == xp.max(table, axis=0), axis=0) == 1
    best = xp.argmax(table, axis=0)
    return [int(best[j]) if bool(first[j]) else None for j in range(table.shape[1])]


def measure_answers(case: Answers, scores: LowRank) -> float:
    """Count the tokens that score strictly highest on some input that asks for them."""
    pairs = zip(answers_of(scores), case.wanted, strict=True)
    return float(len({answer for answer, wanted in pairs if answer == wanted}))


def rival_answers(case: Answers, rng: np.random.Generator) -> LowRank:
    """Return random scores of the case's rank, or those of the construction perturbed."""
    return perturb(rng, attain_answers(case), case.rank)


def adversary_answers(case: Answers, rng: np.random.Generator) -> LowRank:
    """Return scores trained by the perceptron rule to give each input the token it asks for."""
    scores = gaussian(rng, case.tokens, len(case.wanted), case.rank)
    up, down = scores.up.copy(), scores.down.copy()
    for step in range(300):
        j = step % len(case.wanted)
        wanted, first = case.wanted[j], int(np.argmax(up @ down[:, j]))
        if wanted != first:
            # the perceptron moves both vectors towards the answer and away from the winner
            pull = up[wanted] - up[first]
            up[wanted], up[first] = up[wanted] + 0.1 * down[:, j], up[first] - 0.1 * down[:, j]
            down[:, j] += 0.1 * pull
    return LowRank(up, down)


def _with_bias() -> tuple[Answers, LowRank]:
    token = np.arange(4.0)  # t a - t^2/2 is largest at t = a: every token is first somewhere
    scores = LowRank(np.stack([token, -(token**2) / 2], axis=1), np.stack([token, np.ones(4)]))
    return Answers(4, (0, 1, 2, 3), rank=1), scores


ASSUMPTIONS_ANSWERS = {RANK: ASSUMPTIONS[RANK]}

CONTROLS_ANSWERS = (Control("add a bias to scores of rank 1", RANK, _with_bias),)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)

CLAUSES: tuple[Theorem[Answers, LowRank], ...] = (THEOREM.clause("argmax rank", "_answers"),)
