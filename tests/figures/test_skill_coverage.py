"""Coverage's figure: each base and share its place, each rule its mean, and how far it is ahead."""

import pytest

from loratheory.figures import TableError
from loratheory.figures.skill_coverage import ADDED, RULES, SEEN, draw

SHARES = (0.0, 0.01, 0.3)
PLACES = [*((seen, 0.0) for seen in SEEN), *(("pairs", share) for share in SHARES)]


def value(rule, place):
    return [*RULES].index(rule) ** 2 / 40 + place / 50


def table():
    return [
        {
            "seen": seen, "coverage": share, "rule": rule, "seed": seed,
            "first": "multiply", "second": second,
            "stepwise": value(rule, place) + 0.02 * seed,
        }
        for place, (seen, share) in [*enumerate(PLACES)][::-1]
        for rule in RULES
        for seed in (0, 1)
        for second in ("divide", "percent")
    ]  # fmt: skip


def test_every_rule_has_a_point_at_every_place_and_a_line_over_shares():
    above, below = draw(table()).axes
    assert len(above.containers) == len(RULES)
    for (points, *_), rule in zip(above.containers, RULES, strict=True):
        assert points.get_ydata() == pytest.approx(
            [value(rule, place) + 0.01 for place in range(len(PLACES))]
        )
        assert [round(x) for x in points.get_xdata()] == [*range(len(PLACES))]
    lines = [line for line in above.lines if len(line.get_xdata()) == len(SHARES)]
    assert len(lines) == len(RULES)
    for (points, *_), rule in zip(below.containers, ADDED, strict=True):
        more = value(rule, 0) - value("base", 0)
        assert points.get_ydata() == pytest.approx([more] * len(PLACES))
    labels = [text.get_text() for text in below.get_xticklabels()]
    assert labels[:4] == [*SEEN.values()]
    assert labels[-2:] == ["1 %", "30 %"]


def test_a_base_that_is_missing_is_named():
    with pytest.raises(TableError, match="single steps"):
        draw([row for row in table() if row["seen"] != "single steps"])
