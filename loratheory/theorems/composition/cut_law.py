r"""Cut law: what a second adapter says at states that its partner wrote.

**Statement.** One adapter acts below a cut through the network, another above, and at the training
states of the second one each right answer leads by at least γ. Leads change by at most τ per unit
of distance between states. Let another state be at a distance δ from the nearest training state
with a given answer. There this answer leads by at least γ − τδ, and for δ < γ/τ some second adapter
that leads by γ or more at these training states, with slope τ, gives exactly this.

The cut is behind a block of the network. Let :math:`z_0` be the state there without adapters,
:math:`z_1` with the first adapter, and :math:`g(z)` the change of a lead that the second adapter
makes if the state is :math:`z`. Whatever the layers compute, the interaction of ``thm:corner-law``
is then exactly

.. math:: f(1, 1) - f(1, 0) - f(0, 1) + f(0, 0) = g(z_1) - g(z_0),

so a pair of adapters composes where the second adapter's change reaches from the training states to
:math:`z_1`. The merged model answers rightly if :math:`z_1` is closer than :math:`\gamma / \tau` to
a training state with the right answer.

**Proof.** The identity is the definition of :math:`g`. The lead of the answer at a training state
:math:`s` is at least :math:`\gamma`, and at :math:`z` it differs from that by at most :math:`\tau
\lVert z - s \rVert`. Now give each training state a cone, a score of its answer :math:`\tau
\max(0, \gamma/\tau - \lVert z - s \rVert)`, and all other scores 0. Different answers have training
states that are at least :math:`2\gamma/\tau` apart, because the lead of an answer is at least
:math:`\gamma` at its own states and at most :math:`-\gamma` at the other's. So no two cones of
different answers overlap, all leads have slope :math:`\tau` at most, and closer than :math:`\gamma
/ \tau` to a state with its answer the lead is what was claimed. :math:`\square`

**Corollary (any answer).** Let a state be at a distance δ > γ/τ from the nearest training state
with an answer other than a. There a leads by at most τδ − γ, and some second adapter that leads by
γ or more at these training states, with slope τ, gives exactly this.

So at a state that is far from all training states, training says nothing: each answer can lead.
The first claim is the slope again. For the second, a further cone around :math:`z`, as high as
claimed, overlaps no cone of another answer.

**Corollary (bits through a cut).** The second adapter holds n independent uniform facts with n
possible answers. The first acts above the cut only, and leads to each of these facts with the same
probability, whatever the second adapter holds. The state at the cut has at most B bits, the second
adapter's share above it at most J. The accuracy p of two-hop answers is such that p log₂ n ≤ 1 + (B
+ J)/n.

For a prompt, the state at the cut is the same whichever fact the first adapter leads to, so all
that reaches the answers of the n facts are the same B + J bits. Let :math:`\pi` be the
facts and :math:`M` these bits. The facts are independent, so :math:`B + J \ge I(M; \pi) \ge \sum_y
I(M; \pi(y))`. By Fano's inequality :math:`I(M; \pi(y)) \ge p_y \log_2 n - 1`. Sum over y.

**Implication.** A second adapter need not know its partner: what counts is whether its training had
states near those that the partner writes. A first adapter that acts above the second one's layers
leaves no room for many facts.

**Scope.** Slopes of a trained network are not known, and a state is that of all tokens. In the
study ``lm_corners`` the last token's state alone was nearly always farther than :math:`\gamma /
\tau` from all training states of single facts, with a slope between two of them. After stand-in
training nearly all questions were answered all the same.
If both adapters act in all layers, the interaction is a sum over pairs of blocks :math:`(l, k)` of
mixed differences, one for switching the first adapter on at block :math:`l` and the second at block
:math:`k`. Terms with :math:`l < k` are the second adapter reading what the first one wrote.

References
----------
The bound is a Lipschitz-margin certificate, as for inputs: Tsuzuku et al., arXiv 1802.04034.
Lipschitz extension: McShane (1934). Fano's inequality: Cover and Thomas, *Elements of Information
Theory* (2006). Learning of two-hop composition: arXiv 2505.23683. Without a cut, for linear reads:
``thm:bridge-transfer``.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import largest, norm
from loratheory.theorems._sampling import unit_vectors
from loratheory.theorems._theorem import SAFETY, Control, Theorem, spoil

SENSE, SENSE_ANY, SENSE_BITS = "lower", "upper", "upper"
SOURCE = "own; Lipschitz-margin certificates and extension, Fano's inequality"

LEARNED = "training states at which the right answer leads by γ or more"
SLOPE = "leads that change by at most τ per unit of distance"
NEAR = "a state closer than γ/τ to a training state with this answer (to attain the bound)"
UNSEEN_BITS = "no message meets Fano's inequality: stored facts reach all of the bound but 1/log₂ n"
PAYS = "bits that can hold the facts that are answered with certainty"
APART = "a second adapter that does not know to which fact the first one leads"


def bits_needed(facts: float, accuracy: float) -> float:
    """Return a lower bound of B + J, the bits that so many facts at this accuracy take.

    ValueError if the accuracy is no share.
    """
    if not 0 <= accuracy <= 1:
        message = f"accuracy {accuracy:g}: give a share from 0 to 1"
        raise ValueError(message)
    return max(0.0, facts * (accuracy * math.log2(facts) - 1))


@dataclass(frozen=True, eq=False)
class Case:
    """Training states of a second adapter and their answers; a state, and an answer asked there.

    Answers are numbers from 0. Training states of different answers are at least 2γ/τ apart.
    """

    states: Float[Array, "n d"]
    answers: tuple[int, ...]
    lead: float  # γ
    slope: float  # τ
    state: Float[Array, " d"]
    answer: int

    @property
    def reach(self) -> float:
        """γ/τ: how far a training state speaks for its surroundings."""
        return self.lead / self.slope

    def nearest(self, same: bool) -> float:
        """Return the distance to the nearest training state with this answer, or with another."""
        least = math.inf
        for i, answer in enumerate(self.answers):
            if (answer == self.answer) == same:
                least = min(least, norm(self.states[i, ...] - self.state))
        return least


@dataclass(frozen=True, eq=False)
class Cones:
    """Scores of a second adapter: cones around centres (n, d), each for an answer."""

    centres: Float[Array, "n d"]
    answers: tuple[int, ...]
    radii: tuple[float, ...]
    steepness: float

    def lead(self, answer: int, state: Array) -> float:
        """Return the score of an answer at a state less the best other one, which is 0 at least."""
        own, other = 0.0, 0.0
        for i, one in enumerate(self.answers):
            distance = norm(state - self.centres[i, ...])
            score = self.steepness * max(0.0, self.radii[i] - distance)
            if one == answer:
                own = max(own, score)
            else:
                other = max(other, score)
        return own - other

    def overlap(self) -> bool:
        """Whether cones of different answers do."""
        for i, answer in enumerate(self.answers):
            for j in range(i):
                apart = norm(self.centres[i, ...] - self.centres[j, ...])
                touch = apart - self.radii[i] - self.radii[j]
                point = 0 in (self.radii[i], self.radii[j])
                if (
                    answer != self.answers[j]
                    and not point
                    and touch < -SAFETY * (apart + self.radii[i])
                ):
                    return True
        return False


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw training states far enough apart, and a state within reach of one of them."""
    case = draw_any(rng, size)
    one = int(rng.integers(len(case.states)))
    off = rng.uniform(0, 1) * case.reach * unit_vectors(rng, case.states.shape[1])
    return replace(case, state=case.states[one] + off, answer=case.answers[one])


