"""What acts at the reads, by dense matrices and by switches set by hand."""

from dataclasses import replace
from functools import cache as once

import numpy as np
import pytest
import torch
from reused import cache, enlarged, taught, update

from loratheory.experiments.bench.answers import accuracy, scores
from loratheory.experiments.bench.library import acting
from loratheory.experiments.bench.rules import everything, routed, rule
from loratheory.experiments.bench.weights import (
    Crosstalk,
    _gated,
    crosstalk,
    detection,
    gate_patterns,
    hindsight,
    leak,
    safe,
    weights_at_reads,
)
from loratheory.tasks.two_hop import stacked
from loratheory.toy.transformer import Site, logits

__all__ = ["cache"]


@pytest.fixture(scope="module")
def adapted():
    return enlarged(taught())


def marked(site, x):
    """Weights that tell pair, hop, loop and position apart."""
    rows = torch.arange(x.shape[1]) % 3
    place = torch.arange(4) / 100 + site.loop / 10
    return (place + rows[:, None] / 1000).expand(len(x), -1, -1)


def silent(adapted):
    """The same library, nothing added by any adapter."""
    pairs = tuple(tuple(a.map(torch.zeros_like) for a in pair) for pair in adapted.pairs)
    return replace(adapted, pairs=pairs)


def test_the_right_adapter_is_looked_for_at_its_own_read(adapted):
    found = detection(adapted, acting(silent(adapted), lambda it: everything(it, marked)))
    first = [0.00 + 0.001, 0.02 + 0.001]  # adapters 0 and 2 in loop 0 at position 1
    second = [0.01 + 0.1 + 0.002, 0.03 + 0.1 + 0.002]  # adapters 1 and 3 in loop 1 at position 2
    right = np.mean(first) + np.mean(second)
    every = (0.06 + 4 * 0.001) + (0.06 + 4 * 0.102)
    np.testing.assert_allclose(found["misses"], 2 - right, rtol=1e-5)
    np.testing.assert_allclose(found["false_alarms"], every - right, rtol=1e-5)


def test_uniform_weights_miss_three_quarters(adapted):
    class Even:
        def weights(self, x):
            return torch.full((len(x), 4), 0.25)

    found = detection(adapted, acting(adapted, routed(lambda *_: Even())))
    np.testing.assert_allclose(found["misses"], 2 * 0.75)
    np.testing.assert_allclose(found["false_alarms"], 2 * 0.75)


def test_the_leak_is_what_a_dense_projector_leaves(adapted):
    found = leak(adapted)
    for e in range(4):
        parts = []
        for pair, asked in zip(adapted.pairs, adapted.trials, strict=True):
            keys = {}

            def seen(site, x, pair=pair, keys=keys):
                keys[site] = x
                return pair[site.loop](site, x)

            scores(adapted.bases, [one.questions for one in asked], seen)
            for hop in (0, 1):
                low = update(pair[hop], "layers.0.mlp.in", e)
                project = torch.linalg.pinv(low) @ low
                key = keys[Site("mlp.in", hop, 0)][e].double().reshape(-1, 3, 16)[:, hop + 1]
                out = key - key @ project
                parts.append((out.norm(dim=1) / key.norm(dim=1)).mean())
        assert found[e] == pytest.approx(float(np.mean(parts)), rel=1e-4)


def fixed(adapted, weights):
    """Acts of a route that gives adapters the same weights everywhere."""
    row = torch.tensor(weights)
    return acting(adapted, lambda it: everything(it, lambda _, x: row.expand(*x.shape[:2], -1)))


def test_each_pair_is_given_the_weights_of_its_own_adapters(adapted):
    right, edited = weights_at_reads(adapted, fixed(adapted, [0.1, 0.2, 0.3, 0.4]))
    assert right.shape == (2, 4, 2, 2)
    np.testing.assert_allclose(right[0], np.broadcast_to([0.1, 0.2], (4, 2, 2)), rtol=1e-6)
    np.testing.assert_allclose(right[1], np.broadcast_to([0.3, 0.4], (4, 2, 2)), rtol=1e-6)
    assert (edited == 0).all()
    assert (weights_at_reads(adapted, fixed(adapted, [0.0, 0.6, 0.0, 0.4]))[1] == 1).all()


