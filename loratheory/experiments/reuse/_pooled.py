"""One adapter a hop that learns what all pairs of a shelf learned apart."""

from dataclasses import replace

from loratheory.experiments.reuse._shelves import KINDS, Shelf, learned
from loratheory.tasks.two_hop import joined
from loratheory.toy.transformer import Lora


def pooled(shelf: Shelf, rank: int) -> tuple[Lora, ...]:
    """Return one adapter a hop that learns the facts of all pairs at once.

    Parameters
    ----------
    shelf : Shelf
        Whose facts, and whose training but for the rank.
    rank : int
        Of these adapters.

    Returns
    -------
    tuple of Lora
        They rehearse what those of the first pair do. Costs about as many prompts as are told.
    """
    teaching = replace(shelf.teaching, rank=rank)
    found = []
    for hop in range(shelf.bases.setting.hops):
        data = [
            joined([*(one.hops[hop].told for one in of), of[0].hops[hop].kept])
            for of in zip(*shelf.lessons, strict=True)
        ]
        found.append(learned(shelf.bases, teaching, data, (len(KINDS), hop), 0))
    return tuple(found)
