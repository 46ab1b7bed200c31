"""real._libraries: who is taught what, and which adapters act in which way."""

import numpy as np
import pytest
from worded import small, small_model

from loratheory.adapters import Adapter
from loratheory.experiments import real_libraries
from loratheory.experiments.real import _libraries as module
from loratheory.experiments.real import _ways as ways
from loratheory.experiments.real._aloud import form
from loratheory.experiments.real._libraries import FORMS, library, used
from loratheory.experiments.real._taught import pair
from loratheory.experiments.real._worlds import world
from loratheory.lowrank import gaussian


def adapter(seed):
    """A small one."""
    return Adapter.of({"x": gaussian(np.random.default_rng(seed), 3, 2, 1, 1.0)})


@pytest.fixture
def given(monkeypatch):
    """What each adapter is taught with which seed; nothing is trained."""
    made = []

    def _taught(_model, examples, *, seed, **_):
        made.append((list(examples), tuple(seed)))
        return adapter(0)

    monkeypatch.setattr(module, "taught", _taught)
    return made


def test_more_lines_are_added_to_the_same_lessons(given):
    told = world(7, "half")
    solved, none = form(told.facts), ([], [])
    for how, first, second in (
        ("shared form", solved, solved),
        ("form for hop 1", solved, none),
        ("form for hop 2", none, solved),
    ):
        given.clear()
        library(small_model(), told, 7, how)
        assert given == [
            ([*told.lessons[0], *first[0]], (7, 0, 0)),
            ([*told.lessons[1], *second[1]], (7, 0, 1)),
        ]


def test_three_adapters_of_facts_alone(given):
    for familiarity in ("fake", "real"):
        given.clear()
        told = world(7, familiarity)
        library(small_model(), told, 7, "all layers")
        assert given == [([*each], (7, 0, k)) for k, each in enumerate(told.lessons)]


def test_half_fake_adapters_are_those_of_the_pair(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    model, told = small_model(), world(7, "half")
    for how in ("all layers", "by layers"):
        found = library(model, told, 7, how)
        both = pair(model, told.facts, 7, 0, layered=how == "by layers")
        assert len(found) == 3
        for one, other in zip(found, both, strict=False):
            assert [*one] == [*other]
            assert all((one[name].down == other[name].down).all() for name in one)


def test_ways_are_what_their_names_say(monkeypatch):
    def _named(*told):
        return lambda *_: told

    monkeypatch.setattr(ways, "summed", lambda c=1.0: _named("sum", c))
    monkeypatch.setattr(ways, "gates", lambda z: _named("gates", z))
    monkeypatch.setattr(ways, "cut", lambda layer: _named("cut", layer))
    model, shelf = small_model(), [adapter(k) for k in range(3)]

    def _used(how, count):
        for size, name, acting, way in used(model, shelf[:count], how):
            told = way() if way.__name__ == "<lambda>" else way
            yield size, name, [shelf.index(one) for one in acting], told

    first = [(0, "base", [0], ("sum", 0.0)), (1, "hop 1", [0], ("sum", 1.0))]
    first.append((1, "hop 2", [1], ("sum", 1.0)))
    few = {"mean": ways.mean, "sum": ("sum", 1.0)}
    routed = {"Arrow": ways.arrow, "gates, z = 2": ("gates", 2)}
    both = [(2, name, [0, 1], way) for name, way in few.items()]
    assert [*_used("shared form", 2)] == first + both
    every = {**few, **routed}
    for how in ("by layers", "all layers"):
        each = [(n, name, [0, 1, 2][:n], way) for n in (2, 3) for name, way in every.items()]
        cut = [(2, "cut", [0, 1], ("cut", 5))] if how == "all layers" else []
        assert [*_used(how, 3)] == [*first, (1, "expert", [2], ("sum", 1.0)), *each, *cut]


def test_lessons_with_forms_are_those_of_the_experiment():
    assert tuple(FORMS) == real_libraries.FORMS
