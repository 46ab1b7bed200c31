r"""Data-free floor: what no merge of two adapters can promise while it sees weights alone.

**Statement.** The inputs of two adapters Δ₁ and Δ₂ are arbitrary unit vectors, each from the
adapter's own subspace, and P projects on the directions that both subspaces share. A merge sees no
data. On the worst input of one of the adapters it errs by at least ½ ‖(Δ₁ − Δ₂)P‖, and some merge
attains this.

Adapters :math:`\Delta_1, \Delta_2` answer inputs :math:`x` of norm at most 1 from the subspaces
:math:`S_1, S_2`. Nothing else is known of the inputs. Let :math:`P` project on :math:`S_1 \cap
S_2`. For every merge :math:`\Delta`, linear or nonlinear, by any rule,

.. math::
    \max_i \max_{x \in S_i,\, \|x\| \le 1} \|(\Delta - \Delta_i)\, x\| \;\ge\;
    \tfrac12 \|(\Delta_1 - \Delta_2)\, P\|_2.

Equality holds at the following merge. On :math:`S_1 \cap S_2` it is the mean of both adapters. On
the orthogonal complement of :math:`S_1 \cap S_2` in :math:`S_i` it is adapter :math:`i`. On inputs
orthogonal to both :math:`S_i` it is 0. If both :math:`S_i` are the whole space, the mean is the
best merge. If they share only 0, as independent row spaces do, the floor is 0. For several
adapters, each pair gives a floor.

**Proof.** For a unit vector :math:`x \in S_1 \cap S_2` the triangle inequality gives
:math:`\|(\Delta_1 - \Delta_2) x\| \le \|(\Delta - \Delta_1) x\| + \|(\Delta - \Delta_2) x\|`. So
one of the two errors is at least half of the left side. *Attained.* Let :math:`I = S_1 \cap S_2`,
and let :math:`R_i` be its orthogonal complement in :math:`S_i`. These three spaces are independent,
as :math:`\dim I + \dim R_1 + \dim R_2 = \dim S_1 + \dim S_2 - \dim I = \dim (S_1 + S_2)`. So the
merge is well defined. Every input in :math:`S_i` has orthogonal parts in :math:`I` and in
:math:`R_i`. On the first part the merge errs by :math:`\pm\frac12 (\Delta_1 - \Delta_2)`, and on
the second it does not err. So its error is at most the floor. :math:`\square`

**Implication.** Without data, no rule avoids half the largest disagreement on shared inputs, and on
these the mean is optimal. Only knowledge of the inputs, or of the adapter to which an input
belongs, allows a smaller error.

**Scope.** If the two spaces nearly meet, the best merge has a large norm, and a little noise
outside :math:`S_i` spoils it (``thm:interpolation-price``). A router that is given the adapter of
each input is not bound by the floor. A router that sees only the input is bound by it. With data
the floor is ``thm:covariance-floor``.
"""

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, orthonormal
from loratheory.shapes import Float
from loratheory.theorems._arrays import condition_number, is_orthonormal, spectral_norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "lower"
SOURCE = "own"
USES = ("thm:interpolating-merge",)

FRAMES = "orthonormal frames of the inputs that meet in shared directions or at clear angles"
ONE = "one merged update, whichever adapter the input belongs to"
Pair = tuple[LowRank, LowRank]  # what meets the inputs of each adapter: a merge, twice
SHARED = 1e-22  # a squared sine below this is taken for rounding: the inputs are shared
CLEAR = 1e-3  # the least sine of an angle, for the construction to be computed well


@dataclass(frozen=True, eq=False)
class Case:
    """Two adapters and orthonormal frames (n, d) of the inputs that each may see."""

    updates: tuple[LowRank, LowRank]
    inputs: tuple[Float[Array, "n _"], Float[Array, "n _"]]

    @cached_property
    def spaces(self) -> tuple[Array, Array, Array]:
        """Frames of the shared inputs, of the first adapter's own and of the second's own."""
        one, two = self.inputs
        xp = array_namespace(one)
        left, _, right = xp.linalg.svd(one.T @ two, full_matrices=True)
        left, right = one @ left, two @ right.T
        most = min(int(one.shape[1]), int(two.shape[1]))
        # sines, not cosines, tell small angles apart: a cosine is 1 to rounding up to 1e-8
        off = left[:, :most] - two @ (two.T @ left[:, :most])
        shared = int(xp.count_nonzero(xp.sum(off**2, axis=0) < SHARED))
        return left[:, :shared], left[:, shared:], right[:, shared:]

    @cached_property
    def scale(self) -> float:
        """Sum of the adapters' spectral norms, in whose units rounding is measured."""
        return sum(low.spectral_norm for low in self.updates)

    @cached_property
    def condition(self) -> float:
        """Condition number of the joined frames: one over the sine of the least angle."""
        return condition_number(array_namespace(*self.inputs).concat(self.spaces, axis=1))


