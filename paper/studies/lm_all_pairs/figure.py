"""What is answered with twelve adapters, any first of which may need any second."""

from paper.style import Figure, by, dots, finish, panels, percent
from paper.tables import read_table

METHODS = {
    "base": "no adapter",
    "sum": "sum of all twelve",
    "mean": "mean of all twelve",
    "arrow": "Arrow",
    "gates, z = 2": "per-matrix gating",
    "hop gates": "hop-wise routing, by response",
    "hop gates, tried": "hop-wise routing, all second hops tried",
    "subject gates": "subject routing",
    "subject gates, hop by hop": "subject routing, hop by hop",
    "right pair": "oracle pair",
}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("lm_all_pairs")
    table = table[(table["recipe"] == "two stand-ins") & (table["publishers"] == 6)]
    columns = {"hop_1": "hop 1", "hop_2": "hop 2", "two_hop_vocabulary": "two-hop questions"}
    figure, axes = panels(1, 3.6)
    dots(axes, by(table, "rule", METHODS), columns)
    axes.set_xlabel("top-1 accuracy in held-out templates, ten seeds (tried: three)")
    oracle, routed = (table[table["rule"] == rule] for rule in ("right pair", "subject gates"))
    title = (
        f"Told each adapter's subjects, routing answers {percent(routed, 'two_hop_vocabulary')} of "
        f"the two-hop questions, the oracle pair {percent(oracle, 'two_hop_vocabulary')}"
    )
    return finish(figure, title)
