"""Lines are lines, points are points, and each stands where it was told."""

import numpy as np
import pytest

from loratheory.figures.lines import draw

CURVES = {"law": ([1, 2, 4], [0.9, 0.5, 0.1]), "found": ([1, 4], [0.8, 0.2])}


@pytest.mark.parametrize("share", [False, True])
def test_every_curve_stands_where_its_numbers_are(share):
    figure = draw(CURVES, "width", "recalled", points=("found",), share=share)
    [axes] = figure.axes
    drawn = {line.get_label(): line for line in axes.lines}
    for name, (places, heights) in CURVES.items():
        np.testing.assert_array_equal(drawn[name].get_xdata(), places)
        np.testing.assert_array_equal(drawn[name].get_ydata(), heights)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("width", "recalled")
    assert (axes.get_ylim() == (0, 1)) == share


def test_laws_are_lines_and_findings_are_points():
    law, found = draw(CURVES, "x", "y", points=("found",)).axes[0].lines
    assert (law.get_linestyle(), law.get_marker()) == ("-", "None")
    assert found.get_linestyle() == "None"
    assert found.get_marker() != "None"
