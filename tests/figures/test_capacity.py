"""A sum against one adapter: a column a rank and number, recall above and chains below."""

import pytest
from panels import shown, without

from loratheory.figures import TableError, rendered
from loratheory.figures.capacity import CHAINS, NUMBERS, RULES, SPREAD, draw

PLACES = [(1, 2), (1, 8), (4, 2), (4, 8)]


def table():
    """Two bases; what is recalled grows with the rule, the rank and the number of adapters."""
    rows = []
    for rank, pairs in reversed(PLACES):
        for number, rule in enumerate(RULES):
            for seed in (0, 1):
                share = number / 20 + rank / 50 + pairs / 50 + 0.02 * seed
                here = {"rank": rank, "pairs": pairs, "facts": 4, "rule": rule, "seed": seed}
                here |= {"recall": share, "two_hop": share / 2, "other_two_hop": 1 - share}
                here |= {"predicted": 0.5 if rule == "sum" else -1.0, "chance": 0.25}
                rows.append({**here, "crosstalk": share**2})
    return rows


def test_each_rank_and_number_has_a_column():
    grid = draw(table()).axes
    for above, below, (rank, pairs) in zip(grid[:4], grid[4:], PLACES, strict=True):
        assert above.get_title(loc="left") == f"K = {pairs}, r = {rank}"
        share = {
            name: number / 20 + rank / 50 + pairs / 50 + 0.01
            for number, name in enumerate(RULES.values())
        }
        assert shown(above, "measured") == pytest.approx(share)
        spread = {name: x for name, x in share.items() if name != RULES["mean"]}
        assert shown(below, SPREAD["label"]) == pytest.approx(spread)
        halves = {name: x / 2 for name, x in share.items()}
        assert shown(below, CHAINS["label"]) == pytest.approx(halves)
        kept = {name: 1 - x for name, x in share.items()}
        assert shown(below, "unedited chains") == pytest.approx(kept)


def test_the_note_tells_of_the_fullest_adapters():
    note = draw(table()).legends[0].get_title().get_text().replace("\n", " ")
    assert note.startswith(
        "With K = 8 and r = 1 the sum recalls 34%, one adapter of rank r 39%, one of rank K r 44%."
    )


def test_the_sum_alone_has_a_prediction():
    for axes in draw(table()).axes[:4]:
        assert shown(axes, "predicted before") == {RULES["sum"]: 0.5}


def test_a_table_that_lacks_a_rule_is_refused():
    with pytest.raises(TableError, match="has sum in column rule"):
        draw([row for row in table() if row["rule"] != "sum"])


def test_the_same_table_gives_the_same_bytes():
    assert rendered(draw(table()), "png") == rendered(draw(table()), "png")


@pytest.mark.parametrize("column", [*NUMBERS, "rule"])
def test_each_needed_column_is_missed(column):
    with pytest.raises(TableError, match=f"no column {column}"):
        draw(without(table(), column))
