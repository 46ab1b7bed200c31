"""The libraries' figure: panels by familiarity, marks by library, solutions aloud by lesson."""

import pytest
from panels import shown, without

from loratheory.figures import TableError
from loratheory.figures.real_libraries import LIBRARIES, PANELS, SOLVED, TAUGHT, WAYS, draw

SIZES = {"base": [0], "hop 1 alone": [1], "hop 2 alone": [1], "expert": [1], "layer split": [2]}


def row(seed, familiarity, taught, library, way, chains):
    aloud = {"two_hop_written": chains / 2, "two_hop_form": chains / 4, "two_hop_vocabulary": 0.9}
    head = {"seed": seed, "familiarity": familiarity, "trained": taught}
    return head | {"library": library, "rule": way, "two_hop": chains} | aloud


def share(familiarity, library, way, seed):
    place = [*WAYS].index(way)
    return place / 20 + library / 10 + [*PANELS].index(familiarity) / 50 + seed / 100


def table():
    told = [(f, way, size) for f in PANELS for way in WAYS for size in SIZES.get(way, [2, 3])]
    more = [(t, way) for t in [*TAUGHT][1:] for way in ("base", "mean", "sum")]
    rows = []
    for seed in (0, 1):
        rows += [row(seed, f, "all layers", n, w, share(f, n, w, seed)) for f, w, n in told]
        rows += [row(seed, "half", t, 2, w, 0.2 * [*TAUGHT].index(t)) for t, w in more]
    return rows


def test_a_panel_for_each_familiarity_and_a_mark_for_each_library():
    upper = draw(table()).axes[:3]
    assert [axes.get_title(loc="left") for axes in upper] == [*PANELS.values()]
    for axes, familiarity in zip(upper, PANELS, strict=True):
        for size, look in LIBRARIES.items():
            wanted = {
                name: share(familiarity, n, way, 0.5)
                for way, name in WAYS.items()
                for n in SIZES.get(way, [2, 3])
                if max(n, 1) == size
            }
            assert shown(axes, look["label"]) == pytest.approx(wanted)


def test_chains_at_once_and_aloud_by_lesson():
    below = draw(table()).axes[3:]
    for axes, way in zip(below, ("mean", "sum"), strict=True):
        at_once = [share("half", 2, way, 0.5), 0.2, 0.4, 0.6]
        for part, look in zip((1, 0.5, 0.25), SOLVED.values(), strict=True):
            wanted = dict(zip(TAUGHT.values(), [part * x for x in at_once], strict=True))
            assert shown(axes, look["label"]) == pytest.approx(wanted)


def test_chance_is_a_line_in_every_panel():
    for axes in draw(table()).axes:
        assert [x.get_xdata()[0] for x in axes.lines if x.get_ls() == ":"] == [0.05]


def test_lacking_columns_ways_and_lessons_are_told():
    for column in ("two_hop_written", "library", "rule"):
        with pytest.raises(TableError, match=column):
            draw(without(table(), column))
    for column, value in (("rule", "arrow"), ("trained", "shared form"), ("familiarity", "real")):
        with pytest.raises(TableError, match=value):
            draw([one for one in table() if one[column] != value])
