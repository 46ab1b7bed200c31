"""How many verdicts of merges are predicted, by question, training and base model."""

import pandas as pd

from paper.style import Figure, dots, finish, panels, percent
from paper.tables import read_table

PREDICTORS = {
    "corners": "corners",
    "bent": "corners and curvature",
    "no_interaction": "without interaction",
    "constant": "best constant",
}
BASES = {"SmolLM2-135M-Instruct": "SmolLM2-135M", "gemma-3-270m": "gemma-3-270m"}
KINDS = {
    ("two_hop", "fresh stand-ins"): "two-hop, fresh",
    ("two_hop", "standard"): "two-hop, standard",
    ("hop_1", "fresh stand-ins"): "hop 1, fresh",
    ("hop_2", "fresh stand-ins"): "hop 2, fresh",
    ("known", "fresh stand-ins"): "base's facts, fresh",
}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("lm_corners/lm_corners")
    figure, axes = panels(2, 3.0, sharey=True)
    for panel, (base, name) in zip(axes, BASES.items(), strict=True):
        some = table[table["base"] == base]
        dots(panel, {label: _select(some, *which) for which, label in KINDS.items()}, PREDICTORS)
        panel.set(title=name, xlabel="verdicts predicted rightly")
    shares = list[str]()
    for predictor in ("corners", "constant"):
        for base in BASES:
            fresh = _select(table[table["base"] == base], "two_hop", "fresh stand-ins")
            shares.append(percent(fresh, predictor))
    title = "Corners predict {} and {} of two-hop answers, a constant {} and {}"
    title = title.format(*shares)
    return finish(figure, title)


def _select(table: pd.DataFrame, kind: str, method: str) -> pd.DataFrame:
    """Return the rows of one kind of question after one training, a base for each pair."""
    rows = table[(table["kind"] == kind) & (table["method"] == method)]
    # Pairs of relations are what the mean is over.
    return rows.assign(seed=rows["pair"].astype("category").cat.codes)
