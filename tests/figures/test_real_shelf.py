"""The shelf's figure: every way on its line, pairs averaged within each seed; weights below."""

import pytest
from panels import shown, without

from loratheory.figures import TableError
from loratheory.figures.real_shelf import PANELS, SENTENCES, WAYS, WEIGHTS, draw

MUTANTS = [
    ('(row["hop_1"] + row["hop_2"]) / 2', 'row["hop_1"]'),
    ('"chains": "person to animal"', '"hop_2": "person to animal"'),
    ('grouped(texts["six"], "way", WAYS)', "None"),
    ('if column != "known"', 'if column == "known"'),
    ("pairs=count)", "pairs=1)"),
    ("sorted({", "({"),
    ("zip(panels, PANELS", "zip(reversed(panels), PANELS"),
    ('_answers(halves[0], texts["six"])', "_answers(halves[0], told)"),
    ("pairs=WATCHED)", "pairs=1)"),
    ("sentences=kind)", 'sentences="six")'),
    ('"own_weight": {', '"alike_weight": {'),
]


def table():
    return [
        {
            "seed": seed,
            "pairs": pairs,
            "sentences": sentences,
            "way": way,
            "pair": pair,
            "chains": place / 20 / pairs + 0.1 * pair + 0.02 * seed + 0.3 * (sentences != "six"),
            "hop_1": 0.4,
            "hop_2": place / 20,
            "known": 0.8 - place / 20,
            "own_weight": 0.1 + 0.05 * kind,
            "alike_weight": 0.2 if pairs > 1 else float("nan"),
            "other_weight": 0.05,
        }
        for pairs in (4, 1)
        for kind, sentences in enumerate(SENTENCES)
        for seed in (0, 1)
        for place, way in enumerate(WAYS)
        for pair in (0, 1)
    ]


@pytest.mark.parametrize("pairs", [1, 4])
def test_every_way_is_on_its_line(pairs):
    figure, label = draw(table()), {1: "1 pair", 4: "4 pairs"}[pairs] + " at once"
    places = list(enumerate(WAYS.values()))
    chains, facts, known = figure.axes[:3]
    assert shown(chains, label) == pytest.approx({n: i / 20 / pairs + 0.06 for i, n in places})
    assert shown(facts, label) == pytest.approx({n: (0.4 + i / 20) / 2 for i, n in places})
    assert shown(known, label) == pytest.approx({n: 0.8 - i / 20 for i, n in places})
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == [*PANELS.values()]
    legend, _ = (half.legends[0] for half in figure.subfigs)
    told = [text.get_text() for text in legend.get_texts()]
    assert told == ["1 pair at once", "4 pairs at once"]


def test_weights_are_those_of_four_pairs_by_sentences():
    weights, facts = draw(table()).axes[3:]
    lines = [f"{way}, {text}" for way in ("gates", "Arrow") for text in SENTENCES.values()]
    own, alike, other = (look["label"] for look in WEIGHTS.values())
    wanted = [0.1, 0.15, 0.2] * 2
    assert shown(weights, own) == pytest.approx(dict(zip(lines, wanted, strict=True)))
    assert shown(weights, alike) == pytest.approx(dict.fromkeys(lines, 0.2))
    assert shown(weights, other) == pytest.approx(dict.fromkeys(lines, 0.05))
    left = {way: (0.4 + list(WAYS).index(way) / 20) / 2 for way in ("gates, z = 2", "Arrow")}
    wanted = [left["gates, z = 2"]] * 3 + [left["Arrow"]] * 3
    assert shown(facts, "measured") == pytest.approx(dict(zip(lines, wanted, strict=True)))


def test_chance_is_a_line_where_there_are_candidates():
    dotted = [
        [x.get_xdata()[0] for x in axes.lines if x.get_ls() == ":"] for axes in draw(table()).axes
    ]
    assert dotted == [[1 / 12], [1 / 12], [], [], [1 / 12]]


def test_lacking_columns_ways_and_sentences_are_told():
    for column in ("chains", "known", "pair", "own_weight"):
        with pytest.raises(TableError, match=column):
            draw(without(table(), column))
    with pytest.raises(TableError, match="Arrow"):
        draw([one for one in table() if one["way"] != "Arrow"])
    with pytest.raises(TableError, match="own"):
        draw([one for one in table() if one["sentences"] != "own"])
