r"""Context composition: two layers of attention compose functions that the prompt spells out.

**Statement.** Two layers of one softmax head of sharpness β each give the composition of any two
functions on n things that the prompt lists in orthonormal codes at least the share e^(βa)/(e^(βa) +
e^(β(n−1)b) + 2n − 2), where b = 1/(e^β + 2n − 1) and a = e^β b.

A prompt lists the pairs :math:`(i, f(i))` and :math:`(j, g(j))` of two functions on :math:`n \ge
2` things, coded by orthonormal vectors, and asks for :math:`g(f(x))`. Two heads of sharpness
:math:`\beta` look up :math:`x` among the first entries of all :math:`2n` pairs and then what they
read. For **all** functions and subjects the answer's share is at least

.. math::
    \frac{e^{\beta a}}{e^{\beta a} + e^{\beta (n - 1) b} + 2n - 2}, \qquad
    a = \frac{e^\beta}{e^\beta + 2n - 1}, \quad b = \frac1{e^\beta + 2n - 1},

attained where all other things have one image and :math:`g` tells it from :math:`f(x)`: more than
half from a sharpness of order :math:`\log n` on.

**Proof.** The first head puts :math:`a` on the pair of :math:`x` and :math:`b` on the others, so
its output has the coordinates :math:`v_{f(x)} \ge a` and :math:`\sum_{j \ne f(x)} v_j \le (n-1) b`
among second keys. The second gives the pair of :math:`f(x)` :math:`e^{\beta v_{f(x)}} / (\sum_j
e^{\beta v_j} + n)`. A sum of exponentials is convex: over nonnegative :math:`v_j` of given sum it
is largest with all of it in one; moving mass from there to :math:`f(x)` only helps. At
:math:`e^\beta = 8 n^2` the first term is at least :math:`8 n^2 (8 n^2)^{-1/4n} > 5 n^2`, the other
two are less than :math:`2n`. :math:`\square`

**What it tells someone who merges adapters.** Nothing about adapters: it is the contrast. A failure
of facts in merged weights is not a failure of attention to look up twice.

**What it does not say.** Its facts are in the prompt; ``thm:single-read-no-go`` speaks of weights.
One layer cannot do it: Peng, Narayanan and Papadimitriou (cited, not proved here) bound its error
from below by :math:`R / (3 n \log n)`, :math:`R = n \log n - H (d + 1) p`, for :math:`H` heads of
dimension :math:`d` and :math:`p` bits.

References
----------
one layer: arXiv 2402.08164; induction heads: arXiv 2408.14332; more layers: arXiv 2412.02975.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import brentq

from loratheory.lowrank import Array, array_namespace, orthonormal
from loratheory.shapes import Float
from loratheory.theorems._arrays import is_orthonormal
from loratheory.theorems._theorem import Control, Theorem

SENSE = "lower"
KIND = "lemma"
SOURCE = "own; the one-layer bound beside it is cited"

CODES = "orthonormal codes"
LAYERS = "two layers"


@dataclass(frozen=True, eq=False)
class Case:
    """Codes of things, of images and of answers (n columns each), and attention's sharpness."""

    codes: Float[Array, "d three_n"]
    sharpness: float

    @property
    def things(self) -> int:
        """Number of things on which the functions are defined."""
        return self.codes.shape[1] // 3


@dataclass(frozen=True)
class Question:
    """Two functions as tuples of images, the subject to apply them to, and the number of layers."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    subject: int
    layers: int = 2


def least_share(things: int, sharpness: int | float) -> float:
    """Return the statement's least share of the right answer, for n `things` and sharpness β."""
    b = math.exp(-sharpness) / (1 + (2 * things - 1) * math.exp(-sharpness))
    a = 1 - (2 * things - 1) * b
    rest = math.exp(sharpness * ((things - 1) * b - a)) + (2 * things - 2) * math.exp(
        -sharpness * a
    )
    return 1 / (1 + rest)


