"""Skill pairs' figure: each map its base and rule, first skill down, shown pairs apart."""

import numpy as np
import pytest

from loratheory.figures.skill_composition import KINDS, RULES, draw

SKILLS = ("multiply", "divide", "percent")


def value(kind, rule, i, j):
    return ([*KINDS].index(kind) * 6 + [*RULES].index(rule)) / 60 + i / 5 + j / 25


def table():
    return [
        {
            "kind": "half the pairs" if kind == "shown" else kind,
            "shown": float(kind == "shown"), "rule": rule, "seed": seed,
            "first": first, "second": second, "stepwise": value(kind, rule, i, j),
        }
        for kind in KINDS
        for rule in RULES
        for seed in (0, 1)
        for i, first in enumerate(SKILLS)
        for j, second in enumerate(SKILLS)
        if i != j
    ]  # fmt: skip


def test_each_map_is_of_its_base_and_rule():
    axes = [one for one in draw(table()).axes if one.images and one.get_xlabel() == ""]
    maps = [
        one for one in axes if len(one.images) == 1 and one.images[0].get_array().shape == (3, 3)
    ]
    assert len(maps) == len(KINDS) * len(RULES)
    for one, (kind, rule) in zip(maps, [(k, r) for k in KINDS for r in RULES], strict=True):
        found = one.images[0]
        assert found.get_clim() == (0, 1)
        for i in range(3):
            for j in range(3):
                cell = found.get_array()[i, j]
                if i == j:
                    assert np.ma.is_masked(cell) or np.isnan(cell)
                else:
                    assert cell == pytest.approx(value(kind, rule, i, j))
        assert len(one.texts) == 6