def merge(case: Case) -> LowRank:
    """Return the minimax merge: the mean on shared inputs, each adapter on its own, else 0."""
    (one, two), (shared, first, second) = case.updates, case.spaces
    xp = array_namespace(shared)
    answers = xp.concat([(one @ shared + two @ shared) / 2, one @ first, two @ second], axis=1)
    return LowRank(answers, xp.linalg.pinv(xp.concat([shared, first, second], axis=1), rtol=None))


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw adapters of any size whose inputs share no direction, some or all."""
    n, m = int(rng.integers(2, size + 3)), int(rng.integers(1, size + 1))
    # none, all, or some of the inputs are shared
    shared = int(rng.choice([0, n, int(rng.integers(0, n + 1))]))
    least = int(shared == 0)  # each adapter sees some input
    first = int(rng.integers(least, n - shared - least + 1))
    second = int(rng.integers(least, n - shared - first + 1))
    frame = orthonormal(rng, n, shared + first + second)
    left, own = frame[:, : shared + first], frame[:, shared + first :]
    # own inputs at an angle to each other: no direction in common
    tilt, both = float(rng.uniform(0.1, 1.0)), min(first, second)
    own[:, :both] = tilt * own[:, :both] + (1 - tilt**2) ** 0.5 * left[:, shared:][:, :both]
    right = np.concatenate([frame[:, :shared], own], axis=1)
    inputs = _mixed(rng, left), _mixed(rng, right)
    magnitude, spread = 10.0 ** int(rng.integers(-6, 7)), float(rng.choice([1e-8, 1.0]))
    base, one, two = (gaussian(rng, m, n, min(m, n), magnitude) for _ in range(3))
    return Case((base + spread * one, base + spread * two), inputs)


def _mixed(rng: np.random.Generator, frame: Array) -> Array:
    return frame @ orthonormal(rng, frame.shape[1], frame.shape[1])


def bound(case: Case) -> float:
    """Return ½‖(Δ₁ − Δ₂)P‖₂: half the largest difference of outputs on a shared unit input."""
    change = case.updates[0] - case.updates[1]
    return LowRank(change.up, change.down @ case.spaces[0]).spectral_norm / 2


def measure(case: Case, merges: Pair) -> float:
    """Return the larger of the two adapters' worst errors on unit inputs."""
    triples = zip(merges, case.updates, case.inputs, strict=True)
    return max(spectral_norm((serves - low) @ frame) for serves, low, frame in triples)


def attain(case: Case) -> Pair:
    """Return the statement's merge, once for the inputs of each adapter."""
    return (merge(case),) * 2


def rival(case: Case, rng: np.random.Generator) -> Pair:
    """Return the mean, the sum, either adapter, or the best merge perturbed by 1e-12 to 1."""
    one, two = case.updates
    kind, best = int(rng.integers(6)), merge(case)
    if kind < 4:
        return ((one, two, (one + two) / 2, one + two)[kind],) * 2
    # next to the best a wrong constant shows first
    magnitude = 10.0 ** int(rng.integers(-12, 1)) * case.scale
    return (best + gaussian(rng, *best.shape, 2, magnitude),) * 2


def adversary(case: Case, rng: np.random.Generator) -> Pair:
    """Return the best merge in 150 steps of subgradient descent on the larger error."""
    merged = rng.standard_normal(case.updates[0].shape) * case.scale / 10
    best, least = merged, np.inf
    targets = [(low.dense(), frame) for low, frame in zip(case.updates, case.inputs, strict=True)]
    for step in range(150):
        sides = [np.linalg.svd((merged - low) @ x, full_matrices=False) for low, x in targets]
        worst = int(sides[1][1][0] > sides[0][1][0])
        left, sigma, right = sides[worst]
        if sigma[0] < least:
            best, least = merged, sigma[0]
        # the subgradient of the larger error
        slope = np.outer(left[:, 0], targets[worst][1] @ right[0])
        merged = merged - slope * sigma[0] * 0.5 / (1 + step / 10)
    return (LowRank(best, np.eye(best.shape[1])),) * 2


def _one(case: Case, merges: Pair) -> bool:
    return (merges[0] - merges[1]).spectral_norm <= SAFETY * case.scale * case.condition


ASSUMPTIONS = {
    FRAMES: lambda case, _: all(map(is_orthonormal, case.inputs)) and case.condition < 1 / CLEAR,
    ONE: _one,
}


def _line(stretch: float = 1.0, routed: bool = False) -> tuple[Case, Pair]:
    one = LowRank(np.eye(1), np.eye(1))
    case = Case((one, -one), (np.eye(1), stretch * np.eye(1)))
    return case, (one, -one) if routed else attain(case)


CONTROLS = (
    Control("inputs twice as long as assumed", FRAMES, partial(_line, stretch=2.0), "tight"),
    Control("a router: each input meets its own adapter", ONE, partial(_line, routed=True)),
)

THEOREM: Theorem[Case, Pair] = Theorem.of(__name__)
