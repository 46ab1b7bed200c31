"""One weight matrix, read once: adapters merged into it add up, they do not compose.

First come two-hop questions to such a matrix, then rules to answer them: merges, gates, products.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace
from loratheory.shapes import Float


@dataclass(frozen=True, eq=False)
class AssociativeMemory:
    """A weight with adapters of its shape merged into it, each with its own coefficient."""

    weight: LowRank
    adapters: tuple[LowRank, ...]
    coefficients: tuple[float, ...]

    def parts(self, key: Array) -> tuple[Array, ...]:
        """Return what the base and each scaled adapter put out for ``(d,)`` or ``(d, c)`` keys."""
        pairs = zip(self.coefficients, self.adapters, strict=True)
        return self.weight @ key, *(weight * (low @ key) for weight, low in pairs)

    def logits(self, key: Array) -> Array:
        """Return the output of the merged weight: the sum of the parts."""
        base, *rest = self.parts(key)
        return sum(rest, base)


@dataclass(frozen=True, eq=False)
class TwoHop:
    """Two-hop questions to one weight matrix that is read once, with edits of both relations.

    Attributes
    ----------
    base : (2 n, d) array
        The weight: its first `n` outputs are logits of bridge entities, the others of answers.
    first, second : LowRank
        The adapters that edit the two relations, fitted on the keys of single-hop prompts.
    prompts : (d, n) array
        The keys of two-hop prompts, one per subject.
    bridge : LowRank
        The map (d, 2 n) from each bridge entity to its key, which a second read would need.
    answers : tuple of int
        The right answer to each prompt, ``0 … n - 1``.
    """

    base: Float[Array, "w d"]
    first: LowRank
    second: LowRank
    prompts: Float[Array, "d n"]
    bridge: LowRank
    answers: tuple[int, ...]

    def logits(self, *maps: Array | LowRank) -> Float[Array, "n n"]:
        """Return the answers' logits, a column per prompt, under the product of these maps."""
        # Maps are named in the order of a product, so the last acts first.
        state = self.prompts
        for low in reversed(maps):
            state = low @ state
        return state[len(self.answers) :, :]


def two_hop(
    base: Float[Array, "w d"],
    keys: tuple[Float[Array, "d n"], Float[Array, "d n"], Float[Array, "d n"]],
    values: Sequence[int],
    pairing: Sequence[int],
    answers: Sequence[int],
    *,
    known: bool = True,
) -> TwoHop:
    """Return two-hop questions with edits of least norm.

    `keys` are those of "x r1", of "y r2" and of "x r1 r2". The base (2 n, d) sends key ``i`` of the
    second relation to answer ``i`` and, if `known`, key ``i`` of the first to bridge ``i``; the
    edits subtract these facts. After the edits subject ``i`` has bridge ``values[i]``, bridge ``y``
    has key ``pairing[y]`` of the second relation, and ``answers[j]`` is the answer at key ``j``.
    """
    hop1, hop2, prompts = keys
    xp, n = array_namespace(base), len(values)
    eye = xp.eye(2 * n, dtype=base.dtype, device=base.device)

    def _columns(frame: Array, index: Sequence[int]) -> Array:
        return xp.take(frame, xp.asarray(index, device=frame.device), axis=1)

    # An edit writes the new value and takes back the old one, where the base knows one.
    first = _columns(eye[:, :n], values) - (eye[:, :n] if known else 0 * eye[:, :n])
    second = _columns(eye[:, n:], answers) - eye[:, n:]
    return TwoHop(
        base,
        LowRank(first, xp.linalg.pinv(hop1, rtol=None)),
        LowRank(second, xp.linalg.pinv(hop2, rtol=None)),
        prompts,
        LowRank(_columns(hop2, pairing), eye[:n, :]),
        tuple(answers[pairing[y]] for y in values),
    )


