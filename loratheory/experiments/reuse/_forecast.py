"""What theory expects of reused adapters, from what each does alone: no composed run enters."""

from dataclasses import dataclass

import numpy as np

from loratheory.experiments.reuse._bases import Bases
from loratheory.experiments.reuse._margins import PATTERNS, Placing, margins
from loratheory.experiments.reuse._marks import accuracy, lead, scores
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.shapes import Bool, Float
from loratheory.tasks.two_hop import case, plain
from loratheory.theorems.composition._hops import Pattern, margin
from loratheory.toy.transformer import Lora


@dataclass(frozen=True, eq=False)
class Forecast:
    """What decides whether edits compose; axes are pairs ``P``, replicas ``E``, chains ``n``.

    Attributes
    ----------
    patterns : tuple of str
        What else the base knew, pair by pair.
    familiar : (P, E) array of bool
        Whether the base knows the bridges.
    circuit : (E,) array
        How often the base, unedited, is right on chains that it never saw.
    strengths : (P, E, n, hops) array
        Of each edit, alone: 1 if it turns its deficit into a margin of equal size.
    """

    patterns: tuple[Pattern, ...]
    familiar: Bool[np.ndarray, "P E"]
    circuit: Float[np.ndarray, " E"]
    strengths: Float[np.ndarray, "P E n hops"]

    def feasible(self, weights: object) -> Float[np.ndarray, " E"]:
        """Return the share of edited chains in the feasible region (``thm:two-read-region``).

        Parameters
        ----------
        weights : array of float
            How much of each hop's own adapter acts where that hop is read; of the shape of
            `strengths`, or broadcast to it.

        Returns
        -------
        (E,) array
            None counts where the base does not know the bridge.
        """
        acting = self.strengths * np.asarray(weights, dtype=float)
        inside = [
            [[margin(chain, name) > 0 for chain in one.tolist()] for one in each]
            for each, name in zip(acting, self.patterns, strict=True)
        ]
        return np.asarray((np.mean(inside, axis=2) * self.familiar).mean(axis=0))

    def composed(self, weights: object) -> Float[np.ndarray, " E"]:
        """Return `feasible` times `circuit`: a new chain is as good as an unseen one."""
        return self.feasible(weights) * self.circuit

    def decided(self) -> Float[np.ndarray, " E"]:
        """Return the share of chains whose every fact is edited (``thm:clean-up-bridge``)."""
        return np.asarray((self.strengths > 1 / 2).all(axis=-1).mean(axis=(0, 2)))

    @property
    def medians(self) -> dict[str, Float[np.ndarray, " E"]]:
        """Columns `strength_1`, `strength_2`, …: medians over the facts."""
        found = np.median(self.strengths, axis=(0, 2))
        return {f"strength_{hop + 1}": column for hop, column in enumerate(found.T)}


def forecast(shelf: Shelf, *, placed: Placing | None = None) -> Forecast:
    """Return what theory needs to know.

    Parameters
    ----------
    shelf : Shelf
        With adapters of single hops.
    placed : callable, optional
        As of `margins`: what acts in the place of a hop's adapter.

    Returns
    -------
    Forecast
        Costs a few passes.
    """
    cases = [[case(one) for one in edits] for edits in shelf.edits]
    found = [margins(shelf, pair=p, placed=placed).effective(1.0) for p in range(len(cases))]
    return Forecast(
        tuple(PATTERNS[pair[0].name] for pair in cases),
        np.array([[one.familiar for one in pair] for pair in cases]),
        np.repeat(circuit(shelf.bases), shelf.teaching.sets),
        np.moveaxis(np.array(found), 1, -1),
    )


def circuit(known: Bases) -> Float[np.ndarray, " G"]:
    """How often each base answers chains that it never saw, by bridges in no chain that it saw."""
    pairs = zip(known.worlds, known.splits, strict=True)
    return accuracy(known, [plain(here, parts.held_out).final() for here, parts in pairs])


def said(shelf: Shelf, adapter: Lora, coefficient: float) -> Float[np.ndarray, " E"]:
    """Return the share of chains that survive as single facts (``thm:averaging-survival``).

    Parameters
    ----------
    shelf : Shelf
        Whose first pair is asked.
    adapter : Lora
        What teaches these chains outright.
    coefficient : float
        Its weight in the merge, of which nothing else acts.

    Returns
    -------
    (E,) array
        Costs two passes.
    """
    asked = [one.chains for one in shelf.trials[0]]
    base, alone = (scores(shelf.bases, asked, adapt) for adapt in (None, adapter))
    answer = np.stack([one.answer for one in asked])
    mixed = (1 - coefficient) * base + coefficient * alone
    return (lead(mixed, answer) > 0).mean(axis=1)
