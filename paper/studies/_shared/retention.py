"""How well measures predict the retention of an adapter in a merge, by the study `real_library`.

A point is an adapter and its partner in a merge of two. It counts as a loss if the adapter's
retention is below nine tenths. Measures need no labels, and are larger where more loss is expected.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import rankdata, spearmanr

from loratheory.shapes import Bool, Float

if TYPE_CHECKING:
    import pandas as pd

Column = Float[np.ndarray, " n"]
LOST, NEAR, DRAWS = 0.9, 40, 300
"""What a loser keeps less than; points near one that foretell it; draws of a bootstrap."""
ABOUT = ("leak", "norm", "rate", "kind")
OWN, PARTNER = "own_", "partner_"


def _ratio(one: str, other: str) -> Callable[["pd.DataFrame"], Column]:
    return lambda rows: np.log(rows[one].to_numpy() / rows[other].to_numpy())


def _column(name: str) -> Callable[["pd.DataFrame"], Column]:
    return lambda rows: rows[name].to_numpy()


MEASURES: Mapping[str, Callable[["pd.DataFrame"], Column]] = {
    # a merged pass over own prompts
    "kl_few": _column("kl_few"),
    "kl": _column("kl"),
    # a merged pass over texts that the adapter wrote
    "kl_generated": _column("kl_generated"),
    # passes of the adapters alone over own prompts
    "mixed_kl": _column("mixed_kl"),
    "partner_kl / own_kl": _ratio("partner_kl", "own_kl"),
    "heard": _column("heard"),
    # passes over ordinary text
    "leak": _column(PARTNER + "leak"),
    "leak / own leak": _ratio(PARTNER + "leak", OWN + "leak"),
    # weights
    "crosstalk": _column("crosstalk"),
    "worst": _column("worst"),
    "cosine": lambda rows: np.abs(rows["cosine"].to_numpy()),
    "overlap": _column("overlap"),
    "norms": _ratio(PARTNER + "norm", OWN + "norm"),
}
"""Values of each measure for some points, by what it needs; the first was named before the run."""
LEAKS = (0.5, 1.0, 2.0, 4.0)
"""Nats a token by which partners are told apart in the record."""
NORMS_AND_RATES = (PARTNER + "norm", OWN + "norm", PARTNER + "rate", OWN + "rate")


def points(
    table: "pd.DataFrame", kinds: Mapping[str, str], way: str, lessons: str
) -> "pd.DataFrame":
    """Return a row for each point under one way of merging, with the columns that measures need.

    Parameters
    ----------
    table : DataFrame
        The table of the study `real_library`.
    kinds : mapping
        The kind of task of each adapter.
    way, lessons : str
        The values of these columns whose rows are used.
    """
    rows = table[table["lessons"] == lessons].rename(columns={"partners": "partner"})
    alone = rows[rows["stage"] == "alone"].set_index("adapter")
    about = alone.assign(kind=alone.index.map(kinds))[[*ABOUT]]
    before = rows[rows["stage"] == "beside"].dropna(axis=1)
    merged, both = rows[rows["way"] == way], ["adapter", "partner"]
    wrote = merged[merged["stage"] == "generated"].rename(columns={"kl": "kl_generated"})
    pairs = merged[merged["stage"].isin(["pairs", "other coefficients"])]
    kept = pairs[[*both, "group", "right", "kept", "kl_few", "kl", "agreement"]]
    told = before.drop(columns=["lessons", "stage", "way", "group", "coefficient"])
    found = kept.merge(told, on=both, validate="one_to_one")
    found = found.merge(wrote[[*both, "kl_generated"]], "left", both, validate="one_to_one")
    for name, place in (("adapter", OWN), ("partner", PARTNER)):
        found = found.join(about.add_prefix(place), on=name)
    return found.assign(lost=found["kept"] < LOST)


def auc(
    values: Column, lost: Bool[np.ndarray, " n"], weights: Float[np.ndarray, "... n"] | None = None
) -> Any:
    """Return the AUC: how often a loss has a larger value than a point without; ties count half.

    There is one number for each row of `weights` of the points; NaN where all or none are losses.
    """
    weight = np.ones(len(values)) if weights is None else weights
    order = np.argsort(values, kind="stable")
    steps = np.unique(values[order], return_index=True)[1]
    losers, others = (
        np.add.reduceat((weight * x)[..., order], steps, axis=-1) for x in (lost, ~lost)
    )
    below, total = np.cumsum(others, axis=-1) - others / 2, losers.sum(-1) * others.sum(-1)
    found = np.full(total.shape, np.nan)
    return np.divide((losers * below).sum(-1), total, out=found, where=total > 0)[()]


def scores(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return how well each measure predicts the losses of some points.

    Returns
    -------
    DataFrame
        A row for each measure that all points have, for a constant, for a lookup of the two kinds,
        and for norms and learning rates weighed by least squares on other kinds. ``rho`` is its
        Spearman correlation with what is lost; ``auc`` its AUC for losses, ``strata`` the mean AUC
        among points with the same two learning rates, each with a 95 % interval over adapters drawn
        again (``low``, ``high``, ``strata_low``, ``strata_high``); ``least`` the least AUC if one
        kind is left out; ``names`` how often, in pairs of which one adapter keeps a tenth less,
        that one has the larger value. Retention is also predicted from the nearest points of other
        kinds: ``error`` is the mean absolute error, ``covers`` how often the interval of nine
        tenths of these points contains the truth, and ``wide`` its width.
    """
    import pandas as pd

    lost, kept = rows["lost"].to_numpy(), rows["kept"].to_numpy()
    columns = {"constant": np.zeros(len(rows)), "kinds": _lookup(rows)}
    measured = {name: measure(rows) for name, measure in MEASURES.items()}
    columns |= {name: x for name, x in measured.items() if np.isfinite(x).all()}
    columns |= {"norms and rates": _fitted(rows, NORMS_AND_RATES)}
    weights = np.vstack([np.ones(len(rows)), _redrawn(rows)])
    found = {}
    for name, values in columns.items():
        strata = [auc(values[some], lost[some], weights[:, some]) for some in _strata(rows)]
        found[name] = {
            "rho": float(spearmanr(values, -kept)[0]) if np.ptp(values) else 0.0,
            **_interval("auc", "", auc(values, lost, weights)),
            **_interval("strata", "strata_", np.ma.masked_invalid(strata).mean(0).filled(np.nan)),
            "least": min(float(auc(values[some], lost[some])) for some in _without(rows)),
            "names": _named(rows, values),
            **_foretold(rows, values),
        }
    return pd.DataFrame.from_dict(found, orient="index")


