"""What tells beforehand how much of an adapter a merge keeps: scores from the table of pairs.

A point is an adapter beside a partner. It loses if it keeps less than nine tenths of what it
answers alone. A measure is larger where more is lost; none looks at an answer.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Measure:
    """What is looked at, and a number for each point."""

    needs: str
    of: Callable[["pd.DataFrame"], Column]


WEIGHTS, TEXT = "weights", "weights, base and ordinary text"
PROMPTS, MERGE = "base and own prompts", "own prompts and the merge"


def _ratio(one: str, other: str) -> Callable[["pd.DataFrame"], Column]:
    return lambda rows: np.log(rows[one].to_numpy() / rows[other].to_numpy())


def _column(name: str, sign: int = 1) -> Callable[["pd.DataFrame"], Column]:
    return lambda rows: sign * rows[name].to_numpy()


MEASURES: Mapping[str, Measure] = {
    "kl_few": Measure(MERGE, _column("kl_few")),
    "kl": Measure(MERGE, _column("kl")),
    "disagreement": Measure(MERGE, _column("agreement", -1)),
    "mixed_kl": Measure(PROMPTS, _column("mixed_kl")),
    "disagreement, mixed": Measure(PROMPTS, _column("mixed", -1)),
    "partner_kl / own_kl": Measure(PROMPTS, _ratio("partner_kl", "own_kl")),
    "heard": Measure(PROMPTS, _column("heard")),
    "leak": Measure(TEXT, _column(PARTNER + "leak")),
    "leak / own leak": Measure(TEXT, _ratio(PARTNER + "leak", OWN + "leak")),
    "ordinary": Measure(TEXT, _column("ordinary")),
    "crosstalk": Measure(WEIGHTS, _column("crosstalk")),
    "worst": Measure(WEIGHTS, _column("worst")),
    "cosine": Measure(WEIGHTS, lambda rows: np.abs(rows["cosine"].to_numpy())),
    "overlap": Measure(WEIGHTS, _column("overlap")),
    "norms": Measure(WEIGHTS, _ratio(PARTNER + "norm", OWN + "norm")),
}
"""Each by itself; the first was named before the run."""
TOGETHER: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "own prompts, together": (
        PROMPTS,
        ("mixed_kl", "partner_kl", "own_kl", "heard", PARTNER + "leak", OWN + "leak"),
    ),
    "ordinary text, together": (
        TEXT,
        (PARTNER + "leak", OWN + "leak", "ordinary", PARTNER + "norm", OWN + "norm"),
    ),
    "weights, together": (
        WEIGHTS,
        ("crosstalk", "worst", "cosine", "overlap", PARTNER + "norm", OWN + "norm"),
    ),
    "norms and rates": (
        WEIGHTS,
        (PARTNER + "norm", OWN + "norm", PARTNER + "rate", OWN + "rate"),
    ),
}
"""Columns whose ranks are weighed by least squares, learnt on points without the kind asked."""


def points(
    table: "pd.DataFrame", kinds: Mapping[str, str], way: str, lessons: str
) -> "pd.DataFrame":
    """Return all points of pairs under one way, each with what tells beforehand.

    Parameters
    ----------
    table : DataFrame
        Of the study `real_library`.
    kinds : mapping
        From adapters to their kinds.
    way, lessons : str
        As the table has them.
    """
    rows = table[table["lessons"] == lessons].rename(columns={"partners": "partner"})
    alone = rows[rows["stage"] == "alone"].set_index("adapter")
    about = alone.assign(kind=alone.index.map(kinds))[[*ABOUT]]
    before = rows[rows["stage"] == "beside"].dropna(axis=1)
    pairs = rows[(rows["way"] == way) & rows["stage"].isin(["pairs", "other coefficients"])]
    both = ["adapter", "partner"]
    kept = pairs[[*both, "group", "right", "kept", "kl_few", "kl", "agreement"]]
    told = before.drop(columns=["lessons", "stage", "way", "group", "coefficient"])
    found = kept.merge(told, on=both, validate="one_to_one")
    for name, place in (("adapter", OWN), ("partner", PARTNER)):
        found = found.join(about.add_prefix(place), on=name)
    return found.assign(lost=found["kept"] < LOST)


def auc(
    values: Column, lost: Bool[np.ndarray, " n"], weights: Float[np.ndarray, "... n"] | None = None
) -> Any:
    """Return how often a loser has the larger value than one that is none; ties count half.

    One number for each row of `weights`, by which points count; NaN where all or none lose.
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
    """Return what every measure tells of some points, a row each.

    Returns
    -------
    DataFrame
        By measure: what it ``needs``; ``rho``, Spearman's with what is lost; ``auc`` for who loses,
        its interval ``low`` to ``high`` at 95 %, adapters drawn again; ``least``, the least AUC
        without one kind; ``strata``, the mean over pairs of learning rates; ``names``, how often
        the larger value of a pair is of the one that keeps a tenth less. What is kept, foretold
        from the nearest points of other kinds: its mean absolute ``error``, and the interval that
        nine tenths of these lie in: how often it ``covers``, and how ``wide`` it is. First a
        constant and a lookup of kinds, learnt on other adapters.
    """
    import pandas as pd

    lost, kept = rows["lost"].to_numpy(), rows["kept"].to_numpy()
    columns = {"constant": ("nothing", np.zeros(len(rows))), "kinds": ("kinds", _lookup(rows))}
    columns |= {name: (one.needs, one.of(rows)) for name, one in MEASURES.items()}
    columns |= {n: (needs, _fitted(rows, names)) for n, (needs, names) in TOGETHER.items()}
    weights = _redrawn(rows)
    found = {}
    for name, (needs, values) in columns.items():
        low, high = np.nanpercentile(auc(values, lost, weights), [2.5, 97.5])
        found[name] = {
            "needs": needs,
            "rho": float(spearmanr(values, -kept)[0]) if np.ptp(values) else 0.0,
            "auc": float(auc(values, lost)),
            "low": float(low),
            "high": float(high),
            "least": min(float(auc(values[some], lost[some])) for some in _without(rows)),
            "strata": float(np.nanmean([auc(values[s], lost[s]) for s in _strata(rows)])),
            "names": _named(rows, values),
            **_foretold(rows, values),
        }
    return pd.DataFrame.from_dict(found, orient="index")


