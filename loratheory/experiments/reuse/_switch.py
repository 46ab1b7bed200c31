"""Which chains are answered as all adapters are merged ever more strongly, and which should be."""

from collections.abc import Sequence

import numpy as np

from loratheory.experiments.engine import Row
from loratheory.experiments.reuse import _rules as rules
from loratheory.experiments.reuse._controls import alike, exchanged
from loratheory.experiments.reuse._margins import Placing, margins, own_loop, pattern
from loratheory.experiments.reuse._marks import accuracy, leads, marks
from loratheory.experiments.reuse._passes import Again, hop_by_hop
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.shapes import Bool, Float, Shaped
from loratheory.toy.transformer import Adapt

Found = dict[str, Shaped[np.ndarray, " E *n"]]
"""Marks of each replica, or of each of its chains."""


def switched(shelf: Shelf, grid: Sequence[float]) -> dict[float, Found]:
    """Return what each common coefficient does to the first pair, and what is predicted of it.

    Parameters
    ----------
    shelf : Shelf
        One pair of adapters, or more hops.
    grid : sequence of float
        Coefficients.

    Returns
    -------
    dict
        For each coefficient the marks, and beside them: `oracle_placement`, chains where each
        adapter
        acts in the loop of its hop only, so that it cannot disturb another hop; `hop_by_hop`,
        chains asked one relation a pass; `facts`, all single facts. Predictions, each with the
        share that it is right on, ``…_right``: of `two_hop`, `predicted` from the margins of the
        facts alone, `inside` from those of the facts within chains, `curved` from these with the
        own adapter at this very coefficient, `decided` with bridges decided; of `oracle_placement`,
        `oracle_inside`, `oracle_curved` and `oracle_decided`; of `hop_by_hop`, `each_hop`; of
        `facts`,
        `predicted_facts`. In one pass, chains whose bridges the base does not read
        are predicted to fail. Controls: `held_out`, the base on unedited chains; `alone`, the
        best of the adapters by itself; `exchanged` and `random` adapters. In units of the
        deficit, or of one logit where that is more: `curvature`, how far a fact's lead is off the
        straight line between its two margins, and `interference`, what the other adapters then do
        to it. Costs about thirty passes a coefficient.
    """
    known, asked, each = shelf.bases, shelf.trials[0], shelf.adapters
    prompts = [one.chains for one in asked]
    facts = [[one.hops[hop] for one in asked] for hop in range(known.setting.hops)]
    alone, inside = margins(shelf), margins(shelf, inside=True)
    own, kind = margins(shelf, inside=True, placed=own_loop), pattern(shelf)
    bridged, unit = inside.held[1:].all(axis=0), np.maximum(alone.deficit, 1.0)
    foreign = [exchanged(x, shelf.teaching.sets) for x in each]
    noise = [alike(x, seed) for seed, x in enumerate(each)]
    held_out = accuracy(known, [one.other_chains for one in asked])
    apart = [own_loop(x, hop) for hop, x in enumerate(each)]

    def _share(adapters: Sequence[Adapt], c: float) -> Float[np.ndarray, " E"]:
        return accuracy(known, prompts, rules.added(adapters, [c] * len(adapters)))

    def _curved(c: float, place: Placing) -> Bool[np.ndarray, "E n"]:
        found = margins(shelf, inside=True, placed=lambda x, hop: rules.added([place(x, hop)], [c]))
        return found.composes(1.0, kind) & bridged

    def _leads(acting: Sequence[Adapt]) -> Float[np.ndarray, "hops E n"]:
        return np.stack([leads(known, f, act) for f, act in zip(facts, acting, strict=True)])

    found = {}
    for c in grid:
        merged = rules.added(each, [c] * len(each))
        lone, both = _leads([rules.added([x], [c]) for x in each]), _leads([merged] * len(each))
        line, right = alone.leads(c), leads(known, prompts, merged) > 0
        truth = leads(known, prompts, rules.added(apart, [c] * len(each))) > 0
        asked_again = leads(known, prompts, Again(merged, hop_by_hop)) > 0
        told = {
            "predicted": (alone.composes(c, kind) & bridged, right),
            "inside": (inside.composes(c, kind) & bridged, right),
            "curved": (_curved(c, lambda x, _: x), right),
            "decided": (alone.decided(c) & bridged, right),
            "oracle_inside": (own.composes(c, kind) & bridged, truth),
            "oracle_curved": (_curved(c, own_loop), truth),
            "oracle_decided": (own.decided(c) & bridged, truth),
            "each_hop": (alone.decided(c), asked_again),
            "predicted_facts": (by_replica(line > 0), by_replica(both > 0)),
        }
        found[round(c, 9)] = {
            **marks(shelf, rules.everywhere(merged, shelf)),
            "oracle_placement": truth,
            "hop_by_hop": asked_again,
            "facts": by_replica(both > 0),
            **{name: guess for name, (guess, _) in told.items()},
            **{f"{name}_right": guess == fact for name, (guess, fact) in told.items()},
            "held_out": held_out,
            "alone": np.max([_share([x], c) for x in each], axis=0),
            "exchanged": _share(foreign, c),
            "random": _share(noise, c),
            "curvature": by_replica((lone - line) / unit),
            "interference": by_replica((both - lone) / unit),
        }
    return found


def by_replica(found: Shaped[np.ndarray, "hops E n"]) -> Shaped[np.ndarray, "E hops_n"]:
    """All facts of a replica in one row."""
    return np.moveaxis(found, 0, 1).reshape(found.shape[1], -1)


def averaged(found: Found, bases: int) -> list[Row]:
    """Return the mean of each mark over all that belongs to a base, to three decimals."""
    means = {name: x.reshape(bases, -1).mean(axis=1) for name, x in found.items()}
    return [{name: round(float(x[g]), 3) + 0.0 for name, x in means.items()} for g in range(bases)]
