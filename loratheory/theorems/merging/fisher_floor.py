r"""Fisher floor: what replacing several updates by one of rank r costs the losses, to second order.

**Statement.** One update of rank at most r in place of several tasks' own, whose Fisher matrices
are Kronecker products of an input moment each with one output weight, costs, in squares so weighed
(twice the second-order rise of the losses from their minima), at least the updates' disagreement
around their moment-weighted mean plus the mean's energy beyond rank r; the mean truncated in white
coordinates costs no more.

Near a minimum the loss of task i grows by half of :math:`\operatorname{tr} S (\Delta - \Delta_i)
M_i (\Delta - \Delta_i)^\top`, if its Hessian or Fisher matrix is the Kronecker product of an input
second moment :math:`M_i = L_i L_i^\top` and an output weight :math:`S = O^\top O`. With :math:`M =
\sum_i M_i = L L^\top` and :math:`\bar\Delta = (\sum_i \Delta_i M_i)\, M^+` every :math:`\Delta` of
rank at most :math:`r` has

.. math::
    \sum_i \operatorname{tr} S (\Delta - \Delta_i) M_i (\Delta - \Delta_i)^\top \;\ge\;
    \sum_i \operatorname{tr} S (\bar\Delta - \Delta_i) M_i (\bar\Delta - \Delta_i)^\top
    + \sum_{j > r} \sigma_j(O \bar\Delta L)^2,

with equality at :math:`O^+ \mathrm{LR}_r(O \bar\Delta L)\, L^+`. Without a limit on the rank the
best merge is :math:`\bar\Delta`, whatever S is: RegMean.

**Proof.** Let :math:`X = [L_1 \dots L_K]` and :math:`Y = O\,[\Delta_1 L_1 \dots \Delta_K L_K]`. The
left side is :math:`\|(O \Delta) X - Y\|_F^2`, and :math:`O \Delta` has rank at most :math:`r`, so
``thm:rank-floor`` bounds it by :math:`\|Y (1 - X^+ X)\|_F^2 + \sum_{j>r} \sigma_j(Y X^+ X)^2`. As
:math:`X X^\top = M`, :math:`Y X^+ = Y X^\top M^+ = O \bar\Delta`, hence :math:`Y X^+ X = O
\bar\Delta X`, whose singular values are those of :math:`O \bar\Delta L`; and :math:`Y (1 - X^+ X) =
Y - O \bar\Delta X` is the disagreement. The columns of :math:`\mathrm{LR}_r(O \bar\Delta L)` lie in
those of :math:`O` and its rows in those of :math:`L`, which :math:`O O^+` and :math:`L^+ L` leave
as they are. :math:`\square`

**What it tells someone who merges adapters.** Where tasks share their output weight, it cancels:
second moments of the inputs are all that the best merge needs beside the updates, until a rank is
to be kept. The command ``loratheory merge --method regmean --moments`` is this merge, and keeps a
rank as the floor does for :math:`S = 1`.

**What it does not say.** Tasks with output weights of their own have no such formula: their best
merge solves :math:`\sum_i S_i \Delta M_i = \sum_i S_i \Delta_i M_i`, a linear system in all entries
at once (MaTS). With a rank and a general Fisher matrix there is none at all: weighted low-rank
approximation is NP-hard from rank 1 on. A loss has a first and a third order too
(``thm:loss-interaction``), and moments change when earlier layers are merged.

References
----------
RegMean: Jin et al., arXiv 2212.09849. MaTS: Tam, Bansal and Raffel, arXiv 2312.04339. Kronecker
factors: Martens and Grosse, arXiv 1503.05671; of one weight, GFWSVD: arXiv 2505.17974. Hardness:
Gillis and Glineur, arXiv 1012.0197.
"""

from dataclasses import dataclass, replace

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, orthonormal, total
from loratheory.shapes import Float
from loratheory.theorems._arrays import alternating, eye, norm, nudged
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.expressiveness.rank_floor import regression

SENSE = "lower"
SOURCE = "reduced-rank regression; without a rank RegMean (Jin et al. 2023)"
PART_OF = "thm:rank-floor"

RANK = "rank(merged) <= r"
ALIKE = "one output weight for all tasks"


