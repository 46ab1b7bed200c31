"""Coverage's figure: each panel holds its own rules and familiarity, means over bases, controls."""

import pytest

from loratheory.figures import TableError
from loratheory.figures._table import grouped
from loratheory.figures.two_hop_coverage import (
    CONTROLS,
    FINDING,
    GROUPS,
    NEEDED,
    QUESTION,
    RIVALS,
    THIRD,
    WORDS,
    draw,
    headline,
)

RULES = [*CONTROLS, THIRD, *(rule for group in GROUPS for rule in group)]
COVERAGE = (0.0, 0.25, 0.9)
SHARE = {"real": 0.02, "half": 0.01, "fake": 0.0}


def chains(rule, familiarity, coverage):
    """What this figure should show: another number everywhere."""
    return RULES.index(rule) / 40 + SHARE[familiarity] + coverage / 4


def table(kinds=("fake", "half", "real")):
    return [
        {
            "coverage": coverage,
            "familiarity": kind,
            "rule": rule,
            "seed": seed,
            "set": number,
            "two_hop": chains(rule, kind, coverage) + 0.01 * seed + 0.001 * number,
            "other_two_hop": 1 - chains(rule, kind, coverage),
            "chance": 0.2,
            "claimed": {"mean": "fails", "arrow": "fails", "direct": "works"}.get(rule, "silent"),
            "predicted": chains(rule, kind, coverage) / 2,
        }
        for coverage in reversed(COVERAGE)
        for kind in kinds
        for rule in RULES
        for seed in (0, 1)
        for number in (0, 1)
    ]


@pytest.fixture(scope="module")
def grid():
    axes = draw(table()).axes
    return [axes[8 * row : 8 * row + 8] for row in range(4)]


def test_marks_are_means_over_bases_of_their_rule_and_familiarity(grid):
    for panels, kind in zip(grid, SHARE, strict=False):
        for axes, group in zip(panels, GROUPS, strict=True):
            for (mark, *_), rule in zip(axes.containers, group, strict=True):
                wanted = [chains(rule, kind, coverage) + 0.0055 for coverage in COVERAGE]
                assert mark.get_ydata() == pytest.approx(wanted)
                assert mark.get_xdata() == pytest.approx(COVERAGE, abs=0.03)


def test_predictions_are_those_of_the_rules(grid):
    for panels, kind in zip(grid, SHARE, strict=False):
        for axes, group in zip(panels, GROUPS, strict=True):
            for line, rule in zip(axes.lines, group, strict=False):
                assert line.get_label() == "predicted from each adapter alone"
                wanted = [chains(rule, kind, coverage) / 2 for coverage in COVERAGE]
                assert line.get_ydata() == pytest.approx(wanted)


def test_the_best_control_is_the_highest_and_with_a_direct_adapter_its_third(grid):
    for panels, kind in zip(grid, SHARE, strict=False):
        for axes, group in zip(panels, GROUPS, strict=True):
            rule = THIRD if "direct" in group else "shuffled"
            (line,) = [x for x in axes.lines if x.get_label().startswith("best control")]
            wanted = [chains(rule, kind, coverage) + 0.0055 for coverage in COVERAGE]
            assert line.get_ydata() == pytest.approx(wanted)
            assert axes.lines[-1].get_ydata() == pytest.approx([0.2] * 3)


def test_unedited_chains_are_those_beside_real_edits_and_of_the_base(grid):
    for axes, group in zip(grid[-1], GROUPS, strict=True):
        for (mark, *_), rule in zip(axes.containers, group, strict=True):
            wanted = [1 - chains(rule, "real", coverage) for coverage in COVERAGE]
            assert mark.get_ydata() == pytest.approx(wanted)
        base = [1 - chains("base", "real", coverage) for coverage in COVERAGE]
        assert axes.lines[-1].get_ydata() == pytest.approx(base)


def test_columns_are_named_from_top_to_bottom_with_what_was_published(grid):
    for axes, group in zip(grid[0], GROUPS, strict=True):
        *names, claim = sorted(axes.texts, key=lambda text: -text.get_position()[1])
        assert [text.get_text() for text in names] == list(group.values())
        published = {"mean": "fails", "arrow": "fails", "direct": "works"}.get(next(iter(group)))
        assert claim.get_text() == (f"published: {published}" if published else "")


def test_a_table_of_real_entities_alone_has_two_rows():
    axes = draw(table(["real"])).axes
    assert len(axes) == 16
    assert axes[8].get_ylabel().startswith("unedited")


@pytest.mark.parametrize("column", [*NEEDED, *WORDS])
def test_each_needed_column_is_missed(column):
    rows = [{name: x for name, x in row.items() if name != column} for row in table(["real"])]
    with pytest.raises(TableError, match=f"no column {column}"):
        draw(rows)


def test_a_table_without_a_control_is_refused():
    with pytest.raises(TableError, match="has noise in column rule"):
        draw([row for row in table(["real"]) if row["rule"] != "noise"])


def told(**changes):
    """The title if gates answer all where chains were seen, rivals half; and one cell differs."""
    place = {"familiarity": "fake", "coverage": 0.9, "rule": "knots"}
    rows = []
    for row in table(["real", "fake"]):
        chains = 0.1 if not row["coverage"] else 1.0 if row["rule"] == "gates" else 0.5
        rows.append({**row, "two_hop": chains})
        at = {**place, **{name: x for name, x in changes.items() if name in place}}
        if all(row[name] == x for name, x in at.items()):
            rows[-1]["two_hop"] = changes.get("shares", (chains,) * 2)[row["seed"]]
    return headline(grouped(rows, "rule", []))


def test_the_title_claims_only_what_the_table_holds():
    assert told() == FINDING
    assert draw(table(["real"])).get_suptitle() == QUESTION
    for rule in RIVALS:
        assert told(rule=rule, shares=(0.9, 1.0)) == QUESTION  # the interval holds 0
    assert told(familiarity="real", shares=(1.0, 1.0)) == QUESTION
    assert told(coverage=0.0, shares=(0.1, 0.25)) == QUESTION  # chance is within the interval
    assert told(coverage=0.0, shares=(0.15, 0.1)) == FINDING
    assert (
        told(rule="oracle placement", shares=(1.0, 1.0)) == FINDING
    )  # knows what is asked: no rival
