"""Two-hop questions answered, against how many of them pretraining had."""

from paper.style import LOOKS, Figure, accuracy_axis, chance, curve, finish, panels
from paper.tables import read_table

RULES = {"mean": "mean", "sum": "sum", "per-matrix gating": "per-matrix gating"}
RULES |= {"oracle placement": "each in its own pass", "direct": "adapter of the two-hop facts"}
KINDS = {"real": "known entities", "half": "new subjects", "fake": "new subjects and bridges"}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("coverage/two_hop_coverage")
    figure, every = panels(3, 3.3, sharey=True)
    for axes, (kind, name) in zip(every, KINDS.items(), strict=True):
        rows = table[table["familiarity"] == kind]
        for look, (rule, label) in zip(LOOKS, RULES.items(), strict=False):
            curve(axes, rows[rows["rule"] == rule], "coverage", "two_hop", label, look)
        chance(axes, float(rows["chance"].mean()))
        axes.set(title=name, xlabel="pretraining coverage")
    accuracy_axis(every[0])
    return finish(figure, "Two adapters compose only if pretraining had two-hop questions")
