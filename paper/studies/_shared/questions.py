"""Answers of small transformers question by question, with forecasts, and how good these are.

A forecast is compared with what a lookup table says that has never looked at an adapter: the mean
over all other bases in the same condition, such as the same rule at the same coefficient.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from loratheory.bench.answers import accuracies, answer_margins
from loratheory.bench.bootstrap import bootstrap_mean
from loratheory.bench.library import acting, added
from loratheory.bench.rules import Act
from loratheory.bench.training import Taught
from loratheory.shapes import Float, Shaped
from paper.studies._shared.run import Row
from paper.studies._shared.theory import Placing, circuit, margins, pattern
from paper.tables import lookup

if TYPE_CHECKING:
    import pandas as pd

DRAWS = 2000


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


def scored(
    rows: "pd.DataFrame", answer: str, by: Sequence[str], forecasts: Sequence[str]
) -> "pd.DataFrame":
    """Return how good forecasts of a yes-or-no column are, and a lookup table's, row by row.

    The rows of the result are `forecasts`, columns of the table, and ``lookup``. Columns are, each
    with a 95 % bootstrap interval over bases (``…_low``, ``…_high``): `brier`, the mean squared
    error of the forecast as a probability (NaN where it lies outside 0 and 1); `gain`, how much
    smaller it is than the lookup table's on the same base; `auc`, how often the larger forecast is
    that of the question that is answered, of two in the same condition, ties counting half (the
    lookup table cannot tell them apart, so it has ½). Rows without a forecast are left out, also
    those in conditions on one base alone, of which the lookup table says nothing.
    """
    import pandas as pd

    rows = rows.dropna(subset=[answer, *forecasts])
    rows = rows.assign(lookup=lookup(rows, answer, by)).dropna(subset=["lookup"])
    right, seeds = rows[answer].to_numpy(float), rows["seed"].to_numpy()
    each = {name: rows[name].to_numpy(float) for name in (*forecasts, "lookup")}
    lost = {name: np.square(x - right) for name, x in each.items()}
    found = {}
    for name, x in each.items():
        share = x.min() >= 0 and x.max() <= 1
        found[name] = {
            **_interval("brier", lost[name] if share else np.full(len(x), np.nan), seeds),
            **_interval("gain", lost["lookup"] - lost[name] if share else x * np.nan, seeds),
            **_auc(x if name in forecasts else np.zeros(len(x)), right, rows, by),
        }
    return pd.DataFrame.from_dict(found, orient="index")


def _interval(name: str, values: Float[np.ndarray, " n"], seeds: np.ndarray) -> dict[str, float]:
    by_base = np.array([[values[seeds == seed].mean()] for seed in np.unique(seeds)])
    ends = dict(zip(("", "_low", "_high"), bootstrap_mean(by_base, draws=DRAWS), strict=True))
    return {f"{name}{end}": float(x) for end, x in ends.items()}


def _auc(
    values: Float[np.ndarray, " n"], right: np.ndarray, rows: "pd.DataFrame", by: Sequence[str]
) -> dict[str, float]:
    """How often an answered question has the larger value, by the bases of the two."""
    names, base = np.unique(rows["seed"], return_inverse=True)
    won, met = np.zeros((2, len(names), len(names)))
    for places in rows.groupby(list(by)).indices.values():
        yes, no = (places[right[places] == one] for one in (1, 0))
        more = np.sign(values[yes][:, None] - values[no]) / 2 + 0.5
        where = base[yes][:, None], base[no]
        np.add.at(won, where, more)
        np.add.at(met, where, 1.0)
    rng, count = np.random.default_rng(0), len(names)
    times = np.vstack([np.ones(count), rng.multinomial(count, np.full(count, 1 / count), DRAWS)])
    with np.errstate(invalid="ignore"):
        each = np.einsum("da,ab,db->d", times, won, times) / np.einsum(
            "da,ab,db->d", times, met, times
        )
    low, high = np.nanquantile(each[1:], [0.025, 0.975])
    return {"auc": float(each[0]), "auc_low": float(low), "auc_high": float(high)}
