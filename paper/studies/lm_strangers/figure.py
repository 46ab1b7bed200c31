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
    "S4, other trainer": "PEFT partner",
}
TEXTS = "fresh stand-ins, self-distillation, 384 texts"
METHODS = {
    "standard, 180 steps": "standard training",
    "fresh stand-ins": "fresh stand-ins, no texts",
    TEXTS: "fresh stand-ins and texts",
}
SMALL = ("fresh", "matched", "rivals", "one_side", "differences_together")
GEMMA = ("matched", "rule_by_depth")
# Without texts, the levels on gemma-3-270m have 6/5 of the default rate.
GEMMA_LEVELS = ("twice_the_rate", "gemma_levels", "differences_together")
WITH_TEXTS = ("more_texts", "many_texts", "levels_texts")


def draw() -> Figure:
    """Draw the figure."""
    small, gemma = "SmolLM2-135M-Instruct", "gemma-3-270m"
    shown = (
        ("SmolLM2", _sums(SMALL, small), "pair", PAIRS),
        ("gemma", _sums(GEMMA, gemma), "pair", PAIRS),
        ("SmolLM2", _sums(SMALL, small), "level", LEVELS),
        ("gemma", _sums(GEMMA_LEVELS, gemma), "level", LEVELS),
    )
    figure, axes = panels(4, 2.5)
    texts = []
    for panel, (title, rows, column, names) in zip(axes, shown, strict=True):
        alike = rows["level"] == "S0" if column == "pair" else rows["pair"] == "birth, mascot"
        groups = {name: _by_method(some) for name, some in by(rows[alike], column, names).items()}
        texts += [some[TEXTS].mean() for some in groups.values()]
        dots(panel, groups, METHODS)
        chance(panel, 0.05, across=True)
        panel.set_title(title)
        panel.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes[2].set_ylabel("not shared")
    for panel in axes[1::2]:
        panel.set_yticklabels([])
    least = percent(min(texts))
    return finish(figure, f"With texts: {least}% of two-hop questions or more in each row")


def _sums(parts: tuple[str, ...], base: str) -> pd.DataFrame:
    """Return the rows of a base model's sums, with those that were trained with texts."""
    table = pd.concat([read_table(f"lm_strangers/{part}") for part in (*parts, *WITH_TEXTS)])
    return table[(table["rule"] == "sum") & (table["base"] == base)]


def _by_method(rows: pd.DataFrame) -> pd.DataFrame:
    """Return two-hop accuracies with a column for each method."""
    wide = rows.pivot_table(index=["seed", "template"], columns="method", values="two_hop")
    return wide.reindex(columns=[*METHODS]).reset_index()
