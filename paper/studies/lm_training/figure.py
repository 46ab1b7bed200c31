"""Accuracy of the sum of two adapters on a language model, by training condition."""

import pandas as pd

from paper.style import Figure, dots, finish, panels, percent
from paper.tables import read_table

STANDARD, STAND_INS, LATE = "standard, 90 steps", "two stand-ins", "sixth 6"
CONDITIONS = {
    "standard, both": (STANDARD, STANDARD),
    "late-layer hop 2": (STANDARD, LATE),
    "stand-ins for hop 1": (STAND_INS, STANDARD),
    "stand-ins for hop 2": (STANDARD, STAND_INS),
    "stand-ins for hop 1, late-layer hop 2": (STAND_INS, LATE),
    "stand-ins, both": (STAND_INS, STAND_INS),
}
"""Training conditions of the hop-1 and the hop-2 adapter."""
COLUMNS = {"hop_1": "hop 1", "hop_2": "hop 2", "two_hop_vocabulary": "two-hop questions"}


def draw() -> Figure:
    """Draw the figure."""
    stand_ins = read_table("lm_training/stand_ins")
    late = read_table("lm_training/top_layers")
    # rows of the same base, with mascots and with countries that the base knows
    parts = [stand_ins[stand_ins["bridge"] == "known"], late[late["relation"] == "mascot"]]
    columns = [*COLUMNS, "seed", "sentence", "first", "second", "rule"]
    table = pd.concat(part[columns] for part in parts)
    # Other merges were measured for some conditions only.
    table = table[table["rule"] == "sum"]
    groups = {}
    for name, (first, second) in CONDITIONS.items():
        groups[name] = table[(table["first"] == first) & (table["second"] == second)]
    figure, axes = panels(1, 3.0)
    dots(axes, groups, COLUMNS)
    axes.set_xlabel("top-1 accuracy in ten held-out templates, ten fact sets")
    standard, second = groups["standard, both"], groups["stand-ins for hop 2"]
    title = (
        f"Stand-ins for hop 2 raise two-hop accuracy from "
        f"{percent(standard, 'two_hop_vocabulary')} to {percent(second, 'two_hop_vocabulary')}"
    )
    return finish(figure, title)
