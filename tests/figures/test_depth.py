"""One read against two: a column a base, ceilings only where a theorem sets them."""

import pytest
from panels import shown, without

from loratheory.figures import TableError, rendered
from loratheory.figures.depth import CEILING, CIRCUIT, NO_FACTS, NUMBERS, READS, RULES, WORDS, draw


def table(names=READS):
    """Two bases of each kind; what is answered grows with the rule and with the kind."""
    rows = []
    for step, reads in enumerate(names):
        for number, rule in enumerate(RULES):
            for seed in (0, 1):
                share = step / 10 + number / 20 + 0.02 * seed
                here = {"reads": reads, "rule": rule, "seed": seed, "two_hop": share}
                here |= {"hop_1": 1.0, "hop_2": 0.5, "other_two_hop": 1 - share, "chance": 0.2}
                patterns = 4 if rule == "best pattern" else 1
                ceiling = patterns / 5 if reads == "one layer" else 1.0
                rows.append({**here, "circuit": step / 4, "patterns": patterns, "ceiling": ceiling})
    return rows


def test_each_base_has_a_column_of_what_its_rules_answer():
    grid = draw(table()).axes
    for step, axes in enumerate(grid[:4]):
        share = {rule: step / 10 + number / 20 + 0.01 for number, rule in enumerate(RULES)}
        assert shown(axes, "measured") == pytest.approx(share)
        assert axes.get_title(loc="left").replace("\n", " ") == READS[step]
        (line,) = (line for line in axes.lines if line.get_label() == CIRCUIT["label"])
        assert list(line.get_xdata()) == [step / 4, step / 4]
        kept = {rule: 1 - x for rule, x in share.items() if rule != "best pattern"}
        assert shown(grid[4 + step], "unedited chains") == pytest.approx(kept)
        facts = {rule: 0.75 for rule in RULES if rule not in NO_FACTS}
        assert shown(grid[4 + step], "edited single facts") == pytest.approx(facts)


def test_the_note_tells_how_far_each_base_gets():
    note = draw(table()).legends[0].get_title().get_text().replace("\n", " ")
    assert note.startswith(
        "Each adapter in its own place answers 36% in one layer; 46% in two layers; "
        "56% in one layer twice; 66% in one layer twice, window 2. "
    )


def test_one_read_alone_has_ceilings():
    ceilings = [shown(axes, CEILING["label"]) for axes in draw(table()).axes[:4]]
    assert ceilings[0] == pytest.approx({**dict.fromkeys(RULES, 0.2), "best pattern": 0.8})
    assert ceilings[1:] == [{}, {}, {}]


def test_a_table_of_fewer_bases_has_fewer_columns():
    grid = draw(table(READS[::3])).axes
    assert [axes.get_title(loc="left") for axes in grid[:2]] == [
        "one layer",
        "one layer twice,\nwindow 2",
    ]
    assert len(grid) == 4


def test_a_table_that_lacks_a_rule_is_refused():
    with pytest.raises(TableError, match="has sum in column rule"):
        draw([row for row in table() if row["rule"] != "sum"])


def test_the_same_table_gives_the_same_bytes():
    assert rendered(draw(table()), "png") == rendered(draw(table()), "png")


@pytest.mark.parametrize("column", [*NUMBERS, *WORDS])
def test_each_needed_column_is_missed(column):
    with pytest.raises(TableError, match=f"no column {column}"):
        draw(without(table(), column))
