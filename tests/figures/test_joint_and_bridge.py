"""One adapter for both hops: a column a coverage, outright, spelt out, and what else."""

import pytest
from panels import shown, without

from loratheory.figures import TableError, rendered
from loratheory.figures.joint_and_bridge import NUMBERS, RULES, SPELT, draw

COVERAGES = (0.0, 0.1, 0.5)


def table():
    """Two bases; what is answered grows with the adapter and with the coverage."""
    rows = []
    for coverage in reversed(COVERAGES):
        for number, rule in enumerate(RULES):
            for seed in (0, 1):
                share = number / 20 + coverage / 2 + 0.02 * seed
                here = {"coverage": coverage, "rule": rule, "seed": seed, "chance": 0.2}
                here |= {"two_hop": share, "written_out": share / 2, "bridge_written": share / 3}
                here |= {"predicted": share / 4, "predicted_written_out": share / 5}
                here |= {"hop_1": 1.0, "hop_2": 0.5, "other_two_hop": 1 - share}
                rows.append(here)
    return rows


def test_every_adapter_has_a_row_in_the_column_of_its_coverage():
    grid = draw(table()).axes
    for column, coverage in enumerate(COVERAGES):
        outright, spelt, beside = grid[column::3]
        share = {
            name: number / 20 + coverage / 2 + 0.01 for number, name in enumerate(RULES.values())
        }
        for axes, label, part in (
            (outright, "measured", 1),
            (outright, "predicted before", 1 / 4),
            (spelt, "measured", 1 / 2),
            (spelt, SPELT["label"], 1 / 3),
            (spelt, "predicted before", 1 / 5),
        ):
            wanted = {name: x * part for name, x in share.items()}
            if axes is outright and label == "predicted before":
                del wanted[RULES["direct"]]
            assert shown(axes, label) == pytest.approx(wanted)
        kept = {name: 1 - x for name, x in share.items()}
        assert shown(beside, "unedited chains") == pytest.approx(kept)
        facts = {name: 0.75 for rule, name in RULES.items() if rule != "oracle placement"}
        assert shown(beside, "edited single facts") == pytest.approx(facts)


def test_the_note_tells_of_the_largest_coverage():
    note = draw(table()).legends[0].get_title().get_text().replace("\n", " ")
    assert note.startswith(
        "With 50% of chains in pretraining: joint 56%, with plain examples 61%, "
        "depth oracle 46%; spelt out after spelt-out examples 33%. "
    )


def test_a_table_that_lacks_a_rule_is_refused():
    with pytest.raises(TableError, match="has sum in column rule"):
        draw([row for row in table() if row["rule"] != "sum"])


def test_the_same_table_gives_the_same_bytes():
    assert rendered(draw(table()), "png") == rendered(draw(table()), "png")


@pytest.mark.parametrize("column", [*NUMBERS, "rule"])
def test_each_needed_column_is_missed(column):
    with pytest.raises(TableError, match=f"no column {column}"):
        draw(without(table(), column))
