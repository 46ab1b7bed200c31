r"""Unselective success: a single-fact test that a sum in one read passes without composing.

**Statement.** Refuted: the sum of two single-fact adapters in one read never gives the composed
answer. Over a neutral base and ReLU keys it does, and gives it on every other subject's prompt.

*Refuted claim:* in a one-layer model the sum of an adapter for one fact :math:`x \mapsto y` and
one for :math:`y \mapsto z` never makes :math:`z` the answer to the two-hop prompt. With keys after
a ReLU and a base that prefers no answer, the least-norm edits :math:`\Delta_i = u_i k_i^\top /
\|k_i\|^2` obey

.. math::
    (\Delta_1 + \Delta_2)\, q = \frac{\langle k_1, q\rangle}{\|k_1\|^2}\, u_1
                              + \frac{\langle k_2, q\rangle}{\|k_2\|^2}\, u_2,

and :math:`z` leads all answers by :math:`\langle k_2, q\rangle / \|k_2\|^2 > 0` wherever a unit is
active in both keys: on the right prompt and on those of **all other subjects**. The lead knows
nothing of :math:`y`: for random embeddings it tends, as the layer gets wide, to

.. math:: \sqrt{3/2}\; \kappa(1/\sqrt6) = 0.673, \qquad
          \pi \kappa(\rho) = \sqrt{1 - \rho^2} + \rho\,(\pi - \arccos\rho),

whoever the bridge and the subject are. A test of composition needs two or more edited facts a hop
and answers permuted among them: there the average accuracy is :math:`1/n` at most
(``thm:single-read-no-go``), and answers that swap places cancel in the limit.

**Proof.** The identity is linearity. ReLU keys are not negative, so a common active unit makes the
inner product positive; :math:`u_2` writes :math:`z` alone, :math:`u_1` only bridge entities. For
the limit the inputs of both keys share the relation's part: squared norms 2 and 3, inner product 1
(in units of the dimension, to leading order); :math:`\langle k_2, q\rangle / \|k_2\|^2` tends to
the ratio of arc-cosine kernels, :math:`\sqrt3 \sqrt2\, \kappa(1/\sqrt6) / 2`. :math:`\square`

**What it tells someone who merges adapters.** Never test composition with one fact a hop: a sum
passes without composing. Use several facts a hop, and answers permuted among them.

**What it does not say.** A base that knows old two-hop answers keeps them where their margin
exceeds 0.673. Nothing here is the published theorem, which says that the composed answer does not
result; it is one way of testing that theorem that must not be used.

References
----------
Chen, Hoang, Hahn, Sarfraz (arXiv 2506.13479);
arc-cosine kernel: Cho and Saul (2009).
"""

import math
from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._theorem import Theorem
from loratheory.toy import Merge, interpolating, relu_keys

SENSE = "upper"
STATUS = "refuted"
SOURCE = "own"
USES = ("thm:single-read-no-go",)

NEUTRAL = "a base that prefers no answer on the prompt"
ADDED = "the sum of the two adapters"


@dataclass(frozen=True, eq=False)
class Case:
    """Keys of "x r1" and "y r2", keys of two-hop prompts (the first is x's), entities, answers.

    Outputs are the bridge entities, y first, and then the answers, z first.
    """

    first: Float[Array, " d"]
    second: Float[Array, " d"]
    prompts: Float[Array, "d n"]
    entities: int
    answers: int


def limit(cosine: float = 1 / math.sqrt(6), stretch: float = math.sqrt(3 / 2)) -> float:
    """The response to a prompt in a wide ReLU layer, from angle and relative length of inputs."""
    angle = math.acos(cosine)
    return stretch * (math.sin(angle) + (math.pi - angle) * cosine) / math.pi


def draw(rng: np.random.Generator, size: int) -> Case:
    """One fact a hop among two to six subjects, a layer of more than sixty units."""
    n = int(rng.integers(2, 7))
    one, two, both = relu_keys(rng, n, 64 + int(rng.integers(0, size + 1)))
    magnitude = 10.0 ** int(rng.integers(-3, 4))
    return Case(magnitude * one[:, 0], two[:, 0], both, n, int(rng.integers(2, n + 1)))


def response(key: Array, prompts: Array) -> Array:
    """The share of a least-norm edit of one key that prompts receive."""
    return (key @ prompts) / (key @ key)


def bound(_: Case) -> float:
    """The claim: the composed answer does not lead."""
    return 0.0


def measure(case: Case, merge: Merge) -> float:
    """The margin of z over the other answers on x's two-hop prompt."""
    logits = merge.logits(case.prompts[:, 0])[case.entities :]
    return float(logits[0] - array_namespace(logits).max(logits[1:]))


def attain(case: Case) -> Merge:
    """The counterexample: an empty base and the sum of two least-norm edits."""
    xp = array_namespace(case.first)
    hot = xp.eye(case.entities + case.answers, dtype=case.first.dtype, device=case.first.device)
    y, z = hot[:, :1], hot[:, case.entities : case.entities + 1]
    edits = tuple(
        interpolating(key[:, None], value) for key, value in ((case.first, y), (case.second, z))
    )
    return Merge(LowRank(0 * y, 0 * case.first[None, :]), edits, (1.0, 1.0))


def _neutral(case: Case, merge: Merge) -> bool:
    logits = (merge.weight @ case.prompts)[case.entities :, :]
    return bool(array_namespace(logits).all(logits == logits[:1, :]))


ASSUMPTIONS = {
    NEUTRAL: _neutral,
    ADDED: lambda _, merge: merge.coefficients == (1.0, 1.0),
}

THEOREM: Theorem[Case, Merge] = Theorem.of(__name__)
