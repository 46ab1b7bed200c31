"""Two-hop accuracy by where each adapter of a language model is active or was trained."""

from paper.style import LOOKS, Figure, accuracy_axis, by, curve, dots, finish, panels, percent
from paper.tables import read_table

PLACES = {"sum": "sum", "layer split": "layer split", "hop 1 below": "hop 1 in lower half only"}
PLACES |= {"hop 2 above": "hop 2 in upper half only"}
PLACES |= {"reversed layer split": "reversed layer split"}
PLACES |= {"hop 1 at subject": "hop 1 at person's tokens only"}
PLACES |= {"countries banned": "sum, countries excluded"}
TRAINED = {"right halves": "trained in split halves", "wrong halves": "trained in reversed halves"}
LENS = {"bridge_at_subject": "country, at person's last token"}
LENS |= {"bridge_at_last": "country, at last token", "answer_at_last": "mascot, at last token"}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("lm_order")
    standard = table[table["recipe"] == "standard, 90 steps"]
    split = standard[(standard["condition"] != "layer split") | (standard["layer"] == 15)]
    trained = by(table[table["condition"] == "sum"], "recipe", TRAINED)
    figure, (left, right) = panels(2, 3.0)
    columns = {"hop_1": "hop-1 facts", "two_hop_vocabulary": "two-hop questions"}
    places = by(split, "condition", PLACES)
    dots(left, places | trained, columns)
    left.set_title("two 90-step adapters")
    lens = standard[standard["condition"] == "lens"]
    for look, (column, name) in zip(LOOKS[2:], LENS.items(), strict=False):
        curve(right, lens, "layer", column, name, look)
    right.set(title="logit lens", xlabel="layer")
    accuracy_axis(right)
    right.set_ylabel("")
    whole, halves = places["sum"], trained["trained in split halves"]
    title = (
        f"Training in split halves raises two-hop accuracy from "
        f"{percent(whole, 'two_hop_vocabulary')} to {percent(halves, 'two_hop_vocabulary')}"
    )
    return finish(figure, title)
