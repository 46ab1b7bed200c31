"""Sliders show what their function prints and returns, for the values that they have."""

import sys

import pytest
from ipywidgets import IntSlider

from loratheory.exercises import explore
from loratheory.figures import draw


def square(side: int) -> int:
    sys.stdout.write(f"<{side} by {side}>\n")
    return side**2


def test_what_is_printed_and_returned_follows_the_slider():
    slider = IntSlider(3, min=1, max=9)
    *sliders, shown = explore(square, side=slider).children
    assert sliders == [slider]
    assert shown.value == "<pre>&lt;3 by 3&gt;\n9</pre>"
    slider.value = 5
    assert shown.value == "<pre>&lt;5 by 5&gt;\n25</pre>"


def test_a_slider_without_description_is_named_for_its_parameter():
    sliders = {"side": IntSlider(1), "unused": IntSlider(1, description="rank")}
    explore(lambda side, unused: None, **sliders)
    assert [slider.description for slider in sliders.values()] == ["side", "rank"]


def test_a_figure_is_drawn_anew_for_new_values():
    def line(height):
        return draw({"one line": ([0, 1], [0, height])}, "here", "there")

    slider = IntSlider(1, min=1, max=9)
    shown = explore(line, height=slider).children[-1]
    before = shown.value
    assert before.startswith("<svg ")
    slider.value = 9
    assert shown.value.startswith("<svg ")
    assert shown.value != before


def test_an_error_stops_the_notebook_first_and_is_shown_later():
    with pytest.raises(ZeroDivisionError):
        explore(lambda below: 1 / below, below=IntSlider(0))
    slider = IntSlider(1)
    shown = explore(lambda below: 1 / below, below=slider).children[-1]
    slider.value = 0
    assert shown.value == "<pre>ZeroDivisionError: division by zero</pre>"
