r"""Invisible placement: single hops do not show in which layer an edit sits; two hops need to know.

**Statement.** Where the layers after the bridge hold the old facts, splitting the second hop's edit
over layers leaves every single-hop logit as it is, while two hops of whole edits compose iff more
than half of it comes after the bridge: any test by single-hop logits misjudges at least the smaller
part of the placements.

Several layers can be read for the facts of hop 2. Single-hop prompts read all of them, a two-hop
prompt only those after its bridge is known. Let the edit of hop 2 be split over the layers with
shares of sum 1, :math:`\rho` of it in the later ones; let these hold the old facts with strength
1. Then, whatever the shares, all single-hop logits are the same, and the new two-hop answer wins,
with coefficients :math:`c_1, c_2 > 0` and an unedited old bridge, iff

.. math:: \rho \;>\; \max\Bigl(\frac1{2 c_2},\; \frac{1 - c_1}{c_1 c_2}\Bigr):

more than half for whole edits. So any test that looks at single-hop behaviour alone, on any
prompts, judges at least :math:`\min(q, 1 - q)` of a set of placements wrongly, :math:`q` the
fraction that composes; a constant does as well. Remedy: the whole edit in every layer
(:math:`\rho \ge 1`, "store twice"), known to leave single hops right.

**Proof.** A single-hop read gives :math:`(W + c_2 \sum_l \rho_l \Delta) k = (W + c_2 \Delta) k`.
The two-hop prompt reads :math:`W + c_2 \rho \Delta`: the two-read region with :math:`c_2 \rho` for
:math:`c_2` (``thm:two-read-region``). Verdicts that depend on equal logits are equal, hence wrong
on the one or on the other part. :math:`\square`

**What it tells someone who merges adapters.** Single-hop accuracy cannot certify a library for
two-hop use: two models with the same single-hop answers differ on two hops by where their edits
sit. Ask two-hop questions, or place the edit in the layers that are read after the bridge.

**What it does not say.** Where training puts edits. If equal gradients split them evenly,
:math:`\rho` is the fraction of layers that come late, and two hops need :math:`c_2 > 1/(2 \rho)`
where single hops need 1/2. Where a share :math:`\beta` of the old fact sits late, whole first edits
need :math:`\rho > \beta/(2 c_2)`: base and edit spread alike always compose.

References
----------
facts learned twice: arXiv 2502.03490; late second hops and back-patching: arXiv 2406.12775.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.theorems.composition import two_read_region as region
from loratheory.theorems.composition._hops import Prompt, small, two_hops
from loratheory.toy import Chain

SENSE = "lower"
SOURCE = "own"
USES = ("thm:two-read-region",)

WHOLE = "shares that sum to one in every placement"
BLIND = "one verdict for placements with the same single-hop logits"


@dataclass(frozen=True, eq=False)
class Case:
    """A prompt of two hops that overwrite old facts, and placements of the second edit in layers.

    Row i of `shares` says how placement i splits that edit; the first `early` layers come before
    the bridge, so that the second hop of a two-hop question does not read them.
    """

    prompt: Prompt
    shares: Float[Array, "placements layers"]
    early: int

    @property
    def models(self) -> "list[Placed]":
        """One model for each placement."""
        chain = region.attain(self.prompt)
        return [Placed(self, chain, self.shares[i, :]) for i in range(self.shares.shape[0])]


@dataclass(frozen=True, eq=False)
class Placed:
    """A model whose second edit is split among layers by `shares`."""

    case: Case
    chain: Chain
    shares: Float[Array, " layers"]

    def single(self, keys: Array) -> Array:
        """Return the logits of single-hop prompts with these keys, which every layer reads."""
        return self._second(keys, 0)

    def two_hop(self) -> Array:
        """Return the logits of the two-hop prompt, whose bridge only the later layers read."""
        prompt, bridge = self.case.prompt, self.chain.bridges[0]
        state = self.chain.read(0, prompt.keys[0][:, 0], prompt.coefficients[0])
        return self._second(bridge @ state, self.case.early)

    def _second(self, keys: Array, start: int) -> Array:
        logits, strength = self.chain.memories[1] @ keys, self.case.prompt.coefficients[1]
        for layer in range(start, self.shares.shape[0]):
            logits = logits + strength * self.shares[layer] * (self.chain.edits[1] @ keys)
        return logits


Test = Callable[[Placed], bool]


def share_needed(first: int | float, second: int | float) -> float:
    """Return the share that ρ must exceed for two hops to compose.

    `first` is the coefficient c₁ and `second` is c₂, both above 0.
    """
    return max(0.5, (1 - first) / first) / second


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw two to four layers and up to seven placements, many that only just compose or fail."""
    prompt = two_hops(partial(region.draw, rng, size), ["overwrite"])
    one, two = rng.uniform(0.5, 1.5), rng.uniform(0.6, 1.5)
    prompt = replace(prompt, coefficients=(float(one), float(two)))
    # later shares on both sides of the border, some as near as 1e-6; each row sums to one
    layers, rows = int(rng.integers(2, 5)), int(rng.integers(1, 8))
    early = int(rng.integers(1, layers))
    shares = rng.dirichlet(np.ones(layers), rows)
    later = shares[:, early:].sum(axis=1)
    wanted = rng.choice([-1, 1], rows) * 10.0 ** -rng.uniform(0, 6, rows)
    wanted = np.where(rng.random(rows) < 0.5, later, share_needed(one, two) + wanted)
    shares[:, early:] *= (wanted / later)[:, None]
    shares[:, :early] *= ((1 - wanted) / (1 - later))[:, None]
    return Case(prompt, shares, early)