@dataclass(frozen=True, eq=False)
class Case:
    """Tasks' updates, and roots of input moments ``x @ x.T`` and output weights ``o.T @ o``."""

    updates: tuple[LowRank, ...]
    inputs: tuple[Float[Array, "n _"], ...]
    outputs: tuple[Float[Array, "q m"], ...]
    rank: int

    @property
    def whitened(self) -> tuple[Array, Array]:
        """The X and Y of the proof, for the first task's output weight."""
        xp, triples = array_namespace(*self.inputs), zip(self.updates, self.inputs, strict=True)
        wanted = [self.outputs[0] @ (low @ x) for low, x in triples]
        return xp.concat(self.inputs, axis=1), xp.concat(wanted, axis=1)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw related or unrelated tasks, with moments and output weights of low or full rank."""
    k, (m, n) = int(rng.integers(1, 5)), rng.integers(1, size + 1, 2).tolist()
    magnitude, spread = 10.0 ** int(rng.integers(-6, 7)), float(rng.choice([0.1, 1.0]))
    base = gaussian(rng, m, n, min(m, n), magnitude)
    updates = tuple(base + gaussian(rng, m, n, 1, spread * magnitude) for _ in range(k))
    seen = rng.integers(1, n + 1, k).tolist()
    inputs = tuple(orthonormal(rng, n, t) * 10.0 ** rng.uniform(-1, 0, t) for t in seen)
    weighed = int(rng.integers(1, m + 1))
    outputs = (orthonormal(rng, m, weighed) * 10.0 ** rng.uniform(-1, 0, weighed)).T
    return Case(updates, inputs, (outputs,) * k, int(rng.integers(0, min(m, n) + 1)))


def bound(case: Case) -> float:
    """Return the right side of the statement: the disagreement plus the energy beyond rank r."""
    part = regression(*case.whitened, 1e-8)
    return part.missed + part.answers.tail_energy(case.rank)


def attain(case: Case) -> LowRank:
    """Return O⁺ LR_r(O Δ̄ L) L⁺, the moment-weighted mean truncated in white coordinates."""
    part = regression(*case.whitened, 1e-8)
    best = part.adapter(part.answers.truncated(case.rank))
    back = array_namespace(best.up).linalg.pinv(case.outputs[0], rtol=1e-8)
    return LowRank(back @ best.up, best.down)


def measure(case: Case, merged: LowRank) -> float:
    """Return Σ_i tr S_i (Δ − Δ_i) M_i (Δ − Δ_i)ᵀ for Δ = `merged`, with each task's own S_i."""
    xp = array_namespace(*case.inputs)
    triples = zip(case.updates, case.inputs, case.outputs, strict=True)
    return sum(float(xp.sum((o @ (merged @ x - low @ x)) ** 2)) for low, x, o in triples)


def scale(case: Case) -> float:
    """Return ‖Y‖², the energy of the wanted outputs, the unit of rounding errors."""
    return float(array_namespace(*case.inputs).sum(case.whitened[1] ** 2))


def rival(case: Case, rng: np.random.Generator) -> LowRank:
    """Return either mean truncated without whitening, or a random or nearly best update."""
    kind = int(rng.integers(4))
    if kind == 0:
        return (total(list(case.updates)) / len(case.updates)).truncated(case.rank)
    if kind == 1:
        weighed = replace(case, rank=min(case.updates[0].shape))
        return attain(weighed).truncated(case.rank)
    return nudged(rng, attain(case), case.rank)


def adversary(case: Case, rng: np.random.Generator) -> LowRank:
    """Return a rank-r fit by alternating least squares, which takes no singular values."""
    inputs, wanted = case.whitened
    return alternating(rng, wanted, case.rank, reads=inputs, writes=case.outputs[0])


def _alike(case: Case, _: LowRank) -> bool:
    first, *others = (o.T @ o for o in case.outputs)
    return all(norm(other - first) <= SAFETY * norm(first) for other in others)


ASSUMPTIONS = {RANK: lambda case, merged: merged.width <= case.rank, ALIKE: _alike}

_ONE = np.eye(2)
_TWO = LowRank(_ONE, _ONE)


def _too_rich() -> tuple[Case, LowRank]:
    return Case((_TWO,), (np.diag([2.0, 1.0]),), (_ONE,), 1), _TWO


def _careless() -> tuple[Case, LowRank]:
    # The second task does not mind what comes out: the first may have all.
    return Case((_TWO, -1 * _TWO), (_ONE, _ONE), (_ONE, 0 * _ONE), 2), _TWO


CONTROLS = (
    Control("spend rank 2 where 1 is allowed", RANK, _too_rich),
    Control("a task that does not mind", ALIKE, _careless),
)


# Fisher matrices that are no product


