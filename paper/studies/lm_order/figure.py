"""Two-hop accuracy by where each adapter of a language model acts or was trained."""

from paper.style import LOOKS, Figure, accuracy_axis, by, curve, dots, finish, panels, percent
from paper.tables import read_table

ARMS = {"sum": "sum", "layer split": "first below, second above", "hop 1 below": "first below"}
ARMS |= {"hop 2 above": "second above", "reversed layer split": "in the wrong order"}
ARMS |= {"hop 1 at subject": "first at the subject only", "countries banned": "bridges excluded"}
TRAINED = {"plain, 90 steps": "trained: all layers"}
TRAINED |= {"right halves": "trained: first lower, second upper"}
TRAINED |= {"wrong halves": "trained: in the wrong halves"}
LENS = {"bridge_at_subject": "bridge, at the subject", "bridge_at_last": "bridge, last token"}
LENS |= {"answer_at_last": "answer, last token"}


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("lm_order")
    plain = table[table["recipe"] == "plain, 90 steps"]
    split = plain[(plain["arm"] != "layer split") | (plain["layer"] == 15)]
    trained = by(table[table["arm"] == "sum"], "recipe", TRAINED)
    figure, (left, right) = panels(2, 3.6)
    columns = {"hop_1": "hop 1", "two_hop_vocabulary": "two-hop questions"}
    dots(left, {**by(split, "arm", ARMS), **trained}, columns)
    left.set_title("by placement")
    lens = plain[plain["arm"] == "lens"]
    for look, (column, name) in zip(LOOKS[2:], LENS.items(), strict=False):
        curve(right, lens, "layer", column, name, look)
    right.set(title="logit lens", xlabel="layer")
    accuracy_axis(right)
    right.set_ylabel("")
    lower, whole = trained["trained: first lower, second upper"], trained["trained: all layers"]
    title = (
        f"Trained in the lower and the upper half, the adapters answer "
        f"{percent(lower, 'two_hop_vocabulary')} of the two-hop questions, in all layers "
        f"{percent(whole, 'two_hop_vocabulary')}"
    )
    return finish(figure, title)