def composing(case: Case) -> float:
    """Return q, the fraction of placements that compose, from the shares of their later layers."""
    later = array_namespace(case.shares).sum(case.shares[:, case.early :], axis=1)
    wins = later > share_needed(*case.prompt.coefficients)
    return int(array_namespace(wins).count_nonzero(wins)) / int(wins.shape[0])


def bound(case: Case) -> float:
    """Return min(q, 1 − q), q being the fraction of the case's placements that compose."""
    return min(composing(case), 1 - composing(case))


def _leads(logits: Array) -> bool:
    return bool(logits[0] > array_namespace(logits).max(logits[1:]))


def _composes(model: Placed) -> bool:
    return _leads(model.two_hop())


def measure(case: Case, test: Test) -> float:
    """Return the fraction of placements for which the test misjudges whether two hops compose."""
    wrong = [test(model) != _composes(model) for model in case.models]
    return sum(wrong) / len(wrong)


def attain(case: Case) -> Test:
    """Return the test that gives every placement the verdict of the majority."""
    verdict = composing(case) > 0.5
    return lambda _: verdict


def _above(weights: Array, border: float, model: Placed) -> bool:
    logits = model.single(model.case.prompt.keys[1])
    xp = array_namespace(logits)
    return bool(xp.sum(xp.asarray(weights, device=logits.device) * logits) > border)


def rival(case: Case, rng: np.random.Generator) -> Test:
    """Return a test of whether a random linear function of single-hop logits exceeds a number."""
    entities = case.prompt.keys[1].shape[1]
    weights = rng.standard_normal((entities + 1, entities))
    return partial(_above, weights, float(rng.standard_normal()))


def adversary(case: Case, _: np.random.Generator) -> Test:
    """Return the linear test of single-hop logits that fits the true verdicts best."""
    keys = case.prompt.keys[1]
    seen = np.stack([model.single(keys).ravel() for model in case.models])
    truth = np.array([_composes(model) for model in case.models], dtype=float)
    fit = np.linalg.lstsq(seen, truth, rcond=1e-6)[0]
    return partial(_above, fit.reshape(-1, keys.shape[1]), 0.5 - 1e-6)


def _example(whole: bool, test: Test) -> tuple[Case, Test]:
    shares = np.array([[0.9, 0.1], [0.2, 0.8]]) if whole else np.array([[0.2, 0.1], [0.2, 0.8]])
    return Case(small(), shares, 1), test


def _sees_margin(model: Placed) -> bool:
    return _leads(model.single(model.case.prompt.keys[1][:, 0]))


CONTROLS = (
    Control("leave part of an edit out", WHOLE, partial(_example, False, _sees_margin)),
    Control(
        "look into the layers",
        BLIND,
        partial(_example, True, lambda model: bool(model.shares[-1] > 0.5)),
    ),
    Control("ask a two-hop question", BLIND, partial(_example, True, _composes)),
)


def _whole(case: Case, _: Test) -> bool:
    xp = array_namespace(case.shares)
    return bool(xp.all(xp.abs(xp.sum(case.shares, axis=1) - 1) < SAFETY))


ASSUMPTIONS = {
    WHOLE: _whole,
    BLIND: lambda case, test: len({test(model) for model in case.models}) == 1,
}

THEOREM: Theorem[Case, Test] = Theorem.of(__name__)
