"""Two-hop accuracy by relations, base model, what two authors share, and how both trained."""

import pandas as pd

from paper.style import Figure, by, chance, dots, finish, panels
from paper.tables import percent, read_table

PAIRS = {
    "birth, mascot": "countries, mascots",
    "ship, flower": "flag states, flowers",
    "employer, tool": "employers, tools",
    "pet, instrument": "pets, instruments",
    "trade, fruit": "professions, fruits",
}
LEVELS = {
    "S0": "nothing",
    "S2": "templates",
    "S3": "answers",
    "S4": "settings",
    "S5": "relations",
    "S2 to S5": "these four",
    "S1": "half of the bridges",
    "S6": "all five",
}
METHODS = {
    "standard, 180 steps": "standard training",
    "two stand-ins": "two trained stand-ins",
    "fresh stand-ins": "fresh stand-ins",
}
PARTS = ("levels", "pairs", "settings", "fresh", "rule_by_depth", "matched", "rivals", "one_side")


def draw() -> Figure:
    """Draw the figure."""
    parts = (*PARTS, "differences_together")
    table = pd.concat([read_table(f"lm_strangers/{part}") for part in parts])
    table = table[(table["rule"] == "sum") & table["method"].isin(METHODS)]
    # On gemma-3-270m fresh stand-ins are shown at the default rate.
    earlier = (table["base"] == "gemma-3-270m") & (table["method"] == "fresh stand-ins")
    table = table[~(earlier & (table["rate"] == 1))]
    small = table["base"] == "SmolLM2-135M-Instruct"
    shared, pair = table["level"] == "S0", table["pair"] == "birth, mascot"
    figure, axes = panels(3, 2.5)
    shown = {
        "SmolLM2-135M": (table[small & shared], "pair", PAIRS),
        "gemma-3-270m": (table[~small & shared], "pair", PAIRS),
        "what differs, SmolLM2": (table[small & pair], "level", LEVELS),
    }
    fresh = []
    for panel, (title, (rows, column, names)) in zip(axes, shown.items(), strict=True):
        groups = {name: _by_method(some) for name, some in by(rows, column, names).items()}
        fresh += [some["fresh stand-ins"].mean() for some in groups.values()]
        dots(panel, groups, METHODS)
        chance(panel, 0.05, across=True)
        panel.set_title(title)
        panel.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes[1].set_yticklabels([])
    return finish(
        figure, f"Fresh stand-ins: {percent(min(fresh))}% of two-hop questions or more in each row"
    )


def _by_method(rows: pd.DataFrame) -> pd.DataFrame:
    """Return two-hop accuracies with a column for each method."""
    wide = rows.pivot_table(index=["seed", "template"], columns="method", values="two_hop")
    return wide.reindex(columns=[*METHODS]).reset_index()
