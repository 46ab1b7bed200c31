"""Answers of small transformers question by question, with forecasts, and how good these are.

A forecast is compared with what a lookup table says that has never looked at an adapter: the mean
over all other bases in the same condition, such as the same rule at the same coefficient.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from loratheory.shapes import Shaped
from paper.studies._shared.answers import accuracies, answer_margins
from paper.studies._shared.library import Act, acting, added
from paper.studies._shared.run import Row
from paper.studies._shared.theory import Placing, circuit, margins, pattern
from paper.studies._shared.training import Taught

if TYPE_CHECKING:
    pass


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
    bases, asked, kind = library.bases, library.trials[0], pattern(library)
    alone, whole = margins(library), margins(library, inside=True)
    bridged = whole.held[1:].all(axis=0)
    held_out = np.repeat(circuit(bases), library.teaching.sets)
    strength, nothing = alone.effective(1.0), np.full(bridged.shape, np.nan)
    table: list[Row] = []
    for way in ways:
        (act,), c = acting(library, way.act), way.coefficient
        shares = accuracies(library, [act])
        facts = [
            answer_margins(bases, [one.hops[hop] for one in asked], act) > 0
            for hop in range(bases.setting.hops)
        ]
        predicted = curved = reach = nothing
        survives = np.full(strength.shape, np.nan)
        if way.theory:
            survives, predicted = alone.survives(c), alone.decided(c)
        if way.theory and act.passes == "one":
            at = margins(library, inside=True, placed=_times(c))
            predicted, reach = alone.composes(c, kind) & bridged, at.reach(1.0, kind)
            curved = (reach > 0) & bridged
        columns = {
            "two_hop": answer_margins(bases, [one.questions for one in asked], act) > 0,
            **_each("hop", facts),
            **{name: shares[name][:, None] for name in ("other_hops", "other_two_hop", "chance")},
            "held_out": held_out[:, None],
            **_each("strength", strength),
            **_each("survives", survives),
            "predicted": predicted,
            "curved": curved,
            "reach": reach,
        }
        table += _rows(library, {**head, "rule": way.rule, "coefficient": c}, columns)
    return table


def _times(c: float) -> Placing:
    """Adapters everywhere, multiplied by a coefficient."""
    return lambda adapter, _: added([adapter], [c])


def _each(name: str, values: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{name}_{hop + 1}": one for hop, one in enumerate(values)}


def _rows(
    library: Taught, head: Mapping[str, Any], columns: Mapping[str, Shaped[np.ndarray, "E _"]]
) -> list[Row]:
    """One row per replica and question; numbers have three decimals."""
    shape = columns["two_hop"].shape
    flat = {n: np.broadcast_to(x, shape).astype(float).round(3) + 0.0 for n, x in columns.items()}
    return [
        {**head, "seed": seed, "set": number, "question": question}
        | {name: float(x[e, question]) for name, x in flat.items()}
        for e, (seed, number) in enumerate(library.replicas)
        for question in range(shape[1])
    ]
