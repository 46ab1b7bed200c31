"""One read and two: bases, rules, the ceiling of one read, and the best of four patterns."""

import numpy as np
import pytest
import torch
from found import mean, says, table_rows
from reused import cache as cache
from reused import loud, taught

from loratheory.experiments.depth import READS, Config, best, cell, own_place, reused
from loratheory.experiments.reuse import _rules as rules
from loratheory.experiments.reuse._marks import leads
from loratheory.toy.transformer import Site

TINY = {"facts": 4, "entities": 70, "spare": 0, "width": 16, "pretrained": 3, "trained": 3}


@pytest.mark.parametrize("reads", READS)
def test_the_ceiling_is_the_patterns_by_chance_in_one_read_only(reads):
    rows = cell(Config(reads, seeds=(101,), retained=4, **TINY))
    assert [(r["rule"], r["set"]) for r in rows] == [(n, s) for n in reused() for s in (0, 1)]
    patterns = {"arrow": 2, "gates": 4, "best pattern": 4}
    for row in rows:
        expected = patterns.get(row["rule"], 1) * 0.25 if reads == "one layer" else 1
        assert row["chance"] == 0.25
        assert row["ceiling"] == expected
        assert 0 <= row["circuit"] <= 1


def test_the_best_pattern_is_right_where_any_is():
    shelf = loud(taught(pairs=1))
    one, two = shelf.adapters
    asked = [x.chains for x in shelf.trials[0]]
    answer = np.stack([x.answer for x in asked])
    found = np.zeros(answer.shape, dtype=bool)
    for c1 in (0.0, 1.0):
        for c2 in (0.0, 1.0):
            found |= leads(shelf.bases, asked, rules.added([one, two], [c1, c2])) > 0
    assert (best(shelf) == found.mean(axis=1)).all()


def test_the_best_of_patterns_counts_each(monkeypatch):
    """Each pattern right on another chain: together on all that there are."""
    from loratheory.experiments.reuse import _marks

    shelf = loud(taught(pairs=1))
    calls = []

    def _leads(_, prompts, adapt=None):
        calls.append(adapt)
        found = -np.ones((len(prompts), 4))
        found[:, len(calls) - 1] = 1
        return found

    monkeypatch.setattr(_marks, "leads", _leads)
    assert best(shelf).tolist() == [1.0] * 4
    assert len(calls) == 4


@pytest.mark.parametrize(("depth", "loops"), [(1, 1), (2, 1), (1, 2)])
def test_adapters_act_in_the_first_and_in_the_last_read(depth, loops):
    from dataclasses import replace

    shelf = loud(taught(pairs=1))
    config = replace(shelf.bases.config, depth=depth, loops=loops, supervision=0.0)
    deep = replace(shelf, bases=replace(shelf.bases, config=config))
    [adapt] = own_place(deep)
    first, second = (x.map(lambda y: y[:1]) for x in shelf.adapters)
    up, down = (
        {f"layers.1.{n[9:]}": x for n, x in side.items()} for side in (second.up, second.down)
    )
    second = replace(second, up=second.up | up, down=second.down | down)
    deep = replace(deep, hops=((first, second),))
    [adapt] = own_place(deep)
    x, last = torch.ones(1, 1, 16), Site("mlp.in", loops - 1, depth - 1)
    start = adapt(Site("mlp.in", 0, 0), x)
    if depth * loops == 1:
        assert torch.allclose(start, first(last, x) + second(last, x))
    else:
        assert torch.equal(start, first(Site("mlp.in", 0, 0), x))
        assert torch.equal(adapt(last, x), second(last, x))


def test_what_was_found_is_what_the_table_holds():
    name = "depth"
    found = {row["rule"] for row in table_rows(name)}

    def of(reads, rule, column="two_hop"):
        return mean(table_rows(name, reads=reads, rule=rule), column)

    twice = "one layer twice, window 2"
    without = ("two layers", "one layer twice")
    says(
        name,
        max(of("one layer", rule) for rule in found),
        min(of("one layer", "sum", hop) for hop in ("hop_1", "hop_2")),
        max(of(reads, "sum", "circuit") for reads in without),
        max(of(reads, rule) for reads in without for rule in found),
        of(twice, "sum", "circuit"),
        *(of(twice, rule) for rule in ("sum", "oracle placement", "gates", "mean")),
    )
