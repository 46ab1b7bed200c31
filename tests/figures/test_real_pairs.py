"""The shelf's figure: every way on its line, pairs averaged within each seed; weights below."""

import pytest
from panels import shown, without

from loratheory.figures import TableError
from loratheory.figures.real_pairs import HOPS, PANELS, RULES, WAYS, WEIGHTS, draw


def table():
    return [
        {
            "seed": seed,
            "pairs": pairs,
            "rule": way,
            "pair": pair,
            "two_hop": place / 20 / pairs + 0.1 * pair + 0.02 * seed,
            "hop_1": 0.4,
            "hop_2": place / 20,
            "other_facts": 0.8 - place / 20,
            "own_1": 0.1 + place / 40,
            "others_1": 0.05 if pairs > 1 else float("nan"),
            "own_2": 0.3,
            "others_2": 0.2 if pairs > 1 else float("nan"),
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
    chains, facts, known = figure.axes[:3]
    assert shown(chains, label) == pytest.approx({n: i / 20 / pairs + 0.06 for i, n in places})
    assert shown(facts, label) == pytest.approx({n: (0.4 + i / 20) / 2 for i, n in places})
    assert shown(known, label) == pytest.approx({n: 0.8 - i / 20 for i, n in places})
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == [*PANELS.values()]
    told = [text.get_text() for text in figure.subfigs[0].legends[0].get_texts()]
    assert told == ["1 pair at once", "4 pairs at once"]


def test_weights_are_those_of_four_pairs_hop_by_hop():
    first, second = draw(table()).axes[3:]
    lines = {f"{WAYS[rule]}, 4 pairs": list(WAYS).index(rule) for rule in RULES}
    own, others = (look["label"] for look in WEIGHTS.values())
    assert shown(first, own) == pytest.approx({n: 0.1 + i / 40 for n, i in lines.items()})
    assert shown(first, others) == pytest.approx(dict.fromkeys(lines, 0.05))
    assert shown(second, own) == pytest.approx(dict.fromkeys(lines, 0.3))
    assert shown(second, others) == pytest.approx(dict.fromkeys(lines, 0.2))
    assert [axes.get_title(loc="left") for axes in (first, second)] == [*HOPS.values()]


def test_chance_is_a_line_where_there_are_candidates():
    dotted = [
        [x.get_xdata()[0] for x in axes.lines if x.get_ls() == ":"] for axes in draw(table()).axes
    ]
    assert dotted == [[1 / 12], [1 / 12], [], [], []]


def test_lacking_columns_and_ways_are_told():
    for column in ("two_hop", "other_facts", "pair", "own_1", "others_2"):
        with pytest.raises(TableError, match=column):
            draw(without(table(), column))
    with pytest.raises(TableError, match="arrow"):
        draw([one for one in table() if one["rule"] != "arrow"])
