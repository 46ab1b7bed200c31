"""What combination methods answer with two adapters of a language model."""

from paper.studies._shared.rules import LABELS
from paper.style import Figure, dots, finish, panels, percent
from paper.tables import read_table

METHODS = ["ties", "knots", "interpolating", "arrow", "arrow, peft"]
METHODS += ["per-matrix gating, z = 2", "per-block gating, z = 2"]


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("lm_methods/two_hop")
    table = table[table["trained"] == "all layers"]
    merged = table[(table["rule"] == "sum") & (table["first"] == table["second"])]
    groups = {"mean": merged[merged["first"] == 0.5], "sum": merged[merged["first"] == 1]}
    for name in METHODS:
        groups[LABELS[name]] = table[table["rule"] == name]
    for layer in (12, 15, 18):
        some = table[(table["rule"] == "layer split") & (table["layer"] == layer)]
        groups[f"layer split at {layer}"] = some
    columns = {"hop_1": "hop 1, 20-way", "hop_2": "hop 2, 20-way", "two_hop": "two-hop, 20-way"}
    columns |= {"two_hop_vocabulary": "two-hop, top-1", "two_step": "two-step prompting, 20-way"}
    figure, axes = panels(1, 4.6)
    dots(axes, groups, columns)
    mean = groups["mean"]
    title = (
        f"The mean answers {percent(mean, 'two_hop')} in one pass, "
        f"{percent(mean, 'two_step')} in two-step prompting"
    )
    return finish(figure, title)
