"""Cross-talk: every energy from dense matrices, fact by fact."""

from functools import cache as once

import numpy as np
import pytest
import torch
from reused import cache, loud, taught, update

from loratheory.experiments.bench.weights import Crosstalk, crosstalk, safe
from loratheory.tasks.two_hop import stacked
from loratheory.toy.transformer import logits

__all__ = ["cache"]

NAMES = ("layers.0.mlp.in", "layers.0.mlp.out")


@once
def shelf():
    return loud(taught(facts=4))


def keys(pair, name):
    """Inputs (hops, E, n, width) of a weight where each hop is read, the right adapters acting."""
    here, seen = shelf(), {}
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
    here, found = shelf(), crosstalk(shelf())[name]
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
    for found in crosstalk(shelf()).values():
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
