"""Edits of facts that a language model composes, against the coefficient of both edits."""

from loratheory.theorems.composition.two_read_region import threshold
from paper.style import BAND, LOOKS, Figure, accuracy_axis, curve, finish, panels, percent
from paper.tables import read_table


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("lm_old_facts")
    rows = table[table["recipe"] == "two stand-ins"]
    over = rows[rows["case"] == "overwrite"]
    figure, (left, right) = panels(2, 3.2, sharey=True)
    for look, (hop, name) in zip(
        LOOKS, {"hop 1": "edited hop-1 facts", "two hops": "edited two-hop questions"}.items(),
        strict=False,
    ):  # fmt: skip
        curve(left, over[over["hop"] == hop], "coefficient", "right", name, look, predicted="law")
    two = rows[rows["hop"] == "two hops"]
    for number, case in enumerate(two["case"].unique(), start=1):
        curve(right, two[two["case"] == case], "coefficient", "right", case, LOOKS[number])
    for axes, name in ((left, "overwrite"), (right, "two-hop questions, by case")):
        axes.axvspan(0.5, threshold(2), **BAND)
        axes.set(title=name, xlabel="coefficient of both edits")
    accuracy_axis(left)
    half = over[over["coefficient"] == 0.5]
    first, both = half[half["hop"] == "hop 1"], half[half["hop"] == "two hops"]
    title = (
        f"Averaged edits keep {percent(first, 'right')} of hop-1 facts and "
        f"{percent(both, 'right')} of two-hop questions"
    )
    return finish(figure, title, "Band: the window predicted for exact edits, 0.5 to 0.618.")
