"""Accuracy of two edits by the passes in which they are active, and by their modules."""

from paper.style import Figure, by, chance, dots, finish, panels, percent
from paper.tables import read_table

PLACES = {
    "both loops": "both in both passes",
    "oracle placement": "each in its own pass",
    "first loop": "both in the first",
    "second loop": "both in the second",
    "reversed placement": "each in the other's pass",
}
MODULES = {"mlp": "in MLPs", "attention": "in attention", "all": "in both"}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("placement")
    table = table.assign(facts=(table["hop_1"] + table["hop_2"]) / 2)
    columns = {"facts": "edited single facts", "two_hop": "edited two-hop questions"}
    columns |= {"inside": "predicted from facts in context"}
    figure, every = panels(3, 3.0, sharey=True)
    for axes, (modules, name) in zip(every, MODULES.items(), strict=True):
        rows = table[table["modules"] == modules]
        dots(axes, by(rows, "place", PLACES), columns)
        chance(axes, float(rows["chance"].mean()), across=True)
        axes.set_title(name)
    mlp = table[table["modules"] == "mlp"]
    own, first = mlp[mlp["place"] == "oracle placement"], mlp[mlp["place"] == "first loop"]
    title = (
        f"MLP edits in own passes answer {percent(own, 'two_hop')}, "
        f"both in the first {percent(first, 'two_hop')}"
    )
    return finish(figure, title)
