"""The cure's figure: every mark is a mean of the table, plain rows alone, rule by rule."""

import pytest

from loratheory.figures import TableError, rendered
from loratheory.figures.gating import PLAIN, RULES, draw


def table():
    """Two bases, two sizes of shelf; rows of another rank that must not count."""
    rows = []
    for number, rule in enumerate(RULES):
        for pairs in (1, 4):
            for seed in (0, 1):
                share = number / 20 + 0.1 * (pairs == 4) + 0.02 * seed
                here = {**PLAIN, "pairs": pairs, "seed": seed, "rule": rule, "chance": 0.2}
                rows.append({**here, "two_hop": share, "other_two_hop": 1 - share})
                rows.append({**here, "rank": 32, "two_hop": 1.0, "other_two_hop": 1.0})
    # one base measured twice as often weighs no more
    return [*rows, {**rows[0], "seed": 0}, {**rows[0], "seed": 0}]


def test_marks_are_means_over_bases():
    left, right = draw(table()).axes
    for axes, sign in ((left, 1), (right, -1)):
        for (line, *_), shift in zip(axes.containers, (0.0, 0.1), strict=True):
            wanted = [number / 20 + shift + 0.01 for number in range(len(RULES))]
            wanted = wanted if sign == 1 else [1 - share for share in wanted]
            assert line.get_xdata().tolist() == pytest.approx(wanted)
    assert [text.get_text() for text in left.get_yticklabels()] == [*RULES.values()]
    assert left.lines[-1].get_xdata() == pytest.approx([0.2, 0.2])


def test_the_same_table_gives_the_same_bytes():
    assert rendered(draw(table()), "png") == rendered(draw(table()), "png")


def test_a_table_of_something_else_is_refused():
    with pytest.raises(TableError, match="draw the table of the experiment `gating`"):
        draw([{**row, "facts": 3} for row in table()])
    with pytest.raises(TableError, match="no column other_two_hop"):
        draw([{k: v for k, v in row.items() if k != "other_two_hop"} for row in table()])
