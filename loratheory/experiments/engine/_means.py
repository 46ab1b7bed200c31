"""Means over bases with their intervals, and a table made again against the stored one by means.

Training rounds differently from machine to machine, so that single replicas part; their means over
bases may not, beyond what bases differ among themselves.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from loratheory.experiments.engine._experiment import plain
from loratheory.experiments.engine._table import TableError, word
from loratheory.shapes import Float, Shaped

if TYPE_CHECKING:
    import pandas as pd


def wilson(
    right: Shaped[np.ndarray, "*cells"] | int,
    trials: Shaped[np.ndarray, "*cells"] | int,
    *,
    confidence: float = 0.95,
) -> tuple[Float[np.ndarray, "*cells"], Float[np.ndarray, "*cells"]]:
    """Return the interval of a proportion: all p that the observed one does not reject.

    The roots p of ``|right - trials p| = z sqrt(trials p (1 - p))``, which lie in [0, 1], of
    `right` successes in `trials` independent trials, at least one (Wilson 1927, JASA 22).
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, square = np.asarray(right) / trials, z * z / np.asarray(trials)
    centre = (share + square / 2) / (1 + square)
    half = np.sqrt(square * share * (1 - share) + square * square / 4) / (1 + square)
    return np.asarray(centre - half), np.asarray(np.minimum(centre + half, 1.0))


def bootstrap_mean(
    values: Shaped[np.ndarray, "bases sets *cells"],
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "*cells"], Float[np.ndarray, "*cells"], Float[np.ndarray, "*cells"]]:
    """Return the mean over base seeds and edit sets, with the interval that redrawing both gives.

    All that was measured on one base shares its fate, as does all that was measured on one edit
    set; so bases and sets are drawn again as wholes, independently (the pigeonhole bootstrap, which
    errs on the wide side: Owen 2007, Annals of Applied Statistics 1). Sets that differ from base to
    base belong to the base: average over them first and give an axis of length 1. Intervals from
    fewer than about eight bases are too narrow: a percentile can only be where a mean of the drawn
    bases is. The same `draws` of one `seed` serve all cells; mean, low and high come back.
    """
    rng = np.random.default_rng(seed)
    bases, sets = values.shape[:2]
    of_bases = rng.multinomial(bases, np.full(bases, 1 / bases), draws) / bases
    of_sets = rng.multinomial(sets, np.full(sets, 1 / sets), draws) / sets
    means = np.einsum("db,ds,bs...->d...", of_bases, of_sets, values, optimize=True)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return np.asarray(values.mean((0, 1))), np.asarray(low), np.asarray(high)


def over_bases(rows: "pd.DataFrame", column: str) -> tuple[float, float, float]:
    """Return the mean of a column over bases, and where it lies when the bases are drawn again.

    Each base, known by its `seed`, weighs as much as any other, however many rows it has (edit sets
    of one base share its fate); the interval covers the mean at 95 %. TableError if the rows have
    no such column, or no `seed`.
    """
    mean, low, high = bootstrap_mean(by_base(rows, column)[:, None])
    return float(mean), float(low), float(high)


def by_base(rows: "pd.DataFrame", column: str) -> Float[np.ndarray, " bases"]:
    """Return the mean of a column on each base, in the order of their seeds."""
    for name in ("seed", column):
        if name not in rows:
            message = f"the table has no column {name}; it has {', '.join(rows)}"
            raise TableError(message)
    seeds, values = rows["seed"].to_numpy(), rows[column].to_numpy(float)
    return np.array([values[seeds == seed].mean() for seed in np.unique(seeds)])


