r"""Rank threshold: how much rank the linearised problem with weight decay needs.

**Statement.** If a problem of p linear measurements with a nuclear norm as weight decay has a
minimiser, some minimiser has a rank r with r(r+1)/2 <= p, and so has every one U C V' with positive
definite C of which no symmetric change of C goes unseen.

Let :math:`\Delta_0` minimise :math:`F(\mathcal A \Delta) + \lambda \|\Delta\|_*`, :math:`\lambda >
0`, with :math:`p` linear measurements :math:`\mathcal A \Delta = (\langle G_i, \Delta \rangle)_i`
(:math:`p = K N` for :math:`N` examples of :math:`K` outputs) and any :math:`F`. Some minimiser with
the same measurements has a rank :math:`r` with

.. math:: \frac{r (r + 1)}2 \;\le\; p,

and so has every one that is an extreme point :math:`U C V^\top`, :math:`C \succ 0`, of those whose
columns and rows lie where those of :math:`\Delta_0` do.

**Proof.** Let :math:`\Delta = U C V^\top` with orthonormal :math:`U, V` and :math:`C \succ 0` of
size :math:`r`; the singular value decomposition is one such form. Symmetric :math:`D` with
:math:`\langle G_i, U D V^\top \rangle = 0` for all :math:`i` form a space of dimension at least
:math:`r (r + 1)/2 - p`. Were it not zero, take such a :math:`D`. For small :math:`|t|` the matrix
:math:`C + t D` is positive and the measurements are unchanged, while the nuclear norm is
:math:`\operatorname{tr} C + t \operatorname{tr} D`; neither sign of :math:`t` may lower it, so
:math:`\operatorname{tr} D = 0`. Follow :math:`t` until the least eigenvalue vanishes, which it does
in one direction at least: the rank has fallen, the objective has not moved. Repeat; where no
:math:`D` is left, :math:`r (r + 1)/2 \le p`. :math:`\square`

**What it does not say.** That a solution has that rank, not that training finds it: the published
theorem that LoRA of rank :math:`r (r + 1)/2 > p` has no spurious local minima is cited, and its
threshold is not necessary.

**What it tells someone who merges adapters.** In the linearised problem with weight decay an
adapter on few examples needs little rank, whatever the model's size: :math:`r (r + 1)/2` of about
the number of examples times outputs. What an adapter has beyond that, its data did not ask for.

References
----------
Jang, Lee and Ryu (2024), arXiv:2402.11867; Barvinok (1995); Pataki (1998).
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, orthonormal
from loratheory.theorems._arrays import beside
from loratheory.theorems._theorem import Control, Theorem

SENSE = "upper"
SOURCE = "Jang, Lee and Ryu (2024), part (i); rests on Barvinok (1995) and Pataki (1998)"
UNSEEN = "few counts of measurements are of the form r(r+1)/2"

SAME = "the measurements and the nuclear norm of the minimiser"
EXTREME = "an extreme point: no symmetric change of the core is unseen by the measurements"
CUT = 1e-9


@dataclass(frozen=True, eq=False)
class Case:
    """Frames (m, k) and (n, k), a positive definite core (k, k) and measurements (p, m, n).

    The minimiser is ``left @ core @ right.T``: the measurements span ``left @ right.T``, whose
    product with every matrix of spectral norm one or less certifies it.
    """

    left: Array
    right: Array
    core: Array
    probes: Array


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw a minimiser U C Vᵀ, often of more rank than needed, and measurements.

    The first measurement is U Vᵀ, which certifies that it is one.
    """
    k = int(rng.integers(1, min(size, 6) + 1))
    m, n = (k + rng.integers(0, 3, 2)).tolist()
    probes = rng.standard_normal((int(rng.integers(1, 2 * size)), m, n))
    left, right = orthonormal(rng, m, k), orthonormal(rng, n, k)
    probes[0] = left @ right.T
    root = rng.standard_normal((k, k))
    core = 10.0 ** int(rng.integers(-6, 7)) * (root @ root.T + 0.1 * np.eye(k))
    return Case(left, right, core, probes)


def bound(case: Case) -> float:
    """Return p, the number of measurements."""
    return float(case.probes.shape[0])


