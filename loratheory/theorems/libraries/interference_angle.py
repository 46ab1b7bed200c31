r"""Interference angle: how strongly one adapter answers the keys of another.

**Statement.** An adapter answers a unit key in another's row space with at most its spectral norm
times the cosine of the smallest angle between the two row spaces, and some adapter attains that.

Let row spaces :math:`S_1, S_2` have the smallest principal angle :math:`\theta`. Every
:math:`\Delta` that reads only :math:`S_2`, of spectral norm at most :math:`\sigma`, satisfies

.. math:: \|\Delta k\| \;\le\; \sigma \cos\theta \, \|k\| \qquad (k \in S_1).

For the second adapter itself the worst case is exactly :math:`\|\Delta_2 Q_1\|_2`, :math:`Q_1` an
orthonormal basis of :math:`S_1`: zero iff :math:`S_1 \perp S_2`.

**Proof.** :math:`\Delta k = \Delta P_2 k` with :math:`P_2` the projector on :math:`S_2`, and
:math:`\|P_2 k\| \le \cos\theta\, \|k\|`, as :math:`\|P_2 Q_1\|_2` is the largest cosine. If unit
vectors :math:`p \in S_1` and :math:`q \in S_2` enclose :math:`\theta`, then :math:`\Delta = \sigma
u q^\top` and :math:`k = p` attain the bound. :math:`\square`

**What it tells someone who merges adapters.** Two adapters leave each other's keys alone if and
only if their row spaces are orthogonal, and the smallest angle between these spaces bounds the
damage before any data are seen: it is what ``loratheory diagnose`` prints.

**What it does not say.** The second adapter may stay below the bound: its strongest direction need
not be the one near :math:`S_1`. A vanishing Frobenius inner product does not silence it: orthogonal
column spaces suffice for that, whatever the rows are.

References
----------
Zhang and Zhou (OSRM), arXiv:2505.22934.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from loratheory.lowrank import (
    Array,
    LowRank,
    array_namespace,
    gaussian,
    largest_cosine,
    orthonormal,
    project,
    with_spectrum,
)
from loratheory.theorems._arrays import norm
from loratheory.theorems._theorem import SAFETY, Control, Theorem

SENSE = "upper"
KIND = "lemma"
SOURCE = "own; orthogonal row spaces against interference: Zhang and Zhou (2025)"

KEY = "a nonzero key in the first adapter's row space"
READS = "an update that reads only the second adapter's row space"
NORM = "an update no larger in spectral norm than the second adapter"


@dataclass(frozen=True, eq=False)
class Case:
    """The adapter that a key belongs to, and a second one whose output at that key interferes."""

    first: LowRank
    second: LowRank

    @cached_property
    def spaces(self) -> tuple[Array, Array]:
        """Orthonormal bases of the two row spaces, (n, r) each."""
        return self.first.row_space(), self.second.row_space()

    @cached_property
    def condition(self) -> float:
        """Larger condition number of the two adapters, by which rounding turns a row space."""
        each = zip((self.first, self.second), self.spaces, strict=True)
        spectra = [(low.S, int(space.shape[1])) for low, space in each]
        return max([1.0, *(float(sigma[0] / sigma[k - 1]) for sigma, k in spectra if k)])


@dataclass(frozen=True, eq=False)
class Answer:
    """An update, and the key (n, 1) at which its output is measured."""

    update: LowRank
    key: Array


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw adapters of any size whose row spaces are unrelated, orthogonal or nearly equal."""
    m, n = rng.integers(1, size + 1, 2).tolist()
    one, two = rng.integers(1, min(m, n, 16) + 1, 2).tolist()
    sigmas = [10.0 ** (rng.uniform(-2, 0, r) + rng.integers(-6, 7)) for r in (one, two)]
    first, reads = with_spectrum(rng, m, n, sigmas[0].tolist()), rng.standard_normal((n, two))
    kind, basis, same = int(rng.integers(3)), first.row_space(), min(one, two)
    if kind == 1 and one + two <= n:
        reads = reads - project(reads, basis)
    elif kind == 2:
        reads = reads * float(rng.choice([1e-8, 1e-2, 1.0]))
        reads[:, :same] += basis[:, :same]
    return Case(first, LowRank(orthonormal(rng, m, two) * sigmas[1], np.linalg.qr(reads)[0].T))


