"""model_check: a panel for each theorem that was read, hollow where it is silent."""

from loratheory.figures import model_check, rendered
from loratheory.pretrained.check import ModelCheck, Reading


def reading(label, about, bound, value, outcome, module="layers.2.q"):
    return Reading(f"thm:{label}", module, 2 if module else None, about, bound, value, outcome)


CHECK = ModelCheck(
    "small",
    ("one", "two"),
    (),
    (
        reading("intruder-threshold", "base", 3.0, 5.0, "measured"),
        reading("interference-angle", "one ← two", 0.9, 0.4, "holds"),
        reading("interference-angle", "two ← one", 0.8, 0.3, "not applicable", "layers.2.k"),
        reading("factor-mean-residual", "one + two", None, None, "not applicable"),
        reading("averaging-survival", "0.5 × one, fact 1", -2.0, 1.0, "not applicable", ""),
    ),
)


def dots(ax):
    return [line for line in ax.lines if line.get_marker() == "o"]


def test_each_theorem_that_was_read_has_a_panel_with_both_numbers():
    figure = model_check.draw(CHECK)
    base, angle, margins, empty = figure.axes
    assert (base.get_yscale(), angle.get_yscale()) == ("log", "linear")
    assert not empty.axison
    assert [line.get_ydata()[0] for line in base.lines] == [3.0, 5.0]
    assert [line.get_markerfacecolor() == "none" for line in dots(angle)] == [False, True]
    assert dots(angle)[0].get_color() != dots(angle)[1].get_color()
    (point,) = dots(margins)
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (-2.0, 1.0)
    assert "coefficient 0.5" in [text.get_text() for text in margins.get_legend().get_texts()]


def test_the_same_check_gives_the_same_bytes():
    assert len({rendered(model_check.draw(CHECK), "png") for _ in range(2)}) == 1


def test_what_cannot_be_drawn_is_left_out():
    assert len(model_check.draw(CHECK).axes) == 4  # two rows of two: three panels and a blank