FREE = ("seed", "seeds", "sets", "steps")
"""Fields of a config that say how often or how finely something is measured, not what."""
REPLICA = ("seed", "set")
METRICS = (
    *("two_hop", "k_hop", "hop_1", "hop_2", "other_hops", "other_two_hop", "other_k_hop"),
    *("stepwise", "answered", "step_1", "step_2", "rate"),
    *("overlap", "shape", "read", "write", "response", "agreement"),
    *("base", "mean", "sum", "ties", "arrow", "gates"),
)
"""Of facts, of problems, of what adapters have in common, and of rules of reuse side by side."""
GRAIN = 0.05
"""How far means may be apart where the stored bases do not differ at all."""
DEVIATIONS = 4
SETTING = ["config", "names", "metric"]

Cells = Sequence[tuple[Any, "pd.DataFrame"]]
"""Configs with their rows."""


@dataclass(frozen=True)
class Replay:
    """How a table made again compares.

    So many `means` were compared; so many cells made again are `missing` in the stored table;
    `outside` has a line for each mean that is further off than chance allows.
    """

    means: int
    missing: int
    outside: tuple[str, ...]


def replayed(made: Cells, stored: Cells) -> Replay:
    """Compare accuracies, setting by setting, of cells as `stored_cells` gives them.

    Settings are equal where the configs are, but for seeds, sets and steps, and the columns up to
    the set's or the coefficient's are, or where there is neither up to the first metric. Tables
    without seeds are exact and not compared here. A mean over bases is outside where it is further
    from the stored mean than a twentieth plus four standard errors of the difference, with the
    spread of the stored bases: that in this setting or, where it is larger, that of the metric in
    all settings, for few bases may agree.
    """
    configs = {_measured(config) for config, _ in stored}
    missing = sum(_measured(config) not in configs for config, _ in made)
    new, old = _means(made), _means(stored)
    if new is None or old is None:
        return Replay(0, missing, ())
    old = old[old["count"] > 1]
    usual = (old["std"] ** 2).groupby(level="metric").mean() ** 0.5
    both = new.add_suffix("_made").join(old, how="inner")
    metric = both.index.get_level_values("metric")
    spread = np.maximum(both["std"], usual.reindex(metric).to_numpy())
    room = GRAIN + DEVIATIONS * spread * np.sqrt(1 / both["count_made"] + 1 / both["count"])
    off = both.assign(room=room)[abs(both["mean_made"] - both["mean"]) > room].reset_index()
    lines = [
        f"{one.names}: {one.metric} is {one.mean_made:.2f}, stored {one.mean:.2f} ± {one.room:.2f}"
        for one in off.itertuples()
    ]
    return Replay(len(both), missing, tuple(sorted(lines)))


def _measured(config: Any) -> str:
    """What a config measures, whatever how often."""
    fields = {name: value for name, value in plain(config).items() if name not in FREE}
    return json.dumps(fields, sort_keys=True)


def _means(cells: Cells) -> "pd.DataFrame | None":
    """Mean, spread and number of bases of each metric in each setting; None for exact tables."""
    import pandas as pd

    parts = []
    for config, rows in cells:
        if "seed" not in rows:
            continue
        metrics = [metric for metric in METRICS if metric in rows]
        named = rows[_names(rows, metrics)].map(word)
        names = named.agg(", ".join, axis=1) if named.shape[1] else ""
        part = rows[["seed", *metrics]].assign(config=_measured(config), names=names)
        parts.append(part.melt(["config", "names", "seed"], var_name="metric"))
    if not parts:
        return None
    # edit sets of one base share its fate: first the mean on each base, then over bases
    of_bases = pd.concat(parts).groupby([*SETTING, "seed"])["value"].mean().dropna()
    return of_bases.groupby(level=SETTING).agg(["mean", "std", "count"])


def _names(rows: "pd.DataFrame", metrics: Sequence[str]) -> list[str]:
    """The columns that say what was asked, but for those that tell replicas apart."""
    columns = list(rows)
    last = [columns.index(name) for name in ("set", "coefficient") if name in columns]
    count = max(last) + 1 if last else min(columns.index(metric) for metric in metrics)
    return [name for name in columns[:count] if name not in REPLICA]
