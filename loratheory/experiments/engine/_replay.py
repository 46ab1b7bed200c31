"""A table made again, perhaps on another machine, against the stored one: by means, not by bytes.

Training rounds differently from machine to machine, so that single replicas part; their means over
bases may not, beyond what bases differ among themselves.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from loratheory.experiments.engine._experiment import plain
from loratheory.experiments.engine._query import word

if TYPE_CHECKING:
    import pandas as pd

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

    Attributes
    ----------
    means : int
        How many means were compared.
    missing : int
        Cells made again that the stored table does not hold.
    outside : tuple of str
        A line for each mean that is further off than chance allows.
    """

    means: int
    missing: int
    outside: tuple[str, ...]


def replayed(made: Cells, stored: Cells) -> Replay:
    """Compare accuracies, setting by setting.

    Parameters
    ----------
    made, stored : sequence of (config, DataFrame)
        As `stored_cells` gives them. Settings are equal where the configs are, but for seeds, sets
        and steps, and the columns up to the set's or the coefficient's are, or where there is
        neither up to the first metric. Tables without seeds are exact and not compared here.

    Returns
    -------
    Replay
        A mean over bases is outside where it is further from the stored mean than a twentieth plus
        four standard errors of the difference, with the spread of the stored bases: that in this
        setting or, where it is larger, that of the metric in all settings, for few bases may agree.
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
