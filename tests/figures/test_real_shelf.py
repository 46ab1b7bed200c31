"""The shelf's figure: every way on its line, pairs averaged within each seed."""

import pytest
from panels import shown, without

from loratheory.figures import TableError
from loratheory.figures.real_shelf import PANELS, WAYS, draw

MUTANTS = [
    ('(row["hop_1"] + row["hop_2"]) / 2', 'row["hop_1"]'),
    ('"chains": "person to animal"', '"hop_2": "person to animal"'),
    ('grouped(rows, "way", WAYS)', "None"),
    ('if column != "known"', 'if column == "known"'),
    ("pairs=count)", "pairs=1)"),
    ("sorted({", "({"),
    ("zip(\n        figure", "zip(\n        reversed(figure)"),
]


def table():
    return [
        {
            "seed": seed,
            "pairs": pairs,
            "way": way,
            "pair": pair,
            "chains": place / 20 / pairs + 0.1 * pair + 0.02 * seed,
            "hop_1": 0.4,
            "hop_2": place / 20,
            "known": 0.8 - place / 20,
        }
        for pairs in (4, 1)
        for seed in (0, 1)
        for place, way in enumerate(WAYS)
        for pair in (0, 1)
    ]


@pytest.mark.parametrize("pairs", [1, 4])
def test_every_way_is_on_its_line(pairs):
    figure, label = draw(table()), {1: "1 pair", 4: "4 pairs"}[pairs] + " at once"
    places = list(enumerate(WAYS.values()))
    chains, facts, known = figure.axes
    assert shown(chains, label) == pytest.approx({n: i / 20 / pairs + 0.06 for i, n in places})
    assert shown(facts, label) == pytest.approx({n: (0.4 + i / 20) / 2 for i, n in places})
    assert shown(known, label) == pytest.approx({n: 0.8 - i / 20 for i, n in places})
    assert [axes.get_title(loc="left") for axes in figure.axes] == [*PANELS.values()]
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "1 pair at once",
        "4 pairs at once",
    ]


def test_chance_is_a_line_where_there_are_candidates():
    dotted = [
        [x.get_xdata()[0] for x in axes.lines if x.get_ls() == ":"] for axes in draw(table()).axes
    ]
    assert dotted == [[0.05], [0.05], []]


def test_lacking_columns_and_ways_are_told():
    for column in ("chains", "known", "pair"):
        with pytest.raises(TableError, match=column):
            draw(without(table(), column))
    with pytest.raises(TableError, match="Arrow"):
        draw([one for one in table() if one["way"] != "Arrow"])
