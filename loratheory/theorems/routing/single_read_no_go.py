r"""Single-read no-go: in one read no merge and no router composes two hops.

**Statement.** One read holds both hops of questions over n entities, both hops are bijections, and
the first one, π₁, is uniformly random and independent of all else. A merge or router uses at most m
gate patterns, and within each pattern its answer logits do not depend on π₁. Its two-hop accuracy,
averaged over π₁, is at most m/n, even if an oracle chooses the pattern.

One matrix is read once. Hop 1 sends :math:`x` to :math:`\pi_1(x)`, and hop 2 sends :math:`y` to
:math:`\pi_2(y)`. Both are bijections of :math:`n` entities, and :math:`\Delta_1, \Delta_2` edit
them. (a) Suppose that :math:`\pi_1` is uniform, and that for each of :math:`m` gate patterns the
answer logits do not depend on :math:`\pi_1`. Then the two-hop accuracy is at most

.. math:: m / n,

even if the pattern is chosen by an oracle that knows everything. Row-local merges (sum, mean, TIES,
DARE, none truncated) of hops that write different rows have :math:`m = 1`. Hard routers, with
:math:`\Delta_2` on or off, have :math:`m = 2`. (b) Suppose that gates take any real values, but see
:math:`\Delta_1` only through :math:`\Delta_1^T\Delta_1`. They count as :math:`m = 1` if that matrix
is the same for every :math:`\pi_1`. This holds when hop 1 is new to the base. It does not hold when
the edit also subtracts old values from among the same entities. (c) Suppose that the pairing
:math:`\sigma` of bridge entities with their hop-2 keys is uniform and independent of :math:`W,
\Delta_1, \Delta_2` and the prompt. In other words, the base does not reveal the bridge. Then any
function of these four has accuracy :math:`1/n` at most.

**Proof.** (a) For each prompt there are at most :math:`m` predictions, fixed before :math:`\pi_1`
is drawn. The answer :math:`\pi_2(\pi_1(x))` is uniform on :math:`n` values. (b) The gates are
fixed, and hence the logits. (c) The weights hold :math:`\pi_1` and the map :math:`\rho = \pi_2
\circ \sigma^{-1}` from keys to answers. Given these, the answer :math:`\rho(\sigma(\pi_1(x)))` is
uniform. *Equality in (a).* The logits :math:`-z^2/2 + gz`, the same for all prompts, give the
answer :math:`g`. So :math:`m` gate patterns can give :math:`m` answers. Without a limit on the
number of patterns, one scalar gate could encode the answer. :math:`\square`

**Refuted (unselective success).** Refuted: in one read, the sum of two single-fact adapters never
gives the composed answer. With a neutral base, ReLU keys and least-norm edits, it leads among the
second hop's answers if the prompt and the second hop's key share an active unit.

The least-norm edits :math:`\Delta_i = u_i k_i^\top / \|k_i\|^2` obey :math:`(\Delta_1 + \Delta_2) q
= \sum_i \langle k_i, q\rangle u_i / \|k_i\|^2`. ReLU keys are not negative. So the answer :math:`z`
leads wherever some unit is active both in the second key and in the prompt. This holds on the right
prompt and on those of **all other subjects**. For random embeddings and wide layers the response
tends to :math:`\sqrt{3/2}\; \kappa(1/\sqrt6) = 0.673`. Here :math:`\kappa` is the arc-cosine
kernel, :math:`\pi \kappa(\rho) = \sqrt{1 - \rho^2} + \rho\,(\pi - \arccos\rho)`. The limit is the
same for every bridge and subject, as the inputs of prompt and key have squared norms 3 and 2 and
inner product 1. A test of composition needs two or more edited facts a hop, and answers permuted
among them.

**Implication.** If one read holds both facts and the base does not reveal the bridge, look for a
second read, not for a better merge or router.

**Scope.** The accuracy is averaged over the draw: one base may be lucky. The bound does not hold
for two reads (``thm:two-read-region``), or if the base's weights show which hop-2 key belongs to
which bridge.

References
----------
Chen, Hoang, Hahn, Sarfraz (arXiv 2506.13479).
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import permutations
from typing import Any, Literal

import numpy as np

from loratheory import toy
from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.shapes import Float
from loratheory.theorems._arrays import eye, lead
from loratheory.theorems._theorem import SAFETY, Control, Theorem
from loratheory.toy import AssociativeMemory, interpolating, relu_keys

SENSE = "upper"
SOURCE = "own"

Hidden = Literal["values", "pairing"]
COUNT = "no more gate patterns than the case allows"
BLIND = "answers that, pattern by pattern, do not depend on what is hidden"


@dataclass(frozen=True, eq=False)
class Case:
    """A memory that is read once, and the fact about it that is hidden from merges and routers.

    `hidden` is ``"values"``, the entities to which hop 1 leads, or ``"pairing"``, which hop-2 key
    belongs to which entity. `shown` gives hop 2's answers, and hop 1's values where these are not
    hidden; `known` says whether the base has old first-hop facts. `keys` are those of hop 1, of
    hop 2 and of two-hop prompts; `patterns` is how many gate patterns are allowed.
    """

    hidden: Hidden
    patterns: int
    shown: tuple[int, ...]
    known: bool
    base: Float[Array, "w d"]
    keys: tuple[Float[Array, "d n"], Float[Array, "d n"], Float[Array, "d n"]]

    @cached_property
    def worlds(self) -> list[toy.TwoHop]:
        """Two-hop problems, one for each bijection that may be hidden, all equally likely."""
        same, every = tuple(range(len(self.shown))), permutations(range(len(self.shown)))
        # one of the two facts is drawn, the other is shown
        pairs = ((p, same) if self.hidden == "values" else (self.shown, p) for p in every)
        build = partial(toy.two_hop, self.base, self.keys, answers=self.shown, known=self.known)
        return [build(values=values, pairing=pairing) for values, pairing in pairs]


@lru_cache(maxsize=4)
def _outcomes(case: Case, rule: toy.Rule) -> list[tuple[tuple[int, ...], list[list[int]]]]:
    """Return for every world its right answers, and the predictions under each gate pattern."""
    return [(q.answers, list(map(toy.chosen, rule(q)))) for q in case.worlds]


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw two to four entities with random ReLU keys, on a base with old second-hop facts.

    Half of the bases know old first-hop facts too.
    """
    n, known = int(rng.choice([2, 2, 2, 3, 3, 3, 3, 4])), bool(rng.integers(2))
    magnitude = 10.0 ** rng.integers(-3, 4, 3)
    one, two, both = (
        c * k for c, k in zip(magnitude, toy.relu_keys(rng, n, 2 * n + size), strict=True)
    )
    # a base may know the second hop alone, or both
    facts = np.kron(np.diag([float(known), 1.0]), np.eye(n))
    base = toy.interpolating(np.concatenate([one, two], axis=1), facts).dense()
    shown = tuple(rng.permutation(n).tolist())
    hidden: Hidden = "values" if rng.random() < 0.5 else "pairing"
    return Case(hidden, int(rng.integers(1, n + 1)), shown, known, base, (one, two, both))