def draw_any(rng: np.random.Generator, size: int) -> Case:
    """Draw training states far enough apart, and any state and answer, which may be new."""
    width, count = (int(rng.integers(low, size + low)) for low in (1, 2))
    lead, slope = 10.0 ** rng.integers(-3, 4, 2)
    gap, states = 2 * lead / slope, list[np.ndarray]()
    spread = gap * rng.choice([1.0, 4.0])
    while len(states) < count:
        # the cube grows until there is room for one more
        spread *= 1.05
        new = spread * rng.uniform(-1, 1, width)
        if all(np.linalg.norm(new - old) >= gap for old in states):
            states.append(new)
    answers = (0, 1, *rng.integers(0, 3, count - 2).tolist())
    state = spread * rng.uniform(-1.5, 1.5, width)
    return Case(np.array(states), answers, float(lead), float(slope), state, int(rng.integers(4)))


def bound(case: Case) -> float:
    """Return γ less τ times the distance to the nearest training state with this answer."""
    return case.lead - case.slope * case.nearest(same=True)


def bound_any(case: Case) -> float:
    """Return τ times the distance to the nearest training state with another answer, less γ."""
    return case.slope * case.nearest(same=False) - case.lead


def measure(case: Case, cones: Cones) -> float:
    """Return the lead of the answer at the state."""
    return cones.lead(case.answer, case.state)


def scale(case: Case) -> float:
    """Return γ and the slope times the largest coordinate, which leads are differences of."""
    sizes = largest(case.states) + largest(case.state)
    return case.lead + case.slope * sizes * case.states.shape[1] ** 0.5


def attain(case: Case) -> Cones:
    """Put a cone of height γ and slope τ around each training state."""
    return Cones(case.states, case.answers, (case.reach,) * len(case.answers), case.slope)


def attain_any(case: Case) -> Cones:
    """Put a further cone around the state, up to those of other answers."""
    cones = attain(case)
    room = max(0.0, case.nearest(same=False) - case.reach)
    return _add(cones, case.state, case.answer, room)


def _add(cones: Cones, centre: Array, answer: int, radius: float) -> Cones:
    xp = array_namespace(cones.centres)
    centres = xp.concat([cones.centres, centre[None, :]])
    return replace(
        cones, centres=centres, answers=(*cones.answers, answer), radii=(*cones.radii, radius)
    )


