"""Accuracy of the sum of two adapters on a language model, by training condition."""

import pandas as pd

from paper.style import Figure, dots, finish, panels, percent
from paper.tables import read_table

LONG, BESIDE, TOP = "standard, 90 steps", "two stand-ins", "sixth 6"
CONDITIONS = {
    "standard, both": (LONG, LONG),
    "late-layer hop 2": (LONG, TOP),
    "stand-ins for hop 1": (BESIDE, LONG),
    "stand-ins for hop 2": (LONG, BESIDE),
    "stand-ins for hop 1, late-layer hop 2": (BESIDE, TOP),
    "stand-ins, both": (BESIDE, BESIDE),
}
"""Training conditions of the hop-1 and the hop-2 adapter."""
COLUMNS = {"hop_1": "hop 1", "hop_2": "hop 2", "two_hop_vocabulary": "two-hop questions"}


def draw() -> Figure:
    """Draw the figure."""
    stand_ins = read_table("lm_training/stand_ins")
    late = read_table("lm_training/top_layers")
    # the same base, facts of one relation, countries that the base knows
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
    plain, second = groups["standard, both"], groups["stand-ins for hop 2"]
    title = (
        f"Stand-ins for hop 2 raise two-hop accuracy from "
        f"{percent(plain, 'two_hop_vocabulary')} to {percent(second, 'two_hop_vocabulary')}"
    )
    return finish(figure, title)