def bound(case: Case) -> float:
    """Return σ cos θ, σ the second adapter's spectral norm, θ the row spaces' least angle."""
    return case.second.spectral_norm * largest_cosine(*case.spaces)


def worst_response(case: Case) -> float:
    """Return ‖Δ₂Q₁‖₂, the second adapter's largest output at unit keys of the first.

    Costs ``O((m + n) r^2)``.
    """
    return LowRank(case.second.up, case.second.down @ case.spaces[0]).spectral_norm


def attain(case: Case) -> Answer:
    """Return the key and the update of the proof, whose output meets the bound.

    The key is the first adapter's nearest to the second's row space.
    """
    one, two = case.spaces
    # The singular vectors of the bases' product are the principal directions.
    u, _, v = array_namespace(one).linalg.svd(one.T @ two, full_matrices=False)
    output = case.second.svd().left[:, :1] * case.second.spectral_norm
    return Answer(LowRank(output, v[:1, :] @ two.T), one @ u[:, :1])


def measure(_: Case, answer: Answer) -> float:
    """Return the norm of the update's output at the key over the norm of the key."""
    return norm(answer.update @ answer.key) / norm(answer.key)


def rival(case: Case, rng: np.random.Generator) -> Answer:
    """Return the second adapter at its worst key, a random pair, or the best pair perturbed."""
    best, (one, two) = attain(case), case.spaces
    kind, size = int(rng.integers(3)), 10.0 ** int(rng.integers(-12, 1))
    if kind == 0:
        return Answer(case.second, one @ np.linalg.svd(case.second @ one)[2][:1, :].T)
    key = one @ rng.standard_normal((one.shape[1], 1))
    if kind == 1:
        free = gaussian(rng, case.second.shape[0], two.shape[1], 2)
        share = case.second.spectral_norm * float(rng.random()) / free.spectral_norm
        return Answer(LowRank(share * free.up, free.down @ two.T), key)
    return Answer(best.update, best.key + size * key)


def adversary(case: Case, rng: np.random.Generator) -> Answer:
    """Return the pair found by projecting a key from one row space to the other in turn."""
    one, two = case.first.down.T, case.second.down.T
    key, read = (basis @ rng.standard_normal((basis.shape[1], 1)) for basis in (one, two))
    for _ in range(40):
        near = two @ np.linalg.lstsq(two, key, rcond=None)[0]
        back = one @ np.linalg.lstsq(one, near, rcond=None)[0]
        if not back.any():
            break
        key, read = back / np.linalg.norm(back), near
    output = np.eye(case.second.shape[0], 1) * np.linalg.norm(case.second.dense(), 2)
    return Answer(LowRank(output, read.T / np.linalg.norm(read)), key)


def _reads_only(case: Case, low: LowRank, which: int) -> bool:
    outside = LowRank(low.up, low.down - project(low.down.T, case.spaces[which]).T)
    return outside.spectral_norm <= SAFETY / 4 * case.condition * low.spectral_norm


def _key_fits(case: Case, answer: Answer) -> bool:
    row = LowRank(answer.key[:1, :] ** 0, answer.key.T)
    return row.spectral_norm > 0 and _reads_only(case, row, 0)


def _norm_fits(case: Case, answer: Answer) -> bool:
    return answer.update.spectral_norm <= (1 + SAFETY / 4) * case.second.spectral_norm


ASSUMPTIONS = {
    KEY: _key_fits,
    READS: lambda case, answer: _reads_only(case, answer.update, 1),
    NORM: _norm_fits,
}


def _planar(second: int, reads: int, key: int, size: float = 1.0) -> tuple[Case, Answer]:
    axes = [LowRank(np.eye(1), np.eye(2)[:1]), LowRank(np.eye(1), np.eye(2)[1:])]
    return Case(axes[0], axes[second]), Answer(size * axes[reads], axes[key].down.T)


CONTROLS = (
    Control("a key that the first adapter does not read", KEY, lambda: _planar(1, 1, 1)),
    Control("an update that reads elsewhere", READS, lambda: _planar(1, 0, 0)),
    Control("an update twice as large", NORM, lambda: _planar(0, 0, 0, 2.0)),
)

THEOREM: Theorem[Case, Answer] = Theorem.of(
    __name__,
    scale=lambda case: case.second.spectral_norm,
)
