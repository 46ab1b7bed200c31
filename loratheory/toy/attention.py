"""One attention head: scores are a bilinear form of the tokens, of rank at most the head size."""

from dataclasses import dataclass

from loratheory.lowrank import Array, LowRank
from loratheory.shapes import Float


@dataclass(frozen=True, eq=False)
class AttentionHead:
    """Frozen query and key weights of a head of size h on tokens of width d.

    Examples
    --------
    A head in which each token scores itself highest, and an adapter of rank one on its keys after
    which both score the second highest.

    >>> head = AttentionHead(4 * np.eye(2), np.eye(2))
    >>> update = LowRank(np.array([[1.0], [0.0]]), np.array([[-1.0, 1.0]]))
    >>> nothing = LowRank(np.zeros((2, 0)), np.zeros((0, 2)))
    >>> head.adapted(nothing, update).form
    array([[0., 4.],
           [0., 4.]])
    """

    queries: Float[Array, "h d"]
    keys: Float[Array, "h d"]

    @property
    def form(self) -> Float[Array, "d d"]:
        """The score form: the score of key token k for query token q is ``q @ form @ k``."""
        return self.queries.T @ self.keys

    def adapted(self, queries: LowRank, keys: LowRank) -> "AttentionHead":
        """Return the head with these updates merged into its query and key weights."""
        return AttentionHead(self.queries + queries.dense(), self.keys + keys.dense())
