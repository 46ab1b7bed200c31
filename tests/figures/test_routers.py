"""Routers: a column a size of shelf, chains above and the weights given below."""

import pytest
from panels import shown, without

from loratheory.figures import TableError, rendered
from loratheory.figures.routers import ARROW, NEED, NUMBERS, READ_1, READ_2, RULES, draw

SHELVES = (1, 2, 4)


def table():
    """Two bases; what is answered grows with the rule and falls with the shelf."""
    rows = []
    for pairs in reversed(SHELVES):
        for number, rule in enumerate(RULES):
            for seed in (0, 1):
                share = number / 20 + 0.1 / pairs + 0.03 * seed
                here = {"pairs": pairs, "rule": rule, "seed": seed, "chance": 0.2}
                here |= {"two_hop": share, "other_two_hop": 1 - share, "predicted": share / 2}
                here |= {"weight_1": share / 3, "weight_2": share / 4, "expected": 0.36 / pairs}
                rows.append(here)
    return rows


def test_every_router_has_a_row_in_the_column_of_its_shelf():
    grid = draw(table()).axes
    for above, below, pairs in zip(grid[:3], grid[3:], SHELVES, strict=True):
        share = {rule: number / 20 + 0.1 / pairs + 0.015 for number, rule in enumerate(RULES)}
        parts = {"measured": 1.0, "predicted before": 0.5}
        for label, part in parts.items():
            wanted = {rule: x * part for rule, x in share.items()}
            assert shown(above, label) == pytest.approx(wanted)
        kept = {rule: 1 - x for rule, x in share.items()}
        assert shown(above, "unedited chains") == pytest.approx(kept)
        for look, part in ((READ_1, 1 / 3), (READ_2, 1 / 4)):
            wanted = {rule: x * part for rule, x in share.items()}
            assert shown(below, look["label"]) == pytest.approx(wanted)
        assert above.get_title(loc="left") == f"{2 * pairs} adapters"


def test_the_note_tells_what_the_largest_library_gives():
    note = draw(table()).legends[0].get_title().get_text().replace("\n", " ")
    assert note.startswith(
        "With 8 adapters the right one gets 6% of Arrow's weight at read 1, 5% at read 2; "
        "19% of the edited chains are answered, with gates 54%."
    )


def test_theory_of_arrow_stands_in_its_row_alone():
    for axes, pairs in zip(draw(table()).axes[:3], SHELVES, strict=True):
        assert shown(axes, ARROW["label"]) == pytest.approx({"arrow": 0.36 / pairs})


def test_what_both_reads_need_is_the_golden_ratio():
    for axes in draw(table()).axes[3:]:
        (line,) = (line for line in axes.lines if line.get_label() == NEED["label"])
        assert line.get_xdata() == pytest.approx([(5**0.5 - 1) / 2] * 2)


def test_a_table_that_lacks_a_rule_is_refused():
    with pytest.raises(TableError, match="has sum in column rule"):
        draw([row for row in table() if row["rule"] != "sum"])


def test_the_same_table_gives_the_same_bytes():
    assert rendered(draw(table()), "png") == rendered(draw(table()), "png")


@pytest.mark.parametrize("column", [*NUMBERS, "rule"])
def test_each_needed_column_is_missed(column):
    with pytest.raises(TableError, match=f"no column {column}"):
        draw(without(table(), column))
