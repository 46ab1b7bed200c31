"""Accuracy of the sum of two adapters on a language model, by training condition."""

import pandas as pd

from paper.style import Figure, dots, finish, panels, percent
from paper.tables import read_table

STANDARD, STAND_INS, LATE = "standard, 90 steps", "two stand-ins", "sixth 6"
CONDITIONS = {
    "both standard": (STANDARD, STANDARD),
    "hop 1 standard, hop 2 late-layer": (STANDARD, LATE),
    "hop 1 stand-ins, hop 2 standard": (STAND_INS, STANDARD),
    "hop 1 standard, hop 2 stand-ins": (STANDARD, STAND_INS),
    "hop 1 stand-ins, hop 2 late-layer": (STAND_INS, LATE),
    "both stand-ins": (STAND_INS, STAND_INS),
}
"""Training conditions of the hop-1 and the hop-2 adapter."""
COLUMNS = {
    "hop_1": "hop-1 facts",
    "hop_2": "hop-2 facts",
    "two_hop_vocabulary": "two-hop questions",
}


def draw() -> Figure:
    """Draw the figure."""
    stand_ins = read_table("lm_training/stand_ins")
    late = read_table("lm_training/top_layers")
    # rows of the same base, with mascots and with countries that the base knows
    parts = [stand_ins[stand_ins["bridge"] == "known"], late[late["relation"] == "mascot"]]
    columns = [*COLUMNS, "seed", "template", "first", "second", "rule"]
    table = pd.concat(part[columns] for part in parts)
    # Other merges were measured for some conditions only.
    table = table[table["rule"] == "sum"]
    groups = {}
    for name, (first, second) in CONDITIONS.items():
        groups[name] = table[(table["first"] == first) & (table["second"] == second)]
    figure, axes = panels(1, 2.8)
    dots(axes, groups, COLUMNS)
    axes.set_xlabel("top-1 accuracy in ten held-out templates, ten fact sets")
    standard, second = groups["both standard"], groups["hop 1 standard, hop 2 stand-ins"]
    title = (
        f"Stand-in training of hop 2 raises two-hop accuracy from "
        f"{percent(standard, 'two_hop_vocabulary')} to {percent(second, 'two_hop_vocabulary')}"
    )
    return finish(figure, title)
