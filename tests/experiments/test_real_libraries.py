"""Libraries on a language model: which adapters act, taught what; a small model stands in."""

import math

import pytest
from worded import small, small_model

from loratheory.experiments.bench.language import way as acts
from loratheory.experiments.bench.rules import coefficients, layer_split, rule
from loratheory.experiments.real import _aloud as spoken
from loratheory.experiments.real import _phrases as phrases
from loratheory.experiments.real import _worlds as worlds
from loratheory.experiments.real._aloud import aloud
from loratheory.experiments.real._taught import pair, taught
from loratheory.experiments.real._worlds import marks, world
from loratheory.experiments.real_libraries import EXPERIMENT, Config, cell

FEW = ("mean", "sum")
ROUTED = (*FEW, "arrow", "gates, z = 2")
CONFIGS = {
    (101, "half"): ROUTED,
    (101, "real"): ROUTED,
    (101, "half", "by layers"): ROUTED,
    (101, "half", "shared form"): FEW,
    (101, "half", "form for hop 1"): FEW,
}

ASKED = ((101, "half"), (101, "half", "by layers"))
"""Whose questions are asked; of the others only the rows are looked at."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"))
        found = {how: cell(Config(*how)) for how in ASKED}
        patch.setattr(worlds, "marks", lambda *_: {"hop_1": 0.0})
        patch.setattr(spoken, "aloud", lambda *_: (0.0, 0.0, 0.0))
        yield found | {how: cell(Config(*how)) for how in CONFIGS if how not in ASKED}


def marks_of(row):
    head = ("seed", "familiarity", "trained", "library", "rule")
    return {name: x for name, x in row.items() if name not in head}


@pytest.mark.parametrize("how", CONFIGS)
def test_a_row_for_each_way_of_each_library(tables, how):
    rows, names = tables[how], CONFIGS[how]
    whole = CONFIGS[how] != FEW
    experts = [(1, "expert")] if whole else []
    cut = [(2, "layer split")] if len(how) == 2 else []
    three = [(3, name) for name in names] if whole else []
    alone = [(0, "base"), (1, "hop 1 alone"), (1, "hop 2 alone"), *experts]
    wanted = [*alone, *((2, name) for name in names), *three, *cut]
    assert [(row["library"], row["rule"]) for row in rows] == wanted
    assert len({tuple(row) for row in rows}) == 1
    heads = {(row["seed"], row["familiarity"], row["trained"]) for row in rows}
    assert heads == {(*how, "all layers")[:3]}


def test_marks_are_those_of_the_ways_on_adapters_so_taught(tables, monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    model, told = small_model(), world(101, "half")
    lessons = told.lessons
    expert = taught(model, lessons[2], seed=(101, 0, 2))
    for layered, name in ((False, "all layers"), (True, "by layers")):
        both = pair(model, told.facts, 101, 0, layered=layered)
        rows = tables[(101, "half", *(["by layers"] if layered else []))]
        found = {(row["library"], row["rule"]): row for row in rows}
        assert rows[0]["trained"] == name
        for key, use, shelf in (
            ((0, "base"), acts(rule("base")), both),
            ((1, "hop 2 alone"), acts(rule("sum")), both[1:]),
            ((1, "expert"), acts(rule("sum")), [expert]),
            ((2, "mean"), acts(coefficients(0.5)), both),
            ((3, "mean"), acts(coefficients(1 / 3)), [*both, expert]),
            ((3, "sum"), acts(rule("sum")), [*both, expert]),
            ((3, "arrow"), acts(rule("arrow")), [*both, expert]),
            ((2, "gates, z = 2"), acts(rule("gates, z = 2", z=2)), both),
            ((2, "layer split"), acts(layer_split(5)), both),
        ):
            if key not in found:
                continue
            with use(model, shelf):
                wanted = marks(model, told)
                asked = key[0] < 3 and key[1] in ("base", "hop 2 alone", "mean", "sum")
                for end, start in (("written", ""), ("form", phrases.QUESTIONS[0])):
                    kinds = [f"{kind}_{end}" for kind in ("bridge", "two_hop", "vocabulary")]
                    shares = aloud(model, told.facts, start) if asked else (math.nan,) * 3
                    wanted |= dict(zip(kinds, shares, strict=True))
            assert marks_of(found[key]) == pytest.approx(wanted, nan_ok=True)


def test_only_half_fake_chains_are_solved_aloud(tables):
    for row in tables[101, "real"]:
        assert all(math.isnan(row[name]) for name in row if name.endswith(("_written", "_form")))


def test_profiles_keep_to_their_seeds():
    paper = EXPERIMENT.profiles["paper"]
    assert {config.seed for config in paper} == {0, 1, 2}
    assert len(paper) == 3 * 7
    [quick] = EXPERIMENT.profiles["quick"]
    assert quick in paper
