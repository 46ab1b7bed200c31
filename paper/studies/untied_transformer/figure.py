"""Four untied layers: facts and two-hop questions against the coefficient of the sum."""

from paper.style import LOOKS, Figure, accuracy_axis, chance, curve, finish, panels, percent
from paper.tables import read_table

LAYERS = {"all": "trained in all layers", "halves": "each trained in its own half"}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("untied_transformer")
    table = table[(table["coverage"] == 0.9) & (table["stage"] == 1000)]
    table = table.assign(facts=(table["hop_1"] + table["hop_2"]) / 2)
    merged = table[table["rule"] == "sum"]
    figure, every = panels(2, 3.2, sharey=True)
    for axes, (layers, name) in zip(every, LAYERS.items(), strict=True):
        rows = merged[merged["layers"] == layers]
        curve(axes, rows, "coefficient", "facts", "edited single facts", LOOKS[0])
        curve(axes, rows, "coefficient", "two_hop", "edited two-hop questions", LOOKS[1])
        chance(axes, float(rows["chance"].mean()))
        axes.set(title=name, xlabel="coefficient of both adapters")
    accuracy_axis(every[0])
    whole = merged[merged["coefficient"] == 1]
    everywhere, halves = (whole[whole["layers"] == layers] for layers in LAYERS)
    title = (
        f"Trained in separate halves, the sum answers {percent(halves, 'two_hop')}, in all layers "
        f"{percent(everywhere, 'two_hop')}"
    )
    return finish(figure, title)