def test_weights_are_those_at_the_token_and_in_the_loop_of_each_relation(adapted):
    place = torch.arange(3.0) / 10

    def _route(site, x):
        rows = place.repeat(x.shape[1] // 3)[:, None] + site.loop
        return (rows + torch.arange(4) / 100).expand(len(x), -1, -1)

    right, _ = weights_at_reads(adapted, acting(adapted, lambda it: everything(it, _route)))
    for pair in (0, 1):
        wanted = [hop + (hop + 1) / 10 + (2 * pair + hop) / 100 for hop in (0, 1)]
        np.testing.assert_allclose(right[pair], np.broadcast_to(wanted, (4, 2, 2)), rtol=1e-6)


def test_gates_are_all_there_are_fewest_open_first():
    each = gate_patterns(2, 2, by_read=True)
    assert len({tuple(one.ravel()) for one in each}) == 16
    assert [one.sum() for one in each] == sorted(one.sum() for one in each)
    alone = [one.tolist() for one in gate_patterns(2, 2, by_read=False)]
    assert alone == [[[0, 0], [0, 0]], [[1, 0], [1, 0]], [[0, 1], [0, 1]]]


def test_open_gates_are_the_oracle(adapted):
    acts = acting(adapted, rule("oracle placement"))
    for loras, own, oracle in zip(adapted.pairs, adapted.trials, acts, strict=True):
        prompts, pair = [one.questions for one in own], adapted.having(loras)
        right = _gated(pair, [np.eye(2)] * 4)
        expected = scores(adapted.bases, prompts, oracle)
        np.testing.assert_allclose(scores(adapted.bases, prompts, right), expected, atol=1e-4)
        closed = scores(adapted.bases, prompts, _gated(pair, [np.zeros((2, 2))] * 4))
        np.testing.assert_allclose(closed, scores(adapted.bases, prompts), atol=1e-4)


@pytest.mark.parametrize("by_read", [False, True])
def test_no_gates_of_the_kind_answer_more_than_those_of_hindsight(adapted, by_read):
    acts, given = hindsight(adapted, by_read=by_read)
    for loras, own, adapt, on in zip(adapted.pairs, adapted.trials, acts, given, strict=True):
        prompts = [one.questions for one in own]
        best = accuracy(adapted.bases, prompts, adapt)
        for gates in gate_patterns(2, 2, by_read=by_read):
            assert (
                accuracy(adapted.bases, prompts, _gated(adapted.having(loras), [gates] * 4)) <= best
            ).all()
        assert set(np.unique(on)) <= {0.0, 1.0}


NAMES = ("layers.0.mlp.in", "layers.0.mlp.out")


@once
def four():
    return enlarged(taught(facts=4))


def keys(pair, name):
    """Inputs (hops, E, n, width) of a weight where each hop is read, the right adapters acting."""
    here, seen = four(), {}
    tokens = torch.tensor(stacked([one.questions for one in here.trials[pair]]).tokens)

    def _act(site, x):
        if site.name == name:
            seen[site.loop] = x
        return here.pairs[pair][site.loop](site, x) if site.module.startswith("mlp") else None

    with torch.inference_mode():
        logits(here.bases.config, here.bases.weights, tokens, _act)
    count = tokens.shape[1]
    return np.stack(
        [
            [[seen[hop][e, 3 * i + hop + 1].tolist() for i in range(count)] for e in range(4)]
            for hop in range(2)
        ]
    )


@pytest.mark.parametrize("name", NAMES)
def test_energies_are_those_of_dense_updates_at_the_keys(name):
    here, found = four(), crosstalk(four())[name]
    assert found.measured.shape == found.random.shape == (2, 2, 4, 4)
    for e in range(4):
        dense = [[update(lora, name, e).numpy() for lora in pair] for pair in here.pairs]
        whole = sum(low for pair in dense for low in pair)
        outputs, answers = [], []
        for p in range(2):
            for hop, facts in enumerate(keys(p, name)[:, e]):
                for i, x in enumerate(facts):
                    own = dense[p][hop] @ x
                    other = (whole - dense[p][hop]) @ x
                    size = sum(
                        np.linalg.norm(dense[q][h]) ** 2
                        for q in range(2)
                        for h in range(2)
                        if (q, h) != (p, hop)
                    )
                    measured = other @ other / (own @ own)
                    random = size * (x @ x) / len(x) / (own @ own)
                    assert found.measured[p, hop, e, i] == pytest.approx(measured, rel=1e-3)
                    assert found.random[p, hop, e, i] == pytest.approx(random, rel=1e-3)
                    outputs.append(own)
                    answers.append(whole @ x)
        table = np.array(outputs) @ np.array(answers).T
        table /= np.diag(table)[:, None]
        off = (table**2).sum() - (np.diag(table) ** 2).sum()
        count = len(table)
        assert found.superposed[e] == pytest.approx(off / count / (count - 1), rel=1e-2)


def test_no_shelf_is_below_the_superposition_floor():
    for found in crosstalk(four()).values():
        assert found.floor == pytest.approx((16 - 8) / (8 * 15))
        assert (found.superposed >= found.floor).all()


def test_a_chain_is_safe_where_every_read_stays_below_a_quarter():
    quiet = np.full((1, 2, 1, 4), 0.24**2)
    loud_at = quiet.copy()
    loud_at[0, 0, 0, 0] = loud_at[0, 1, 0, 1] = 0.26**2
    other = quiet.copy()
    other[0, 1, 0, 1] = other[0, 0, 0, 2] = 1.0
    parts = [Crosstalk(x, 9 * x, np.zeros(1), 0.0) for x in (loud_at, other)]
    assert safe({"one": parts[0]}).tolist() == [0.5]
    assert safe(dict(zip("ab", parts, strict=True))).tolist() == [0.25]
    assert safe({"one": parts[0]}, "random").tolist() == [0.0]
