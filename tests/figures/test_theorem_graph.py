"""The picture of the registry shows every theorem once and every dependency."""

from matplotlib.text import Annotation, Text

from loratheory.figures import theorem_graph
from loratheory.theorems import ALL


def drawn():
    (axes,) = theorem_graph.draw(ALL).axes
    boxes = [t for t in axes.texts if not isinstance(t, Annotation)]
    arrows = [t for t in axes.texts if isinstance(t, Annotation)]
    return boxes, arrows


def test_every_theorem_stands_once_in_a_place_of_its_own():
    boxes, _ = drawn()
    assert sorted(box.get_text() for box in boxes) == sorted(
        t.label.removeprefix("thm:") for t in ALL
    )
    assert len({box.get_position() for box in boxes}) == len(ALL)
    assert all(isinstance(box, Text) for box in boxes)


def test_every_dependency_is_an_arrow_to_the_right():
    boxes, arrows = drawn()
    place = {f"thm:{box.get_text()}": box.get_position() for box in boxes}
    expected = {(place[used], place[t.label]) for t in ALL for used in t.uses}
    assert {(tuple(a.xyann), tuple(a.xy)) for a in arrows} == expected
    assert all(start[0] < end[0] for start, end in expected)