def relu_keys(
    rng: np.random.Generator, n: int, d: int
) -> tuple[Float[Array, "d n"], Float[Array, "d n"], Float[Array, "d n"]]:
    """Return the keys of "x r1", of "y r2" and of "x r1 r2": activations of a random ReLU layer.

    Its inputs are sums of random embeddings, mixed by random matrices that stand for attention.
    """
    first, other, up = rng.standard_normal((3, d, d)) / np.sqrt(d)
    subjects, bridges = rng.standard_normal((2, d, n))
    relations = rng.standard_normal((d, 2))
    hop1, hop2 = relations[:, :1], relations[:, 1:]
    # One attention head moves the first relation to the last token: x r1 r2 reads both.
    states = (
        first @ subjects + hop1,
        first @ bridges + hop2,
        first @ subjects + other @ hop1 + hop2,
    )
    one, two, both = (np.maximum(up @ state, 0.0) for state in states)
    return one, two, both


Rule = Callable[[TwoHop], list[Array]]
"""A rule of reuse: returns, for each gate pattern it may choose, the (n, n) logits of the answers,
with a column per prompt."""


def chosen(logits: Array) -> list[int]:
    """Return each prompt's answer of largest logit; of several, equal up to rounding, the first."""
    xp = array_namespace(logits)
    # Rounding must not decide between answers that are equal in theory.
    best = logits >= xp.max(logits, axis=0) - 1e-9 * xp.max(xp.abs(logits))
    first = xp.argmax(xp.astype(best, xp.int8), axis=0)
    return [int(first[prompt]) for prompt in range(first.shape[0])]


def added(first: int | float, second: int | float) -> Rule:
    """Return the merge of base and both adapters with these coefficients (one gate pattern)."""
    return lambda q: [q.logits(q.base) + first * q.logits(q.first) + second * q.logits(q.second)]


def gated(strengths: Sequence[int | float]) -> Rule:
    """Return a router that chooses one of these coefficients for the second adapter."""
    return lambda q: [added(1.0, strength)(q)[0] for strength in strengths]


def coded(gates: Sequence[int | float]) -> Rule:
    """Return a router without adapters: gate ``g`` makes the integer nearest ``g`` the answer."""

    def _logits(q: TwoHop) -> list[Array]:
        like = q.prompts[0, :] * 0
        xp = array_namespace(like)
        z = xp.arange(like.shape[0], dtype=like.dtype, device=like.device)
        # A parabola in z with its top at the gate, the same for every prompt.
        return [xp.stack([gate * z - z**2 / 2] * len(q.answers), axis=1) for gate in gates]

    return _logits


def responsive(q: TwoHop) -> list[Array]:
    """Return the logits if each adapter is weighed by its share of the squared response norms."""
    xp = array_namespace(q.base)
    first, second = (xp.sum((low @ q.prompts) ** 2, axis=0) for low in (q.first, q.second))
    # A prompt that neither adapter reacts to divides nothing by next to nothing.
    whole = first + second + 1e-300
    return [
        q.logits(q.base) + first / whole * q.logits(q.first) + second / whole * q.logits(q.second)
    ]


def flattened(q: TwoHop) -> list[Array]:
    """Return the logits of Iso-C (arXiv 2502.04959), which makes all singular values their mean."""
    # Iso-C acts on the sum of both adapters.
    # Directions that only rounding made do not count for the mean.
    left, sigma, right = (q.first + q.second).svd().above(1e-9)
    mean = array_namespace(sigma).sum(sigma) / max(sigma.shape[0], 1)
    return [q.logits(q.base) + mean * q.logits(left, right)]


def crossed(q: TwoHop) -> list[Array]:
    """Return the logits if a product of the adapters is added, without the bridge in it."""
    return [q.logits(q.base) + q.logits(q.second, q.first.T, q.first)]


def composed(q: TwoHop) -> list[Array]:
    """Return the logits of two reads with the bridge in between, which answer two-hop questions."""
    first, second = q.base + q.first.dense(), q.base + q.second.dense()
    return [q.logits(second, q.bridge, first)]
