"""Two-hop accuracy by where each adapter of a language model is active or was trained."""

from paper.style import LOOKS, Figure, accuracy_axis, by, curve, dots, finish, panels, percent
from paper.tables import read_table

PLACES = {"sum": "sum", "layer split": "layer split", "hop 1 below": "hop 1 below only"}
PLACES |= {"hop 2 above": "hop 2 above only", "reversed layer split": "reversed layer split"}
PLACES |= {"hop 1 at subject": "hop 1 at the person", "countries banned": "countries excluded"}
TRAINED = {"standard, 90 steps": "trained in all layers"}
TRAINED |= {"right halves": "trained in split halves", "wrong halves": "trained in wrong halves"}
LENS = {"bridge_at_subject": "country, at the person", "bridge_at_last": "country, last token"}
LENS |= {"answer_at_last": "mascot, last token"}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("lm_order")
    standard = table[table["recipe"] == "standard, 90 steps"]
    split = standard[(standard["condition"] != "layer split") | (standard["layer"] == 15)]
    trained = by(table[table["condition"] == "sum"], "recipe", TRAINED)
    figure, (left, right) = panels(2, 3.6)
    columns = {"hop_1": "hop 1", "two_hop_vocabulary": "two-hop questions"}
    dots(left, {**by(split, "condition", PLACES), **trained}, columns)
    left.set_title("by placement")
    lens = standard[standard["condition"] == "lens"]
    for look, (column, name) in zip(LOOKS[2:], LENS.items(), strict=False):
        curve(right, lens, "layer", column, name, look)
    right.set(title="logit lens", xlabel="layer")
    accuracy_axis(right)
    right.set_ylabel("")
    whole, halves = trained["trained in all layers"], trained["trained in split halves"]
    title = (
        f"Trained in split halves, the sum answers {percent(halves, 'two_hop_vocabulary')}, "
        f"in all layers {percent(whole, 'two_hop_vocabulary')}"
    )
    return finish(figure, title)
