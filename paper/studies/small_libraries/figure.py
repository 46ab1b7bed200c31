"""What combination methods answer with one to four pairs of adapters."""

from paper.studies._shared.rules import LABELS
from paper.style import Figure, by, chance, dots, finish, panels, percent
from paper.tables import read_table

USUAL = {"rank": 8, "modules": "mlp", "coverage": 0.5}
METHODS = ["base", "mean", "sum", "ties", "knots", "interpolating", "arrow", "norm, z"]
METHODS += ["per-matrix gating", "per-block gating, z = 2"]
METHODS += ["oracle placement", "sum, two-step prompting"]
NAMES = {**LABELS, "oracle placement": "each in its own pass"}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("small_libraries")
    for column, value in {**USUAL, "facts": 5}.items():
        table = table[table[column] == value]
    figure, every = panels(3, 3.6, sharey=True)
    for axes, pairs in zip(every, (1, 2, 4), strict=True):
        rows = table[table["pairs"] == pairs]
        rows = rows.assign(facts_right=(rows["hop_1"] + rows["hop_2"]) / 2)
        groups = by(rows, "rule", {name: NAMES.get(name, name) for name in METHODS})
        dots(axes, groups, {"facts_right": "single facts", "two_hop": "two-hop questions"})
        chance(axes, float(rows["chance"].mean()), across=True)
        axes.set_title(f"{pairs} pair{'s' * (pairs > 1)}")
    four = table[table["pairs"] == 4]
    merged, gated = four[four["rule"] == "sum"], four[four["rule"] == "per-block gating, z = 2"]
    title = (
        f"With four pairs the sum answers {percent(merged, 'two_hop')}, per-block gating "
        f"{percent(gated, 'two_hop')}"
    )
    return finish(figure, title)