def _redrawn(rows: "pd.DataFrame") -> Float[np.ndarray, "d n"]:
    """Weights of the points when the adapters are drawn again, with replacement."""
    names, rng = sorted(set(rows["adapter"])), np.random.default_rng(0)
    own, partner = (np.searchsorted(names, rows[c]) for c in ("adapter", "partner"))
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    return (counts[:, own] * counts[:, partner]).astype(float)


def _without(rows: "pd.DataFrame") -> list[Bool[np.ndarray, " n"]]:
    """For each kind the points that have nothing to do with it."""
    return [~_about(rows, kind) for kind in sorted(set(rows[OWN + "kind"]))]


def _about(rows: "pd.DataFrame", kind: str) -> Bool[np.ndarray, " n"]:
    return ((rows[OWN + "kind"] == kind) | (rows[PARTNER + "kind"] == kind)).to_numpy()


def _strata(rows: "pd.DataFrame") -> list[Bool[np.ndarray, " n"]]:
    """The points of each pair of learning rates."""
    rates = rows[[OWN + "rate", PARTNER + "rate"]]
    return [(rates == one).all(axis=1).to_numpy() for one in rates.drop_duplicates().to_numpy()]


def _named(rows: "pd.DataFrame", values: Column) -> float:
    """How often the larger value of a pair is of the adapter that keeps a tenth less."""
    right = []
    for _, pair in rows.assign(value=values).groupby("group"):
        (one, other), (a, b) = pair["kept"], pair["value"]
        if abs(one - other) > 1 - LOST:
            right.append(0.5 if a == b else float((a > b) == (one < other)))
    return float(np.mean(right)) if right else float("nan")


def _lookup(rows: "pd.DataFrame") -> Column:
    """What is lost on average beside such a partner: pairs of kinds, neither adapter among them.

    Of kinds that no other pair has, the mean over all.
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
    """What is lost as the ranks of these columns foretell, learnt without the adapter's kind."""
    ranks = np.column_stack([rankdata(rows[n]) / len(rows) for n in names] + [np.ones(len(rows))])
    gone, own = 1 - rows["kept"].to_numpy(), rows[OWN + "kind"].to_numpy()
    found = np.zeros(len(rows))
    for kind in sorted(set(own)):
        train = ~_about(rows, kind)
        found[own == kind] = ranks[own == kind] @ np.linalg.lstsq(ranks[train], gone[train])[0]
    return found


def _foretold(rows: "pd.DataFrame", values: Column) -> dict[str, float]:
    """What is kept, foretold by the nearest points that have nothing to do with the kind."""
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
    """Return what `loratheory.diagnosis` tells users of the study: of plain pairs, by way.

    How many `pairs` there were, in how many of them both adapters `kept` nine tenths, and the AUC
    for the one that does not: of weights where both learning rates are the same, and of the
    divergence on a dozen prompts.
    """
    found: dict[str, Any] = {}
    for way in ("mean", "sum"):
        rows = points(table, kinds, way, "plain")
        lost, both = rows["lost"].to_numpy(), rows.groupby("group")["kept"].min() >= LOST
        each = {name: MEASURES[name].of(rows) for name in ("crosstalk", "norms")}
        strata = {
            name: np.nanmean([auc(values[s], lost[s]) for s in _strata(rows)])
            for name, values in each.items()
        }
        told = strata | {"kl": auc(MEASURES["kl"].of(rows), lost)}
        found[way] = {
            "pairs": len(both),
            "kept": int(both.sum()),
            **{name: round(float(value), 2) for name, value in told.items()},
        }
    return found


def written(table: "pd.DataFrame", kinds: Mapping[str, str]) -> str:
    """Return the file that the diagnosis reads."""
    return json.dumps(record(table, kinds), indent=1) + "\n"