def _interval(name: str, start: str, each: Column) -> dict[str, float]:
    """Return the first number, and the 95 % interval of the others, which are other draws."""
    low, high = np.nanpercentile(each[1:], [2.5, 97.5])
    return {name: float(each[0]), f"{start}low": float(low), f"{start}high": float(high)}


def _redrawn(rows: "pd.DataFrame") -> Float[np.ndarray, "d n"]:
    """Return the points' weights for each draw of the adapters, with replacement."""
    names, rng = sorted(set(rows["adapter"])), np.random.default_rng(0)
    own, partner = (np.searchsorted(names, rows[c]) for c in ("adapter", "partner"))
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    return (counts[:, own] * counts[:, partner]).astype(float)


def _without(rows: "pd.DataFrame") -> list[Bool[np.ndarray, " n"]]:
    """Return for each kind which points have neither adapter nor partner of that kind."""
    return [~_about(rows, kind) for kind in sorted(set(rows[OWN + "kind"]))]


def _about(rows: "pd.DataFrame", kind: str) -> Bool[np.ndarray, " n"]:
    return ((rows[OWN + "kind"] == kind) | (rows[PARTNER + "kind"] == kind)).to_numpy()


def _strata(rows: "pd.DataFrame") -> list[Bool[np.ndarray, " n"]]:
    """Return for each pair of learning rates which points have it."""
    rates = rows[[OWN + "rate", PARTNER + "rate"]]
    return [(rates == one).all(axis=1).to_numpy() for one in rates.drop_duplicates().to_numpy()]


def _named(rows: "pd.DataFrame", values: Column) -> float:
    """Return how often the adapter of a pair that keeps a tenth less has the larger value."""
    right = []
    for _, pair in rows.assign(value=values).groupby("group"):
        (one, other), (a, b) = pair["kept"], pair["value"]
        if abs(one - other) > 1 - LOST:
            right.append(0.5 if a == b else float((a > b) == (one < other)))
    return float(np.mean(right)) if right else float("nan")