def rival(case: Case, rng: np.random.Generator) -> Cones:
    """Return wider cones where there is room, and a further one of any answer near the state."""
    cones = attain(case)
    wider = list(cones.radii)
    for i, answer in enumerate(case.answers):
        room = _room(cones, case.states[i], answer, skip=i)
        wider[i] = max(wider[i], float(rng.uniform(0, 1)) * room)
        cones = replace(cones, radii=tuple(wider))
    centre = case.state + case.reach * rng.uniform(0, 2) * unit_vectors(rng, len(case.state))
    answer = int(rng.integers(4))
    return _add(cones, centre, answer, max(0.0, _room(cones, centre, answer)))


def _room(cones: Cones, centre: Array, answer: int, skip: int = -1) -> float:
    """Return how wide a cone of an answer may be here without meeting one of another answer."""
    room = cones.radii[0]
    others = list[float]()
    for i, other in enumerate(cones.answers):
        if i != skip and other != answer:
            others.append(norm(cones.centres[i] - centre) - cones.radii[i])
    return min(others, default=room)


def _is_learned(case: Case, cones: Cones) -> bool:
    room = SAFETY * scale(case)
    leads = [cones.lead(one, case.states[i, ...]) for i, one in enumerate(case.answers)]
    return min(leads) >= case.lead - room


# steeper cones, or overlapping ones of different answers, give leads a larger slope
def _has_slope(case: Case, cones: Cones) -> bool:
    return cones.steepness <= case.slope and not cones.overlap()


ASSUMPTIONS = {
    LEARNED: _is_learned,
    SLOPE: _has_slope,
    NEAR: lambda case, _: case.nearest(same=True) <= case.reach * (1 + SAFETY),
}
ASSUMPTIONS_ANY = {LEARNED: _is_learned, SLOPE: _has_slope}


def _fine(state: float = 0.75, answer: int = 0) -> tuple[Case, Cones]:
    case = Case(np.array([[0.0], [4.0]]), (0, 1), 1.0, 1.0, np.array([state]), answer)
    return case, attain(case)


def _far() -> tuple[Case, Cones]:
    case, _ = _fine(-3.0, 2)
    return case, attain_any(case)


CONTROLS = (
    spoil("train for half as long", LEARNED, _fine, lambda x: replace(x, radii=(0.5, 1.0))),
    spoil(
        "fall twice as fast", SLOPE, _fine, lambda x: replace(x, radii=(0.5,) * 2, steepness=2.0)
    ),
    Control("ask out of reach", NEAR, lambda: _fine(2.0), fails="tight"),
)
CONTROLS_ANY = (
    spoil("forget a training state", LEARNED, _far, lambda x: replace(x, radii=(0.1, 1.0, 2.9))),
    spoil(
        "rise twice as fast",
        SLOPE,
        _far,
        lambda x: replace(x, radii=(0.5, 0.5, 2.0), steepness=2.0),
    ),
)


@dataclass(frozen=True)
class Cut:
    """Facts of the second hop, and the bits that pass the cut or are stored above it."""

    facts: int
    bits: float


@dataclass(frozen=True)
class Stored:
    """Facts that are stored; if `foreseen`, at each prompt only those that it asks for."""

    facts: int
    foreseen: bool = False


def draw_bits(rng: np.random.Generator, size: int) -> Cut:
    """Draw a power of two facts, as many as a long text may hold, and bits for some of them."""
    facts = 2 ** int(rng.integers(1, 20 * size))
    return Cut(facts, float(rng.uniform()) * facts * math.log2(facts))


def bound_bits(case: Cut) -> float:
    """Return the accuracy that Fano's inequality allows, which is no limit above 1."""
    return (1 + case.bits / case.facts) / math.log2(case.facts)


def measure_bits(case: Cut, stored: Stored) -> float:
    """Return the accuracy if so many facts are stored and all other answers are guessed."""
    # if it is known which fact a prompt asks for, this one suffices
    known = case.facts if stored.foreseen and stored.facts else stored.facts
    return (known + (case.facts - known) / case.facts) / case.facts


def rival_bits(case: Cut, rng: np.random.Generator) -> Stored:
    """Store facts until the bits are used up, or some of them."""
    return Stored(int(rng.choice([1.0, rng.uniform()]) * (case.bits // math.log2(case.facts))))


ASSUMPTIONS_BITS = {
    PAYS: lambda case, stored: stored.facts * math.log2(case.facts) <= case.bits,
    APART: lambda _, stored: not stored.foreseen,
}
CONTROLS_BITS = (
    Control("store all for nothing", PAYS, lambda: (Cut(2**20, 0.0), Stored(2**20))),
    Control(
        "write the one answer that is needed", APART, lambda: (Cut(1024, 10.0), Stored(1, True))
    ),
)

THEOREM: Theorem[Case, Cones] = Theorem.of(__name__)
CLAUSES = (
    THEOREM.clause("any answer", "_any"),
    THEOREM.clause("bits through a cut", "_bits", compute=(bits_needed,)),
)
