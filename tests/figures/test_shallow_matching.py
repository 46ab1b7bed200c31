"""Shallow matching's figure: what was kept, only where something had been solved."""

import pytest

from loratheory.figures.shallow_matching import PUT, RULES, TOLD, draw


def value(rule, put):
    return [*RULES].index(rule) / 20 + [*PUT].index(put) / 8


def table():
    told = []
    for rule in RULES:
        for seed in (0, 1):
            for put in ("as it was", *PUT):
                kept = 1.0 if put == "as it was" else value(rule, put) + 0.02 * seed
                told.append({"kept": kept, "stepwise": 0.25})
                told[-1] |= {"kind": "problems", "rule": rule, "put": put, "seed": seed}
                told[-1]["bridge"] = "own"
                told.append({**told[-1], "kept": float("nan"), "stepwise": 0.0})
                told.append({**told[-1], "kept": 0.0, "bridge": "none"})
    return told


def test_points_are_means_over_models_that_solved_anything():
    (axes,) = draw(table()).axes
    for (points, *_), rule in zip(axes.containers, RULES, strict=True):
        assert points.get_ydata() == pytest.approx([value(rule, put) + 0.01 for put in PUT])
    labels = [one.get_label() for one in axes.containers]
    assert labels == [f"{TOLD.get(rule, rule)} (first put: .12)" for rule in RULES]