def _lookup(rows: "pd.DataFrame") -> Column:
    """Return what is lost on average beside partners of the same kind, in other pairs.

    Pairs with either of the point's adapters are left out; where no pair of the two kinds is left,
    the mean is over all others.
    """
    own, partner = rows["adapter"].to_numpy(), rows["partner"].to_numpy()
    kinds = (rows[OWN + "kind"] + " + " + rows[PARTNER + "kind"]).to_numpy()
    gone, found = 1 - rows["kept"].to_numpy(), []
    for a, b, kind in zip(own, partner, kinds, strict=True):
        others = ~(np.isin(own, (a, b)) | np.isin(partner, (a, b)))
        same = others & (kinds == kind)
        found.append(gone[same if same.any() else others].mean())
    return np.array(found)


def _fitted(rows: "pd.DataFrame", names: tuple[str, ...]) -> Column:
    """Return what is lost according to a least-squares fit to the ranks of these columns.

    The fit uses no point with an adapter of the point's own kind.
    """
    ranks = np.column_stack([rankdata(rows[n]) / len(rows) for n in names] + [np.ones(len(rows))])
    gone, own = 1 - rows["kept"].to_numpy(), rows[OWN + "kind"].to_numpy()
    found = np.zeros(len(rows))
    for kind in sorted(set(own)):
        train = ~_about(rows, kind)
        found[own == kind] = ranks[own == kind] @ np.linalg.lstsq(ranks[train], gone[train])[0]
    return found


def _foretold(rows: "pd.DataFrame", values: Column) -> dict[str, float]:
    """Return how well the nearest points foretell what is kept, as `scores` names it.

    They have neither adapter nor partner of the point's own kind.
    """
    kept, own = rows["kept"].to_numpy(), rows[OWN + "kind"].to_numpy()
    middle, low, high = np.zeros((3, len(rows)))
    for kind in sorted(set(own)):
        train = np.flatnonzero(~_about(rows, kind))
        for i in np.flatnonzero(own == kind):
            far = np.abs(values[train] - values[i])
            near = kept[train[far <= np.partition(far, NEAR - 1)[NEAR - 1]]]
            middle[i], (low[i], high[i]) = near.mean(), np.quantile(near, [0.05, 0.95])
    inside = (kept >= low) & (kept <= high)
    return {
        "error": float(np.abs(kept - middle).mean()),
        "covers": float(inside.mean()),
        "wide": float((high - low).mean()),
    }


def record(table: "pd.DataFrame", kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return the numbers of the study that `loratheory.diagnosis` reports, by way of merging.

    Of plain pairs these are the number of ``pairs``, in how many both adapters ``kept`` nine
    tenths, and for three measures the AUC at equal learning rates with its interval: ``crosstalk``
    and ``overlap`` of weights, and the divergence ``kl`` on a dozen prompts. ``beside`` has a row
    for partners that leak up to each of `LEAKS`, plain or taught silence, and one for the rest:
    that leak, how many adapters were added to such partners, the mean of what these kept, and the
    share that kept less than nine tenths.
    """
    import pandas as pd

    found: dict[str, Any] = {}
    for way in ("mean", "sum"):
        rows = points(table, kinds, way, "plain")
        both, told = rows.groupby("group")["kept"].min() >= LOST, scores(rows)
        found[way] = {"pairs": len(both), "kept": int(both.sum())}
        for name in ("crosstalk", "overlap", "kl"):
            numbers = told.loc[name, ["strata", "strata_low", "strata_high"]]
            found[way][name] = numbers.round(2).tolist()
        every = [points(table, kinds, way, lessons) for lessons in table["lessons"].unique()]
        found[way]["beside"] = _beside(pd.concat(every))
    return found


def _beside(rows: "pd.DataFrame") -> list[list[Any]]:
    """Return the rows ``beside`` of `record`, by how much the partner leaks.

    The last row ends with the largest leak.
    """
    leaks = rows[PARTNER + "leak"]
    place, ends = np.searchsorted(LEAKS, leaks), (*LEAKS, round(float(leaks.max()), 1))
    found, counts = rows.groupby(place)[["kept", "lost"]].mean().round(2), np.bincount(place)
    return [[ends[i], int(counts[i]), kept, lost] for i, kept, lost in found.itertuples()]