def _symmetric(r: int) -> np.ndarray:
    """Return an orthonormal basis of the symmetric matrices, flattened: (r(r+1)/2, r r)."""
    rows, columns = np.triu_indices(r)
    basis, order = np.zeros((len(rows), r, r)), np.arange(len(rows))
    basis[order, rows, columns] += 0.5
    basis[order, columns, rows] += 0.5
    flat = basis.reshape(len(rows), r * r)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def unseen(probes: Array, left: Array, right: Array) -> tuple[Array, float]:
    """Return the symmetric D (r, r) whose U D Vᵀ changes the measurements least, and how much.

    `left` is U and `right` is V; the change is relative to the largest, and 0 where none is
    measured.
    """
    xp, r = array_namespace(probes), int(left.shape[1])
    basis = beside(probes, _symmetric(r))
    seen = xp.reshape(left.T @ probes @ right, (probes.shape[0], r * r)) @ basis.T
    _, sigma, changes = xp.linalg.svd(seen, full_matrices=True)
    all_seen = sigma.shape[0] == basis.shape[0]
    last = int(basis.shape[0]) - 1
    change = xp.reshape(changes[last, :] @ basis, (r, r))
    return change, float(sigma[last] / sigma[0]) if all_seen else 0.0


def reduced(case: Case) -> LowRank:
    """Return the minimiser of low rank to which the proof's walk leads from the case's.

    The core moves along changes that no measurement sees, and loses rank, until there are none.
    """
    xp = array_namespace(case.core)
    core, left, right = case.core, case.left, case.right
    for _ in range(int(core.shape[0]) - 1):  # each turn lowers the rank by one, at least
        change, share = unseen(case.probes, left, right)
        if share > CUT:
            break
        # Core and change in the basis where the core is 1: the change's extreme eigenvalues say
        # how far the walk may go in either direction before an eigenvalue reaches 0.
        values, vectors = xp.linalg.eigh(core)
        root = vectors / xp.sqrt(values)
        slopes = xp.linalg.eigvalsh(root.T @ change @ root)
        low, high = float(slopes[0]), float(slopes[slopes.shape[0] - 1])
        core = core - change / (low if -low > high else high)
        rest = xp.linalg.eigh(core)[1][:, 1:]  # without the direction that has vanished
        core, left, right = rest.T @ core @ rest, left @ rest, right @ rest
    return LowRank(left @ core, right.T)


def measure(_: Case, update: LowRank) -> float:
    """Return r(r + 1)/2, r being the rank of the update."""
    r = update.rank_at(CUT)
    return r * (r + 1) / 2


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """Return what `reduced` makes of another minimiser, with frames turned and the core moved."""
    turn = orthonormal(rng, len(case.core), len(case.core))
    left, right, core = case.left @ turn, case.right @ turn, turn.T @ case.core @ turn
    change, share = unseen(case.probes, left, right)
    if share <= CUT:
        core = core + rng.uniform(-0.9, 0.9) * np.linalg.eigvalsh(core)[0] * change
    return reduced(Case(left, right, core, case.probes))


def _same(case: Case, update: LowRank) -> bool:
    xp, start = array_namespace(case.core), LowRank(case.left @ case.core, case.right.T)
    seen = [xp.sum(case.probes * low.dense(), axis=(1, 2)) for low in (start, update)]
    room = CUT * start.nuclear_norm * float(xp.max(xp.linalg.matrix_norm(case.probes)))
    alike = bool(xp.all(xp.abs(seen[0] - seen[1]) <= room))
    return alike and abs(update.nuclear_norm - start.nuclear_norm) <= CUT * start.nuclear_norm


def _extreme(case: Case, update: LowRank) -> bool:
    r = update.rank_at(CUT)
    left, _, right = update.svd()
    return unseen(case.probes, left[:, :r], right[:r, :].T)[1] > CUT


ASSUMPTIONS = {
    SAME: _same,
    EXTREME: _extreme,
}


def _example(update: LowRank) -> tuple[Case, LowRank]:
    one = np.eye(2)
    return Case(one, one, one / 2, one[None]), update


CONTROLS = (
    Control(
        "a minimiser in the middle", EXTREME, lambda: _example(LowRank(np.eye(2) / 2, np.eye(2)))
    ),
    Control("twice the minimiser", SAME, lambda: _example(LowRank(np.eye(2), np.eye(2)))),
)

THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
