"""Accuracy with twelve adapters, where any hop-1 adapter may need any hop-2 adapter."""

from paper.style import Figure, by, dots, finish, panels, percent
from paper.tables import read_table

METHODS = {
    "base": "no adapter",
    "sum": "sum of all twelve",
    "mean": "mean of all twelve",
    "arrow": "Arrow",
    "per-matrix gating, z = 2": "per-matrix gating",
    "hop-wise routing": "hop-wise routing, by response",
    "hop-wise routing, tried": "hop-wise routing, all hop-2 adapters tried",
    "subject routing": "subject routing",
    "subject routing, two-step prompting": "subject routing, two-step prompting",
    "oracle pair": "oracle pair",
}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("lm_all_pairs")
    table = table[(table["recipe"] == "two stand-ins") & (table["authors"] == 6)]
    columns = {"hop_1": "hop 1", "hop_2": "hop 2", "two_hop_vocabulary": "two-hop questions"}
    figure, axes = panels(1, 3.6)
    dots(axes, by(table, "rule", METHODS), columns)
    axes.set_xlabel("top-1 accuracy, ten fact sets (tried: three)")
    oracle, routed = (table[table["rule"] == rule] for rule in ("oracle pair", "subject routing"))
    title = (
        f"Subject routing answers {percent(routed, 'two_hop_vocabulary')} of the questions, the "
        f"oracle pair {percent(oracle, 'two_hop_vocabulary')}"
    )
    return finish(figure, title)
