"""Two-hop accuracy by what two authors share, and by the learning rate on two bases."""

from paper.style import BAND, LOOKS, Figure, accuracy_axis, by, curve, dots, finish, panels, percent
from paper.tables import read_table

LEVELS = {
    "S0": "all shared",
    "S1": "half of the bridges",
    "S2": "own templates",
    "S3": "other answers",
    "S5": "other relations",
}
METHODS = {"standard": "standard", "two stand-ins": "stand-ins"}
BASES = {"SmolLM2-135M-Instruct": "SmolLM2-135M", "gemma-3-270m": "gemma-3-270m"}
COLUMNS = {"hop_1": "hop-1 facts", "two_hop": "two-hop questions"}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("lm_strangers/levels")
    levels = by(table[table["rule"] == "sum"], "level", LEVELS)
    groups = {}
    for level, rows in levels.items():
        for method, some in by(rows, "method", METHODS).items():
            groups[f"{level}, {method}"] = some
    figure, (left, right) = panels(2, 3.7)
    dots(left, groups, COLUMNS)
    left.set_title("what the authors share")
    rates = read_table("lm_strangers/rates")
    bases = by(rates[rates["rule"] == "sum"], "base", BASES)
    for look, (name, rows) in zip(LOOKS[2:], bases.items(), strict=False):
        curve(right, rows, "rate", "two_hop", name, look)
    right.axvspan(0.5, 2, **BAND)
    right.set_xscale("log", base=2)
    ticks = sorted(rates["rate"].unique())
    right.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    right.set(title="two-hop, by learning rate", xlabel="multiples of the rule's rate")
    accuracy_axis(right)
    right.set_ylabel("")
    own, bridges = groups["own templates, stand-ins"], groups["half of the bridges, stand-ins"]
    title = (
        f"Without shared templates the sum answers {percent(own, 'two_hop')}, without half of the "
        f"bridges {percent(bridges, 'two_hop')}"
    )
    return finish(figure, title, "Band: half to twice the rate of the rule.")
