"""Answers of small transformers question by question, with forecasts, and how good these are.

A forecast is compared with what a lookup table says that has never looked at an adapter: the mean
over all other bases in the same condition, such as the same rule at the same coefficient.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from loratheory.shapes import Shaped
from loratheory.toy.transformer import Adapt
from paper.studies._shared.answers import accuracies, answer_margins
from paper.studies._shared.library import Act, acting, added, by_hop
from paper.studies._shared.run import Row
from paper.studies._shared.theory import circuit, margins, pattern
from paper.studies._shared.training import Taught


@dataclass(frozen=True, eq=False)
class Way:
    """A way of using adapters: its rule's name, and the coefficient of adapters where they act.

    Theory forecasts those with `theory`, where both adapters have the coefficient everywhere.
    """

    rule: str
    coefficient: float
    act: Act
    theory: bool = False


def by_question(library: Taught, head: Mapping[str, Any], ways: Iterable[Way]) -> list[Row]:
    """Return a row per way, replica and edited question of the first pair.

    Measured are `two_hop`, `hop_1` and `hop_2`, 1 where the question or a fact that it needs is
    answered; and the replica's accuracies `other_hops`, `other_two_hop`, `chance` and `held_out`,
    that of the base on questions of its own that it never saw.

    Of each adapter alone are `strength_1` and `strength_2` (see `Margins.effective`). Forecasts
    from them are `survives_1` and `survives_2` of the facts (``thm:averaging-survival``), and of
    the question `predicted` (``thm:two-read-region``; hop by hop ``thm:clean-up-bridge``) and
    `curved`, in which each adapter is measured at the coefficient itself, within questions; `reach`
    is how far inside the region the latter is. Forecasts are NaN where there is no theory.
    """
    bases, kind = library.bases, pattern(library)
    alone, whole = margins(library), margins(library, inside=True)
    # A bridge that the base does not read on is predicted to fail.
    bridged = whole.held[1:].all(axis=0)
    held_out = np.repeat(circuit(bases), library.teaching.sets)
    strength, nothing = alone.effective(1.0), np.full(bridged.shape, np.nan)
    table: list[Row] = []
    for way in ways:
        [act], c = acting(library, way.act), way.coefficient
        shares = accuracies(library, [act])
        predicted, curved, reach = nothing, nothing, nothing
        survives: Any = (nothing, nothing)
        if way.theory:
            survives, predicted = alone.survives(c), alone.decided(c)
        if way.theory and act.passes == "one":
            # Each adapter at the coefficient itself: no straight line is assumed.
            at = margins(library, inside=True, placed=partial(_scale, c))
            predicted, reach = alone.composes(c, kind) & bridged, at.reach(1.0, kind)
            curved = (reach > 0) & bridged
        columns = {"two_hop": answer_margins(bases, library.questions(), act) > 0}
        facts = [answer_margins(bases, library.facts(hop), act) > 0 for hop in (0, 1)]
        columns |= by_hop("hop", facts)
        for name in ("other_hops", "other_two_hop", "chance"):
            columns[name] = shares[name][:, None]
        columns["held_out"] = held_out[:, None]
        columns |= by_hop("strength", strength) | by_hop("survives", survives)
        columns |= {"predicted": predicted, "curved": curved, "reach": reach}
        table += _rows(library, {**head, "rule": way.rule, "coefficient": c}, columns)
    return table


def _scale(c: float, adapter: Adapt, _: int) -> Adapt:
    return added([adapter], [c])


def _rows(
    library: Taught, head: Mapping[str, Any], columns: Mapping[str, Shaped[np.ndarray, "E _"]]
) -> list[Row]:
    """One row per replica and question; numbers have three decimals."""
    shape = columns["two_hop"].shape
    places = [(*replica, k) for replica, k in product(library.replicas, range(shape[1]))]
    table = pd.DataFrame(places, columns=["seed", "set", "question"])
    for name, x in columns.items():
        table[name] = np.broadcast_to(x, shape).astype(float).round(3).ravel() + 0.0
    return [{**head, **row} for row in table.to_dict("records")]
