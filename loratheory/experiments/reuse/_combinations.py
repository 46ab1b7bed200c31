"""Chains apart by their facts: what trained chains show of each, and how a bare base answers."""

import math
from dataclasses import dataclass

import numpy as np

from loratheory.experiments.reuse._bases import Bases
from loratheory.experiments.reuse._marks import accuracy
from loratheory.experiments.reuse._passes import Again, Passes
from loratheory.tasks.two_hop import Questions, Split, World, along, every, joined, plain

PARTS = ("trained", "held_out", "first_unseen", "second_unseen", "both_unseen")


@dataclass(frozen=True, eq=False)
class Combinations(Split):
    """The chains of a world by what trained chains show of their facts.

    Attributes
    ----------
    trained : Questions
        Those that pretraining asks.
    held_out : Questions
        In no prompt, but each of their facts is needed by some trained chain.
    first_unseen, second_unseen, both_unseen : Questions
        No trained chain needs their first fact, their second, either of them: these are told as
        single facts alone.
    """

    first_unseen: Questions
    second_unseen: Questions
    both_unseen: Questions


def combinations(
    here: World, coverage: float, unseen: float, *, rng: np.random.Generator
) -> Combinations:
    """Return the chains of two hops apart by their facts.

    Parameters
    ----------
    here : World
        Two hops, several relations.
    coverage : float
        Fraction to train, of the chains that no unseen fact bars; more where a held-out chain
        has a fact that no trained one needs.
    unseen : float
        Probability that no trained chain needs a fact; the first relation of each hop is spared.
    rng : Generator
        Chooses.

    Returns
    -------
    Combinations
        Five parts that make up all chains.
    """
    chains = every(here)
    facts = chains.relations * here.size + along(here, chains)[:, :-1]
    lone = rng.random(here.maps.shape) < unseen
    lone[:, 0] = False
    first, second = (table.ravel()[one] for table, one in zip(lone, facts.T, strict=True))
    free = ~(first | second)
    inside = free & (rng.random(len(chains)) < coverage)
    inside |= free & ~np.all([np.isin(one, one[inside]) for one in facts.T], axis=0)
    parts = (inside, free & ~inside, first & ~second, second & ~first, first & second)
    return Combinations(*(chains[np.flatnonzero(part)] for part in parts))


def answered(known: Bases, passes: Passes) -> dict[str, float]:
    """Return the share of each kind of question that one bare base answers right.

    Parameters
    ----------
    known : Bases
        One model, its split one of `Combinations`.
    passes : callable
        How it is asked.

    Returns
    -------
    dict of str to float
        Single `facts`, and the chains of each of `PARTS`; nan where there are none.
    """
    [here], [parts] = known.worlds, known.splits
    hops = range(here.hops)
    asked = {"facts": joined([plain(here, every(here, start=hop, hops=1)) for hop in hops])}
    asked |= {name: plain(here, getattr(parts, name)).final() for name in PARTS}
    silent = Again(lambda *_: None, passes)
    return {
        name: accuracy(known, [rows], silent).item() if len(rows) else math.nan
        for name, rows in asked.items()
    }
