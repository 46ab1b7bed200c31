"""The figure of word problems: every way on its line, sums by operation and size."""

import pytest
from panels import shown, without

from loratheory.figures import TableError
from loratheory.figures.real_words import SIGNS, SIZES, WAYS, draw

MARKS = ("steps", "given", "at once")
ASKED = ("add", "subtract", "add, subtract")


def row(seed, way, asked, size, mark, share):
    told = {"rule": way, "asked": asked, "size": size, "metric": mark}
    return {"seed": seed, **told, "share": share + 0.02 * seed}


def height(i, j, k):
    return i / 20 + j / 50 + k / 7


def table():
    made = []
    for seed in (0, 1):
        for i, way in enumerate(WAYS):
            for j, asked in enumerate(ASKED):
                for k, mark in enumerate(MARKS):
                    made.append(row(seed, way, asked, "to 9", mark, height(i, j, k)))
                    made.append(row(seed, way, asked, "to 20", mark, 0.9))
        made.append(row(seed, "copy", "add, subtract", "to 9", "at once", 0.3))
        made.append(row(seed, "copy", "add", "to 9", "at once", 0.6))
        for i, sign in enumerate(SIGNS):
            for j, size in enumerate(SIZES):
                for k, notation in enumerate(("digits", "words")[: 2 if j < 2 else 1]):
                    asked = f"{sign} in {notation}"
                    made.append(row(seed, "base, shown", asked, size, "sum", height(i, j, k)))
                    made.append(row(seed, "base", asked, size, "sum", 0.95))
    return made


def test_every_way_is_on_its_line():
    _, one, two = draw(table()).axes
    for axes, asked, marks in (
        (one, {"add": "add", "subtract": "subtract"}, ["steps"]),
        (two, {}, {"steps": "step by step", "given": "first step given", "at once": "at once"}),
    ):
        for j, kind in enumerate(asked or ["add, subtract"]):
            for mark in marks:
                k, label = MARKS.index(mark), asked.get(kind) or marks[mark]
                heights = {
                    name: height(i, j if asked else 2, k) + 0.01
                    for i, name in enumerate(WAYS.values())
                }
                names = dict(zip(range(len(WAYS)), WAYS.values(), strict=True))
                [bars] = [bar[0] for bar in axes.containers if bar.get_label() == label]
                found = dict(zip(bars.get_ydata(), bars.get_xdata(), strict=True))
                told = {names[round(place)]: value for place, value in found.items()}
                assert told == pytest.approx(heights), label


def test_sums_are_by_operation_and_size():
    sums, *_ = draw(table()).axes
    for k, label in enumerate(("in digits", "in words")):
        assert shown(sums, label) == pytest.approx(
            {
                f"{sign} {size}": height(i, j, k) + 0.01
                for i, sign in enumerate(("+", "−", "×"))
                for j, size in enumerate(SIZES[: 4 - 2 * k])
            }
        )


def test_copying_is_a_dotted_line():
    *_, two = draw(table()).axes
    assert [x.get_xdata()[0] for x in two.lines if x.get_ls() == ":"] == [pytest.approx(0.31)]


def test_lacking_columns_and_ways_are_told():
    for column in ("share", "asked", "size", "seed"):
        with pytest.raises(TableError, match=column):
            draw(without(table(), column))
    for way in ("arrow", "copy"):
        with pytest.raises(TableError, match=way):
            draw([one for one in table() if one["rule"] != way])
    odd = [one | {"metric": 1.0} for one in table()]
    with pytest.raises(TableError, match="metric"):
        draw(odd)