def bound(case: Case) -> float:
    """Return m/n, the case's `patterns` over its number of entities, or 1 if that is more."""
    return min(case.patterns / len(case.shown), 1.0)


def branch(case: Case) -> str:
    """Return whether there are patterns for some entities only, or for all."""
    return "some" if case.patterns < len(case.shown) else "all"


def measure(case: Case, rule: toy.Rule) -> float:
    """Return the share of prompts, over all worlds, that the rule answers right in some pattern."""
    # an oracle picks the gate pattern: one right prediction among them is enough
    hits = []
    for answers, predictions in _outcomes(case, rule):
        for x, answer in enumerate(answers):
            hits.append(answer in [prediction[x] for prediction in predictions])
    return sum(hits) / len(hits)


def attain(case: Case) -> toy.Rule:
    """Return a rule that gives all prompts the answer g in its g-th gate pattern.

    Whoever may choose the pattern then chooses the answer.
    """
    return toy.coded(range(case.patterns))


def rival(case: Case, rng: np.random.Generator) -> toy.Rule:
    """Draw a merge or router whose outputs cannot depend on what is hidden."""
    strength = (rng.standard_normal(4) * 10.0 ** rng.integers(-6, 7, 4)).tolist()
    # a router chooses among patterns of its gates; a merge has one
    if case.patterns > 1:
        return toy.gated(strength[: case.patterns])
    # rules that weigh by responses would see a value that is hidden and subtracted
    rules = [toy.added(strength[0], strength[1]), toy.added(1, 1), toy.added(0.5, 0.5)]
    if case.hidden == "pairing" or not case.known:
        rules.append(toy.responsive)
    if case.hidden == "pairing":
        rules += [toy.flattened, toy.crossed]
    return rules[int(rng.integers(len(rules)))]


