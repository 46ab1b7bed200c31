"""Two-hop questions answered, by the number of stand-in partners in training."""

from paper.style import Figure, by, chance, dots, finish, panels, percent
from paper.tables import read_table


def draw() -> Figure:
    """Draw the figure."""
    table = read_table("number_of_stand_ins")
    # Pairs with equal training of both adapters.
    table = table[(table["rule"] == "sum") & (table["first"] == table["second"])]
    table = table.assign(
        facts=(table["hop_1"] + table["hop_2"]) / 2,
        training=table["training"] + ", " + table["stand_ins"].map("{:g}".format),
    )
    names = {"standard, 0": "standard training"}
    names |= {"disagreeing, 1": "1 stand-in"}
    names |= {f"disagreeing, {count}": f"{count} disagreeing" for count in (2, 3, 4)}
    names |= {"agreeing, 4": "4 agreeing", "single facts, 4": "4, single facts only"}
    columns = {"facts": "edited single facts", "two_hop": "edited two-hop questions"}
    columns |= {"other_two_hop": "unedited two-hop questions"}
    figure, every = panels(2, 3.2, sharey=True)
    for axes, (coefficient, title) in zip(every, {0.5: "mean", 1.0: "sum"}.items(), strict=True):
        rows = table[table["coefficient"] == coefficient]
        dots(axes, by(rows, "training", names), columns)
        chance(axes, float(rows["chance"].mean()), across=True)
        axes.set_title(title)
    one, two = (rows[rows["training"] == f"disagreeing, {count}"] for count in (1, 2))
    title = (
        f"With two disagreeing stand-ins the sum answers {percent(two, 'two_hop')}, with one "
        f"{percent(one, 'two_hop')}"
    )
    return finish(figure, title)
