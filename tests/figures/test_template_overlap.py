"""Template overlap's figure: means of their panel, borders of the theorem, ceilings and floors."""

import pytest

from loratheory.figures import TableError
from loratheory.figures.template_overlap import BASES, BRIDGES, NEEDED, OTHERS, RULES, draw

SHARES = {"none": (0,), **dict.fromkeys(BRIDGES, (0.25, 0.5, 1.0))}


def value(kind, bridge, rule, share):
    low = NEEDED.index(rule) / 30 + [*BASES].index(kind) / 10
    return low + share / 10 + (["none", *BRIDGES].index(bridge)) / 40


def table(kinds=(*BASES,), rules=NEEDED):
    return [
        {
            "kind": kind, "rule": rule, "bridge": bridge, "share": share, "seed": seed,
            "stepwise": value(kind, bridge, rule, share) + 0.02 * seed,
        }
        for kind in kinds
        for rule in rules
        for bridge, shares in SHARES.items()
        for share in shares
        for seed in (0, 1)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def panels():
    each = [(kind, bridge) for kind in BASES for bridge in BRIDGES]
    return dict(zip(each, draw(table()).axes, strict=True))


def named(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line


def test_points_are_means_of_their_base_bridge_and_share(panels):
    for (kind, bridge), axes in panels.items():
        for (points, *_), rule in zip(axes.containers, RULES, strict=True):
            assert points.get_xdata() == pytest.approx([0, 0.25, 0.5, 1])
            wanted = [value(kind, "none", rule, 0)]
            wanted += [value(kind, bridge, rule, s) for s in (0.25, 0.5, 1)]
            assert points.get_ydata() == pytest.approx([x + 0.01 for x in wanted])
        for rule in OTHERS:
            last = named(axes, rule).get_ydata()[-1]
            assert last == pytest.approx(value(kind, bridge, rule, 1) + 0.01)


def test_borders_are_those_of_the_vote(panels):
    for (kind, _), axes in panels.items():
        wanted = {"mean": 0.5, "sum": 0.25 if kind == "single steps" else 0.75}
        for rule, place in wanted.items():
            line = named(axes, f"vote won from here: {rule}")
            assert line.get_xdata() == pytest.approx([place] * 2)


def test_ceiling_and_floor_are_means_of_their_rows(panels):
    for (kind, bridge), axes in panels.items():
        cells = [("none", 0), *((bridge, s) for s in (0.25, 0.5, 1))]
        for label, rule in (
            ("trained on the task", "composed"),
            ("base or one adapter", "second alone"),
        ):
            mean = sum(value(kind, b, rule, s) for b, s in cells) / 4 + 0.01
            assert named(axes, label).get_ydata() == pytest.approx([mean] * 2)


def test_a_missing_rule_is_named():
    with pytest.raises(TableError, match="no row of the table has ties"):
        draw(table(rules=[rule for rule in NEEDED if rule != "ties"]))