ASSUMPTIONS = {
    COUNT: lambda case, rule: len(_outcomes(case, rule)[0][1]) <= case.patterns,
    BLIND: lambda case, rule: len({str(p) for _, p in _outcomes(case, rule)}) == 1,
}


def _example(hidden: Hidden, rule: toy.Rule, patterns: int = 1) -> tuple[Case, toy.Rule]:
    one, two, _ = toy.relu_keys(np.random.default_rng(0), 3, 12)
    base = toy.interpolating(np.concatenate([one, two], axis=1), np.eye(6)).dense()
    return Case(hidden, patterns, (1, 2, 0), True, base, (one, two, one)), rule


def _encoded(q: toy.TwoHop) -> list[Array]:
    return [np.array(q.answers) * np.arange(3.0)[:, None] - np.arange(3.0)[:, None] ** 2 / 2]


def _silent(q: toy.TwoHop) -> list[Array]:
    quiet = np.sum((q.first @ q.prompts) ** 2, axis=0) < SAFETY  # the first hop kept its value
    return [np.where(quiet, np.eye(3)[[2, 0, 1]], np.eye(3)[[1, 2, 0]])]


CONTROLS = (
    Control("hand it the bridge", BLIND, partial(_example, "pairing", toy.composed)),
    Control("read twice", BLIND, partial(_example, "values", toy.composed)),
    Control("encode the answer in one real gate", BLIND, partial(_example, "values", _encoded)),
    Control("see what old value is subtracted", BLIND, partial(_example, "values", _silent)),
    Control("count a pattern less", COUNT, partial(_example, "values", toy.coded(range(3)), 2)),
)


# A test that a sum passes without composing


STATUS_FACT = "refuted"

NEUTRAL = "a base that prefers no answer on the prompt"
ADDED = "the sum of the two adapters"


@dataclass(frozen=True, eq=False)
class OneFact:
    """ReLU keys of one fact a hop, "x r1" is y and "y r2" is z, and of two-hop prompts (x's first).

    Outputs are logits of the `entities` bridge entities, y first, then of the `answers`, z first.
    """

    first: Float[Array, " d"]
    second: Float[Array, " d"]
    prompts: Float[Array, "d n"]
    entities: int
    answers: int


def draw_fact(rng: np.random.Generator, size: int) -> OneFact:
    """Draw one fact a hop among two to six subjects, and a layer of at least 64 units."""
    n = int(rng.integers(2, 7))
    one, two, both = relu_keys(rng, n, 64 + int(rng.integers(0, size + 1)))
    magnitude = 10.0 ** int(rng.integers(-3, 4))
    return OneFact(magnitude * one[:, 0], two[:, 0], both, n, int(rng.integers(2, n + 1)))


def measure_fact(case: OneFact, merge: AssociativeMemory) -> float:
    """Return the logit of z less the largest of the other answers' logits, on x's prompt."""
    return lead(merge.logits(case.prompts[:, 0])[case.entities :])


def attain_fact(case: OneFact) -> AssociativeMemory:
    """Return the counterexample: a zero base and the sum of two least-norm edits."""
    # the new facts alone, on a base that knows nothing
    hot = eye(case.first, case.entities + case.answers)
    y, z = hot[:, :1], hot[:, case.entities : case.entities + 1]
    edits = tuple(
        interpolating(key[:, None], value) for key, value in ((case.first, y), (case.second, z))
    )
    return AssociativeMemory(LowRank(0 * y, 0 * case.first[None, :]), edits, (1.0, 1.0))


def _neutral(case: OneFact, merge: AssociativeMemory) -> bool:
    logits = (merge.weight @ case.prompts)[case.entities :, :]
    return bool(array_namespace(logits).all(logits == logits[:1, :]))


ASSUMPTIONS_FACT = {NEUTRAL: _neutral, ADDED: lambda _, merge: merge.coefficients == (1.0, 1.0)}

CONTROLS_FACT = ()

THEOREM: Theorem[Case, toy.Rule] = Theorem.of(__name__)

CLAUSES: tuple[Theorem[Any, Any], ...] = (
    THEOREM.clause("unselective success", "_fact", bound=lambda _: 0.0),
)