@dataclass(frozen=True, eq=False)
class Near:
    """One task's update, roots of its moment and output weight, the rank, and ``(α, β)``."""

    target: LowRank
    inputs: Float[Array, "n n"]
    outputs: Float[Array, "m m"]
    rank: int
    between: tuple[float, float]

    @property
    def product(self) -> Case:
        """The theorem's case: the same task with the Kronecker product as its Fisher matrix."""
        return Case((self.target,), (self.inputs,), (self.outputs,), self.rank)

    @property
    def whitening(self) -> Array:
        """Matrix that maps a flattened update Δ to the flattened O Δ L, its whitened form."""
        (m, n), left, right = self.target.shape, self.outputs, self.inputs.T
        product = left[:, None, :, None] * right[None, :, None, :]
        return array_namespace(left).reshape(product, (m * n, m * n))

    def white(self, update: LowRank) -> Array:
        """Return O (`update` − target) L, the whitened difference, flattened row by row."""
        gap = self.outputs @ (update.dense() - self.target.dense()) @ self.inputs
        return array_namespace(gap).reshape(gap, (-1,))

    def fisher(self, core: Array) -> Array:
        """Return the Fisher matrix that equals `core` in white coordinates."""
        return self.whitening.T @ core @ self.whitening


@dataclass(frozen=True, eq=False)
class Replaced:
    """True Fisher matrix (mn, mn), the update built from the product, and its competitor."""

    fisher: Array
    built: LowRank
    other: LowRank


def _dear(case: Near, vector: Array) -> Array:
    """Return a core with eigenvalue β along `vector` and α elsewhere."""
    unit, (least, most) = vector / norm(vector), case.between
    return least * eye(unit, unit.shape[0]) + (most - least) * unit[:, None] * unit[None, :]


def give_up_the_other(case: Near) -> Replaced:
    """Return the instance of the proof, in which the built update costs β/α times the other.

    The Fisher matrix is β on the direction that truncation gave up and α elsewhere; the other
    update gives up a direction of the same size instead.
    """
    xp, target = array_namespace(case.inputs), case.outputs @ (case.target @ case.inputs)
    built = attain(case.product)
    given_up = -case.white(built)
    direction = xp.reshape(given_up, target.shape)
    rest = target - direction  # what was kept: its last direction goes instead
    left, sigma, right = xp.linalg.svd(rest, full_matrices=False)
    last = case.rank - 1
    kept = target - sigma[last] * left[:, last : last + 1] @ right[last : last + 1, :]
    back = xp.linalg.solve(case.outputs, xp.linalg.solve(case.inputs.T, kept.T).T)
    ups, strengths, downs = xp.linalg.svd(back, full_matrices=False)
    other = LowRank(ups[:, : case.rank] * strengths[: case.rank], downs[: case.rank, :])
    return Replaced(case.fisher(_dear(case, given_up)), built, other)


def other_fisher(case: Near, rng: np.random.Generator) -> Replaced:
    """Draw a Fisher matrix between α and β, near the worst or not, and a competing update."""
    size, (least, most) = case.white(case.target).shape[0], case.between
    frame, worst = orthonormal(rng, size, size), give_up_the_other(case)
    core = (frame * rng.uniform(least, most, size)) @ frame.T
    if rng.random() < 0.5:
        nudge = 10.0 ** int(rng.integers(-8, 0)) * rng.standard_normal(size)
        core = _dear(case, case.white(worst.built) + nudge)
    anything = gaussian(rng, *case.target.shape, case.rank)
    other = (anything, worst.built, worst.other)[int(rng.integers(3))]
    return Replaced(case.fisher(core), worst.built, other)


def fitted(case: Near, rng: np.random.Generator) -> Replaced:
    """Draw a Fisher matrix between α and β, and fit the competitor by alternating least squares."""
    replaced = other_fisher(case, rng)
    root, target = np.linalg.cholesky(replaced.fisher).T, case.target.dense()
    (m, n), up = target.shape, rng.standard_normal((len(target), case.rank))
    down = np.zeros((case.rank, n))
    for _ in range(20):
        reads = np.kron(up, np.eye(n))
        down = np.linalg.lstsq(root @ reads, root @ target.ravel(), rcond=None)[0].reshape(-1, n)
        writes = np.kron(np.eye(m), down.T)
        up = np.linalg.lstsq(root @ writes, root @ target.ravel(), rcond=None)[0].reshape(m, -1)
    return replace(replaced, other=LowRank(up, down))


THEOREM: Theorem[Case, LowRank] = Theorem.of(__name__)
