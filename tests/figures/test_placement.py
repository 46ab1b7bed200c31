"""Placement's figure: every place on its line, means over bases, theory's answer marked open."""

import pytest

from loratheory.figures import TableError
from loratheory.figures.placement import (
    ANSWERS,
    FINDING,
    MODULES,
    NEEDED,
    PLACES,
    QUESTION,
    draw,
)

MARKS = ("hop_1", "hop_2", "predicted", "inside", "two_hop", "half_way", "unchanged")


def value(column, modules, place):
    return (
        MARKS.index(column) / 20 + list(MODULES).index(modules) / 6 + list(PLACES).index(place) / 24
    )


def table(kinds=("all", "mlp", "attention")):
    return [
        {
            "modules": kind,
            "place": place,
            "seed": seed,
            **{x: value(x, kind, place) + 0.02 * seed for x in MARKS},
            "chance": 1 / 3,
            "predicted_right": 0.5 + list(MODULES).index(kind) / 10,
            "inside_right": 0.95,
        }
        for kind in kinds
        for place in reversed(PLACES)
        for seed in (0, 1)
    ]


def named(axes):
    return {line.get_label(): line for line in axes.lines} | {
        bar.get_label(): bar[0] for bar in axes.containers
    }


def test_each_place_has_its_line_and_each_choice_of_modules_its_column():
    axes = draw(table()).axes
    for column, kind in enumerate(MODULES):
        above, below = named(axes[column]), named(axes[3 + column])
        for found, label, name in (
            (above, "facts of hop 1", "hop_1"),
            (above, "facts of hop 2", "hop_2"),
            (above, "chains, predicted\nfrom facts alone", "predicted"),
            (above, "chains, predicted\nfrom facts in chains", "inside"),
            (above, "chains, measured", "two_hop"),
            *((below, label, name) for name, (_, _, label, _) in ANSWERS.items()),
        ):
            wanted = [value(name, kind, place) + 0.01 for place in PLACES]
            assert found[label].get_xdata() == pytest.approx(wanted), label
            assert [round(y) for y in found[label].get_ydata()] == list(range(len(PLACES)))
        assert above["one answer always"].get_xdata() == pytest.approx([1 / 3] * 2)
    assert [text.get_text() for text in axes[0].get_yticklabels()] == list(PLACES.values())
    assert axes[0].yaxis_inverted()


def test_open_marks_stand_where_the_order_of_reads_puts_the_answer():
    """By hand: new, new, half way, then old."""
    axes = draw(table(["mlp"])).axes[1]
    wanted = {"o": [0, 1], "^": [2], "s": [3, 4, 5]}
    rings = [x for x in axes.lines if len(x.get_xdata()) and x.get_markersize() == 7]
    assert {x.get_marker(): [round(y) for y in x.get_ydata()] for x in rings} == wanted
    assert all(x == 1 for ring in rings for x in ring.get_xdata())


def test_titles_say_how_often_each_prediction_is_right():
    axes = draw(table()).axes
    for column, kind in enumerate(MODULES):
        title = axes[column].get_title(loc="left")
        assert title == f"{MODULES[kind]}\nright: □ {0.5 + column / 10:.0%}, ◇ 95%"


@pytest.mark.parametrize("column", [*NEEDED, "modules", "place"])
def test_each_needed_column_is_missed(column):
    rows = [{name: x for name, x in row.items() if name != column} for row in table()]
    with pytest.raises(TableError, match=f"no column {column}"):
        draw(rows)


def test_a_place_that_is_missing_is_named():
    rows = [x for x in table() if (x["modules"], x["place"]) != ("attention", "nowhere")]
    with pytest.raises(TableError, match=r"has the place nowhere \(attention\)"):
        draw(rows)
    with pytest.raises(TableError, match=r"both loops \(mlp\), oracle placement \(mlp\)"):
        draw([{**row, "modules": "norms"} for row in table()])


def told(kind="mlp", place="oracle placement", **changes):
    """The title if both recall in the first pass and compose in their own; one place differs."""
    rows = []
    for row in table(["mlp", "all"]):
        ordered = row["place"] in ("oracle placement", "both loops")
        plain = {"hop_1": 1.0, "hop_2": 1.0, "two_hop": float(ordered)}
        here = changes if (row["modules"], row["place"]) == (kind, place) else {}
        rows.append({**row, **plain, **{name: pair[row["seed"]] for name, pair in here.items()}})
    return draw(rows).get_suptitle()


def test_the_title_claims_only_what_the_table_holds():
    assert told() == FINDING
    assert told(place="both loops", two_hop=(0.0, 0.0)) == FINDING  # cross-talk, not order
    assert told(kind="all", two_hop=(1.0, 0.3)) == QUESTION  # the interval holds chance
    assert told(place="reversed placement", two_hop=(0.0, 0.4)) == QUESTION
    assert told(place="first loop", hop_2=(1.0, 0.2)) == QUESTION