def sharpness_needed(things: int) -> float:
    """Return the sharpness above which the right answer weighs more than half for all functions."""
    high = 4 * math.log(things) + 8
    return float(brentq(lambda beta: least_share(things, beta) - 0.5, 0, high, xtol=1e-12))


def one_layer_error(things: int, heads: int, width: int, precision: int) -> float:
    """Return the error that no single layer avoids by the cited theorem; 0 if it says nothing."""
    needed = things * math.log2(things)
    return max(0.0, needed - heads * (width + 1) * precision) / (3 * needed)


def layers_too_few(things: int, heads: int, width: int, precision: int) -> int:
    """Return the most layers that the cited theorem shows to be too few, or 0 if none."""
    size, layers = math.log(heads * width * precision), 0
    while size <= math.log(things) * 2.0 ** (-4 * (layers + 1)) and layers < 64:
        layers += 1
    return layers


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw orthonormal codes for two things or more, and a sharpness β."""
    n = int(rng.integers(2, max(size, 3) + 1))
    codes = orthonormal(rng, 3 * n + int(rng.integers(0, size + 1)), 3 * n)
    return Case(codes, float(rng.uniform(0, 4) * math.log(2 * n)))


def bound(case: Case) -> float:
    """Return the statement's least share of the right answer, for the case's n and β."""
    return least_share(case.things, case.sharpness)


def _pairs(case: Case, question: Question) -> tuple[Array, Array]:
    """Return the codes of the first and of the second entries of all listed pairs, as columns."""
    xp, n = array_namespace(case.codes), case.things
    images = [n + y for y in question.first] + [2 * n + z for z in question.second]
    return case.codes[:, : 2 * n], xp.stack([case.codes[:, i] for i in images], axis=1)


def measure(case: Case, question: Question) -> float:
    """Return the component of the last layer's output along the right answer's code."""
    keys, values = _pairs(case, question)
    xp, state = array_namespace(keys), case.codes[:, question.subject]
    for _ in range(question.layers):
        scores = case.sharpness * (keys.T @ state)
        shares = xp.exp(scores - xp.max(scores))
        state = values @ (shares / xp.sum(shares))
    answer = question.second[question.first[question.subject]]
    return float(case.codes[:, 2 * case.things + answer] @ state)


def attain(case: Case) -> Question:
    """Return the question whose answer has the least share.

    All things but the subject have one image under f, and g is the identity.
    """
    n = case.things
    return Question((0, *[1] * (n - 1)), tuple(range(n)), 0)


def rival(case: Case, rng: np.random.Generator) -> Question:
    """Return random functions and a subject, or the worst functions with one image changed."""
    n = case.things
    first, second = (tuple(f) for f in rng.integers(0, n, (2, n)).tolist())
    if rng.random() < 0.5:
        worst = attain(case)
        place, image = rng.integers(0, n, 2).tolist()
        changed = (*worst.first[:place], image, *worst.first[place + 1 :])
        return replace(worst, first=changed)
    return Question(first, second, int(rng.integers(n)))


def adversary(case: Case, rng: np.random.Generator) -> Question:
    """Return functions found by changing one image at a time while the answer's share falls."""
    n = case.things
    best = Question(tuple(rng.integers(0, n, n).tolist()), tuple(range(n)), 0)
    for place in range(n):
        for image in range(n):
            changed = (*best.first[:place], image, *best.first[place + 1 :])
            best = min(best, replace(best, first=changed), key=lambda q: measure(case, q))
    return best


ASSUMPTIONS = {
    CODES: lambda case, _: is_orthonormal(case.codes),
    LAYERS: lambda _, question: question.layers == 2,
}


def _example(mix: float = 0.0, **change: Any) -> tuple[Case, Question]:
    case = Case(np.eye(9) + mix, 6.0)
    return case, replace(attain(case), **change)


CONTROLS = (
    Control("one layer", LAYERS, partial(_example, layers=1)),
    Control("codes that are alike", CODES, partial(_example, mix=-0.11)),
)

THEOREM: Theorem[Case, Question] = Theorem.of(
    __name__,
    scale=lambda case: 1 + case.sharpness,
)
