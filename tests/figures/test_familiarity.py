"""Unfamiliar entities: a column a rule, a row a kind of entities, all means of the table."""

import pytest
from panels import shown, without

from loratheory.figures import TableError, rendered
from loratheory.figures.familiarity import CONTROLS, NUMBERS, RULES, WORDS, draw

PLACES = {
    "half-fake": (0.5, "half", "none"),
    "half-fake, all repeated": (0.5, "half", "all"),
    "fake": (0.5, "fake", "none"),
    "fake, known repeated": (0.5, "fake", "known"),
    "fake, all repeated": (0.5, "fake", "all"),
    "fake, no chains": (0.0, "fake", "none"),
    "fake, all repeated, no chains": (0.0, "fake", "all"),
}
STEP = dict(zip(PLACES, range(7), strict=True))


def table():
    """Two bases; what is answered grows with the rule and from one kind of entities to the next."""
    rows = []
    for name, (coverage, familiarity, identity) in reversed(PLACES.items()):
        for number, rule in enumerate((*RULES, *CONTROLS)):
            for seed in (0, 1):
                here = {"coverage": coverage, "familiarity": familiarity, "identity": identity}
                here |= {"rule": rule, "seed": seed, "chance": 0.2, "circuit": STEP[name] / 10}
                share = STEP[name] / 20 + number / 50 + 0.02 * seed
                here |= {"two_hop": share, "predicted": 1 - share, "other_two_hop": share / 2}
                rows.append({**here, "hop_1": 1.0, "hop_2": 0.5})
    return rows


def test_each_kind_of_entities_has_its_row():
    grid = draw(table()).axes
    for number, (axes, title) in enumerate(zip(grid, RULES.values(), strict=False)):
        assert axes.get_title(loc="left") == title
        share = {name: step / 20 + number / 50 + 0.01 for name, step in STEP.items()}
        assert shown(axes, "measured") == pytest.approx(share)
        said = {} if number == 4 else {name: 1 - value for name, value in share.items()}
        assert shown(axes, "predicted before") == pytest.approx(said)
    assert [text.get_text() for text in grid[0].get_yticklabels()] == list(PLACES)


def test_what_else_is_answered_stands_below():
    grid = draw(table()).axes[len(RULES) + 1 :]
    for number, (axes, rule) in enumerate(zip(grid, RULES, strict=False)):
        share = {name: step / 40 + number / 100 + 0.005 for name, step in STEP.items()}
        assert shown(axes, "unedited chains") == pytest.approx(share)
        facts = {} if rule == "oracle placement" else dict.fromkeys(PLACES, 0.75)
        assert shown(axes, "edited single facts") == pytest.approx(facts)


def test_controls_and_the_base_have_a_column():
    grid = draw(table()).axes
    above, below = grid[len(RULES)], grid[-1]
    for number, (_, label) in enumerate(CONTROLS.values(), start=len(RULES)):
        share = {name: step / 20 + number / 50 + 0.01 for name, step in STEP.items()}
        assert shown(above, label) == pytest.approx(share)
    circuit = {name: step / 10 for name, step in STEP.items()}
    assert shown(below, "base, unseen chains") == pytest.approx(circuit)
    base = {name: step / 40 + len(RULES) / 100 + 0.005 for name, step in STEP.items()}
    assert shown(below, "unedited chains") == pytest.approx(base)


def test_the_note_tells_what_composes_of_new_entities():
    note = draw(table()).legends[0].get_title().get_text().replace("\n", " ")
    assert note.startswith(
        "Fake: gates answer 15%, the mean 11%, predicted 85% and 89%. "
        "Fake, all repeated: gates answer 25%, the mean 21%, predicted 75% and 79%. "
    )


def test_a_table_of_few_cells_is_drawn():
    rows = [row for row in table() if row["identity"] == "none" and row["coverage"]]
    names = [text.get_text() for text in draw(rows).axes[0].get_yticklabels()]
    assert names == ["half-fake", "fake"]


def test_a_table_that_lacks_a_rule_is_refused():
    with pytest.raises(TableError, match="has sum in column rule"):
        draw([row for row in table() if row["rule"] != "sum"])


def test_the_same_table_gives_the_same_bytes():
    assert rendered(draw(table()), "png") == rendered(draw(table()), "png")


@pytest.mark.parametrize("column", [*NUMBERS, *WORDS])
def test_each_needed_column_is_missed(column):
    with pytest.raises(TableError, match=f"no column {column}"):
        draw(without(table(), column))
