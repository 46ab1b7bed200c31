r"""Depth budget: what rank `R` at each of `L` layers of a linear network can reach.

**Statement.** In a linear network of L layers, each layer gets an update of rank at most R, and E
is the target minus the frozen product. The spectral error of the network is at least σ_{RL+1}(E).
If every layer is invertible, some updates attain this.

Let :math:`W_1, \dots, W_L \in \mathbb{R}^{D \times D}` be frozen, :math:`M = W_L \cdots W_1`, and
:math:`E = T - M` for a target :math:`T`. For all updates of rank at most :math:`R`,

.. math:: \|(W_L + \Delta_L) \cdots (W_1 + \Delta_1) - T\|_2 \;\ge\; \sigma_{RL+1}(E).

If every :math:`W_l` is invertible, some updates attain this bound, for every target.

**Proof.** *Bound.* Replace one layer at a time by its updated version. Each replacement changes the
product by a matrix of rank at most :math:`R`. So the updated product is :math:`M` plus a matrix of
rank at most :math:`RL`, and the theorem of Eckart, Young and Mirsky gives the bound. *Attained.*
Let :math:`M_l = W_l \cdots W_1` and :math:`\Delta_l = M_l (S_l - 1) M_{l-1}^{-1}`. The updated
product is then :math:`M S_L \cdots S_1`. We want :math:`M + \mathrm{LR}_{RL}(E)`, where
:math:`\mathrm{LR}_q` is the truncation to rank :math:`q`. So the matrix :math:`1 + M^{-1}
\mathrm{LR}_{RL}(E)`, the identity plus a matrix of rank at most :math:`RL`, must be a product of
:math:`L` factors :math:`S_l`. Each factor must be the identity plus a matrix of rank at most
:math:`R`. Every such matrix is a product of this kind (proved in ``_steering``). :math:`\square`

**Conditioning.** In a deep network, the inverses in this proof lose all digits. A sweep over the
layers, in ``_steering``, reaches the same product without them if the updated products stay
invertible. The function `attain` takes the better of the two results, and the verdict reports its
condition number.

**Implication.** A sum of :math:`k` adapters has a rank of at most :math:`kR` in each layer.
Whatever its coefficients are, it misses every target that differs from the frozen product in more
than :math:`kRL` directions.

**Scope.** The theorem does not say what training finds. Zeng and Lee also assume that the partial
sums :math:`M + \mathrm{LR}_r(E)` are invertible; the construction above does not need this.

References
----------
Zeng and Lee, arXiv:2310.17513 (2024).
"""

from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, with_spectrum
from loratheory.theorems._arrays import (
    condition_number,
    disturb,
    eye,
    fit_alternating,
    largest,
    norm,
    spectral_norm,
)
from loratheory.theorems._theorem import Control, Theorem
from loratheory.theorems.expressiveness._steering import adapted, product_of, steer

SENSE = "lower"
SOURCE = "Zeng and Lee (2024); attainment without their second condition: own"

RANK = "rank(update) <= R at every layer"
INVERTIBLE = "every frozen weight invertible (to attain the bound)"

Updates = tuple[LowRank, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """Frozen (D, D) weights, first layer first, the (D, D) target, and the rank of each update."""

    weights: tuple[Array, ...]
    target: Array
    rank: int

    @property
    def product(self) -> Array:
        """Product of the frozen weights."""
        return product_of(self.weights)


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw well-conditioned layers and a target: near their product, a low rank away, or any."""
    d, layers = int(rng.integers(1, min(size, 8) + 1)), int(rng.integers(1, 5))
    spectra = np.exp(rng.uniform(-0.5, 0.5, (layers, d)))
    weights = [with_spectrum(rng, d, d, s.tolist()).dense() for s in spectra]
    # one layer carries the size, so that no product overflows
    weights[0] = weights[0] * 10.0 ** int(rng.integers(-6, 7))
    product = product_of(weights)
    # Targets of the frozen product's own size, or at known distances from it.
    far = float(np.linalg.norm(product)) / d * rng.standard_normal((d, d))
    low = gaussian(rng, d, d, int(rng.integers(0, d + 1)), largest(far)).dense()
    targets = (far, product + 1e-6 * far, product + low, low, 0 * far)
    return Case(tuple(weights), targets[rng.integers(5)], int(rng.integers(0, d + 1)))


def bound(case: Case) -> float:
    """Return σ_{RL+1}(E), E being the target less the product of the frozen weights."""
    sigma = array_namespace(case.target).linalg.svdvals(case.target - case.product)
    # every layer adds its rank once to what the product may change
    budget = case.rank * len(case.weights)
    return float(sigma[budget]) if budget < sigma.shape[0] else 0.0


def attain(case: Case) -> Updates:
    """Return updates whose network is the frozen product plus the best part of E of rank RL.

    They are found by the layer sweep or by simple factors, whichever is more accurate.
    """
    return steer(case.weights, case.target, case.rank).updates


def measure(case: Case, updates: Updates) -> float:
    """Return the spectral norm of the adapted network's outputs at all axes less the target's."""
    outputs = eye(case.target, case.target.shape[1])
    for layer in adapted(case.weights, updates):
        outputs = layer @ outputs
    return spectral_norm(outputs - case.target)


def scale(case: Case) -> float:
    """Return the norms of target and frozen product added up, the unit of rounding errors."""
    return norm(case.target) + norm(case.product)


def condition(case: Case) -> float:
    """Return by how much the construction that `attain` takes amplifies rounding errors."""
    if max(map(condition_number, case.weights)) == np.inf:  # a control: nothing is inverted
        return 1.0
    return steer(case.weights, case.target, case.rank).condition


def rival(case: Case, rng: np.random.Generator) -> Updates:
    """Return the updates of `attain` perturbed by 1e-12 to 1, or noise of that size alone."""
    return disturb(rng, attain(case))


def adversary(case: Case, rng: np.random.Generator) -> Updates:
    """Return updates that alternating least squares fits to one layer after the other."""
    updates = [LowRank(w[:, :0], w[:0]) for w in case.weights]
    for index in list(range(len(updates))) * 4:
        layers = adapted(case.weights, updates)
        before = product_of((np.eye(len(layers[0].T)), *layers[:index]))
        after = product_of((np.eye(len(layers[index])), *layers[index + 1 :]))
        # what the product lacks when this layer is as it was
        wanted = case.target - after @ case.weights[index] @ before
        updates[index] = fit_alternating(rng, wanted, case.rank, reads=before, writes=after)
    return tuple(updates)


ASSUMPTIONS = {
    RANK: lambda case, updates: all(low.width <= case.rank for low in updates),
    INVERTIBLE: lambda case, _: max(map(condition_number, case.weights)) < 1e14,
}


def _too_rich() -> tuple[Case, Updates]:
    # together the two layers may change three directions where two are allowed
    one = np.eye(3)
    updates = LowRank(one[:, :2], one[:2]), LowRank(one[:, 2:], one[2:])
    return Case((one, one), 2 * one, 1), updates


def _dead_layer() -> tuple[Case, Updates]:
    one, target = np.eye(6), np.diag([6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    best = LowRank(6 * one[:, :1], one[:1])  # the network now has rank 1: it loses 5, not 4
    return Case((one, 0 * one), target, 1), (LowRank(one[:, :0], one[:0]), best)


CONTROLS = (
    Control("spend rank 2 in a layer where 1 is allowed", RANK, _too_rich),
    Control("a layer that is frozen at zero", INVERTIBLE, _dead_layer, fails="tight"),
)

THEOREM: Theorem[Case, Updates] = Theorem.of(__name__)
