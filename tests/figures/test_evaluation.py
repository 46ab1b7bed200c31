"""The card's figure shows its numbers."""

import pytest

from loratheory.experiments.evaluate import Card, Mark, Survival
from loratheory.figures import evaluation, rendered


@pytest.fixture
def card():
    curve = tuple(
        {"coefficient": c, "hop_1": c - 1, "hop_2": 2 * c, "two_hop": c * c, "same_read": -c}
        for c in (0.0, 1.0, 2.0)
    )
    marks = [
        Mark(rule, coverage, 0.1 * i, 0.05 * i, 0.2 * i, 0.9, 0.8, 0.7, 0.6 - 0.1 * i, 0.0, 0.2)
        for coverage in (0.5, 0.0)
        for i, rule in enumerate(("base", "sum", "mine:rule"))
    ]
    return Card("mine:rule", "merge", "quick", [], Survival(curve, {}), marks)


def test_lines_and_bars_are_the_numbers_of_the_card(card):
    left, right, last = evaluation.draw(card).axes
    curve = card.memories.curve
    for line, kind in zip(left.lines, evaluation.LINES, strict=False):
        assert list(line.get_ydata()) == [row[kind] for row in curve]
    for axes in (right, last):
        bars = [bar.get_width() for bar in axes.patches]
        assert bars == pytest.approx([0.0, 0.1, 0.2])
        assert len({bar.get_facecolor() for bar in axes.patches}) == 2
        assert list(axes.lines[1].get_xdata()) == pytest.approx([0.05, 0.2])
        assert list(axes.lines[3].get_xdata()) == pytest.approx([0.6, 0.5, 0.4])
        assert list(axes.lines[4].get_xdata()) == pytest.approx([0.2, 0.2])
    assert [text.get_text() for text in right.get_yticklabels()] == ["base", "sum", "rule"]


def test_it_is_the_same_file_every_time(card):
    assert rendered(evaluation.draw(card), "png") == rendered(evaluation.draw(card), "png")
