"""Ways to answer a two-hop question from one read: merges, gates, products.

A rule returns the answers' logits, an (n, n) array with a column per prompt, once for every gate
pattern that a router may choose.
"""

from collections.abc import Callable, Sequence

from loratheory.lowrank import Array, array_namespace
from loratheory.toy._one_read import TwoHop

Rule = Callable[[TwoHop], list[Array]]


def chosen(logits: Array) -> list[int]:
    """The answer to each prompt; answers equal up to rounding tie, and the first one wins."""
    xp = array_namespace(logits)
    best = logits >= xp.max(logits, axis=0) - 1e-9 * xp.max(xp.abs(logits))
    first = xp.argmax(xp.astype(best, xp.int8), axis=0)
    return [int(first[prompt]) for prompt in range(first.shape[0])]


def added(first: int | float, second: int | float) -> Rule:
    """The base and both adapters with these coefficients: one pattern."""
    return lambda q: [q.logits(q.base) + first * q.logits(q.first) + second * q.logits(q.second)]


def gated(strengths: Sequence[int | float]) -> Rule:
    """A router that chooses among these strengths of the second adapter."""
    return lambda q: [added(1.0, strength)(q)[0] for strength in strengths]


def coded(gates: Sequence[int | float]) -> Rule:
    """A router without adapters: gate ``g`` makes the whole number next to ``g`` the answer."""

    def _logits(q: TwoHop) -> list[Array]:
        like = q.prompts[0, :] * 0
        xp = array_namespace(like)
        z = xp.arange(like.shape[0], dtype=like.dtype, device=like.device)
        return [xp.stack([gate * z - z**2 / 2 for _ in q.answers], axis=1) for gate in gates]

    return _logits


def responsive(q: TwoHop) -> list[Array]:
    """Each adapter as strong as its share of the response on the prompt: real-valued gates."""
    xp = array_namespace(q.base)
    first, second = (xp.sum((low @ q.prompts) ** 2, axis=0) for low in (q.first, q.second))
    whole = first + second + 1e-300
    return [
        q.logits(q.base) + first / whole * q.logits(q.first) + second / whole * q.logits(q.second)
    ]


def flattened(q: TwoHop) -> list[Array]:
    """Iso-C (arXiv 2502.04959) on the nonzero singular values: all become their mean."""
    left, sigma, right = (q.first + q.second).svd()
    xp = array_namespace(sigma)
    k = max(int(xp.count_nonzero(sigma > 1e-9 * xp.max(sigma))), 1)
    return [q.logits(q.base) + xp.mean(sigma[:k]) * q.logits(left[:, :k], right[:k, :])]


def crossed(q: TwoHop) -> list[Array]:
    """A product of the adapters, as composition is one, but without the bridge."""
    return [q.logits(q.base) + q.logits(q.second, q.first.T, q.first)]


def composed(q: TwoHop) -> list[Array]:
    """Two reads with the bridge between them."""
    first, second = q.base + q.first.dense(), q.base + q.second.dense()
    return [q.logits(second, q.bridge, first)]
