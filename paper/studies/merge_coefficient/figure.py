"""Facts and questions of two to four hops answered, against the merge coefficient."""

from loratheory.theorems.composition.two_read_region import threshold
from paper.style import (
    BAND,
    LINES,
    LOOKS,
    Figure,
    accuracy_axis,
    chance,
    curve,
    finish,
    panels,
    percent,
)
from paper.tables import read_table


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("merge_coefficient")
    rows = table[(table["case"] == "overwrite") & (table["coverage"] > 0)]
    figure, (both, own, hops) = panels(3, 3.2, sharey=True)
    for axes, title, column, predicted in (
        (both, "both in both passes", "two_hop", "predicted"),
        (own, "each in its own pass", "oracle_placement", "oracle_curved"),
    ):
        axes.axvspan(0.5, threshold(2), **BAND)
        curve(axes, rows, "coefficient", "facts", "edited single facts", LOOKS[0])
        curve(axes, rows, "coefficient", column, "edited two-hop questions", LOOKS[1],
              predicted=predicted)  # fmt: skip
        chance(axes, float(rows["chance"].mean()))
        axes.set(title=title, xlabel="coefficient")
    more = read_table("merge_coefficient/number_of_hops")
    for number, (count, some) in enumerate(more.groupby("hops"), start=1):
        curve(hops, some, "coefficient", "k_hop", f"{count:g} hops", LOOKS[number])
        hops.axvline(threshold(int(count)), color=LOOKS[number][0], ls=LINES["predicted"], lw=1)
    hops.set(title="more hops", xlabel="coefficient")
    accuracy_axis(both)
    half = rows[rows["coefficient"] == 0.5]
    title = (
        f"The mean keeps {percent(half, 'facts')} of facts but answers "
        f"{percent(half, 'two_hop')} of two-hop questions"
    )
    return finish(figure, title, "Band and vertical dashes: predicted for exact edits.")
