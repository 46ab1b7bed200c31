"""How well measures predict the retention of an adapter in a merge, by the study `lm_library`.

A point is an adapter and its partner in a merge of two. It counts as a loss if the adapter's
retention is below nine tenths. Measures need no labels, and are larger where more loss is expected.
"""

from collections.abc import Mapping
from math import nan
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from loratheory.shapes import Bool, Float

Column = Float[np.ndarray, " n"]
LOST, DRAWS = 0.9, 300
"""What a loser keeps less than; draws of a bootstrap."""
ABOUT = ("leak", "norm", "rate", "kind")
OWN, PARTNER = "own_", "partner_"


LEAKS = (0.5, 1.0, 2.0, 4.0)
"""Nats a token by which partners are told apart in the record."""


def points(table: pd.DataFrame, kinds: Mapping[str, str], way: str, lessons: str) -> pd.DataFrame:
    """Return a row for each point under one way of merging, with the columns that measures need.

    Parameters
    ----------
    table : DataFrame
        The table of the study `lm_library`.
    kinds : mapping
        The kind of task of each adapter.
    way, lessons : str
        The values of these columns whose rows are used.
    """
    # The table names an adapter and, in a pair, its one partner.
    rows = table[table["lessons"] == lessons].rename(columns={"partners": "partner"})
    alone = rows[rows["stage"] == "alone"].set_index("adapter")
    about = alone.assign(kind=alone.index.map(kinds))[[*ABOUT]]
    before = rows[rows["stage"] == "beside"].dropna(axis=1)
    merged, both = rows[rows["way"] == way], ["adapter", "partner"]
    wrote = merged[merged["stage"] == "generated"].rename(columns={"kl": "kl_generated"})
    pairs = merged[merged["stage"] == "pairs"]
    kept = pairs[[*both, "group", "right", "kept", "kl_few", "kl", "agreement"]]
    told = before.drop(columns=["lessons", "stage", "way", "group", "coefficient"])
    found = kept.merge(told, on=both, validate="one_to_one")
    found = found.merge(wrote[[*both, "kl_generated"]], "left", both, validate="one_to_one")
    for name, place in (("adapter", OWN), ("partner", PARTNER)):
        found = found.join(about.add_prefix(place), on=name)
    return found.assign(lost=found["kept"] < LOST)


def auc(values: Column, lost: Bool[np.ndarray, " n"]) -> float:
    """Return the AUC: how often a loss has a larger value than a point without; ties count half.

    NaN where all or none are losses.
    """
    losers, others = int(lost.sum()), int((~lost).sum())
    if not losers * others:
        return nan
    # Mann and Whitney's U, by ranks.
    beaten = rankdata(values)[lost].sum() - losers * (losers + 1) / 2
    return float(beaten / (losers * others))


def strata_auc(rows: pd.DataFrame, measure: str) -> tuple[float, float, float]:
    """Return the mean AUC of a measure for losses among points with the same two learning rates.

    With its 95% interval over adapters that are drawn again.
    """
    values, lost = rows[measure].to_numpy(), rows["lost"].to_numpy()
    strata = rows.groupby([OWN + "rate", PARTNER + "rate"]).indices.values()
    names, rng = sorted(set(rows["adapter"])), np.random.default_rng(0)
    # A pair is drawn as often as its two adapters together.
    own, partner = (np.searchsorted(names, rows[c]) for c in ("adapter", "partner"))
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    means = []
    # First every adapter once, which gives the AUC itself.
    for counts in np.vstack([np.ones(len(names), dtype=int), drawn]):
        times, each = counts[own] * counts[partner], []
        for stratum in strata:
            again = np.repeat(stratum, times[stratum])
            each.append(auc(values[again], lost[again]))
        means.append(np.nanmean(each))
    low, high = np.nanpercentile(means[1:], [2.5, 97.5])
    return float(means[0]), float(low), float(high)


def record(table: pd.DataFrame, kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return the numbers of the study that `loratheory.diagnosis` reports, by way of merging.

    Of plain pairs these are the number of ``pairs``, in how many both adapters ``kept`` nine
    tenths, and for three measures the AUC at equal learning rates with its interval: ``crosstalk``
    and ``overlap`` of weights, and the divergence ``kl`` on a dozen prompts. ``beside`` has a row
    for partners that leak up to each of `LEAKS`, plain or taught silence, and one for the rest:
    that leak, how many adapters were added to such partners, the mean of what these kept, and the
    share that kept less than nine tenths.
    """
    found: dict[str, Any] = {}
    for way in ("mean", "sum"):
        rows = points(table, kinds, way, "plain")
        both = rows.groupby("group")["kept"].min() >= LOST
        found[way] = {"pairs": len(both), "kept": int(both.sum())}
        for name in ("crosstalk", "overlap", "kl"):
            found[way][name] = [round(x, 2) for x in strata_auc(rows, name)]
        every = [points(table, kinds, way, lessons) for lessons in table["lessons"].unique()]
        found[way]["beside"] = _beside(pd.concat(every))
    return found


def _beside(rows: pd.DataFrame) -> list[list[Any]]:
    """Return the rows ``beside`` of `record`, by how much the partner leaks.

    The last row ends with the largest leak.
    """
    leaks = rows[PARTNER + "leak"]
    # The last bin is open, and ends where the largest drift lies.
    place, ends = np.searchsorted(LEAKS, leaks), (*LEAKS, round(float(leaks.max()), 1))
    found, counts = rows.groupby(place)[["kept", "lost"]].mean().round(2), np.bincount(place)
    return [[ends[i], int(counts[i]), kept, lost] for i, kept, lost in found.itertuples()]
