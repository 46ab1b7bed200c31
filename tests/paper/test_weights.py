"""What acts at the reads, by dense matrices and by switches set by hand."""

from functools import cache as once

import numpy as np
import pytest
import torch
from synthetic import enlarged, taught, update

from loratheory.theorems.editing.superposition_floor import least_crosstalk
from paper.studies._shared.answers import accuracy, scores
from paper.studies._shared.library import acting, everything
from paper.studies.small_libraries.weights import (
    Crosstalk,
    crosstalk,
    detection,
    gate_patterns,
    hindsight,
    leak,
    safe,
    weights_at_reads,
)


@pytest.fixture(scope="module")
def adapted():
    return enlarged(taught())


def follow(adapted, route):
    """Acts of a route that says what adapters count at a site and each place of a question."""

    def _route(site, x):
        each = route(site.loop, torch.arange(x.shape[1]) % 3)
        return each.expand(len(x), x.shape[1], -1)

    return acting(adapted, lambda library: everything(library, _route))


def test_the_right_adapter_is_looked_for_at_its_own_read(adapted):
    """Weights that tell adapter, loop and position apart: of pair p and hop j, 2 p + j."""
    acts = follow(
        adapted,
        lambda loop, place: torch.arange(4) / 100 + loop / 10 + place[:, None] / 1000,
    )
    right = [[(2 * p + j) / 100 + j / 10 + (j + 1) / 1000 for j in (0, 1)] for p in (0, 1)]
    every = [0.06 + 4 * (j / 10 + (j + 1) / 1000) for j in (0, 1)]
    found = detection(adapted, acts)
    own = np.sum(right, axis=1).mean()
    np.testing.assert_allclose(found["misses"], 2 - own, rtol=1e-5)
    np.testing.assert_allclose(found["false_alarms"], np.sum(every) - own, rtol=1e-5)
    weights, edited = weights_at_reads(adapted, acts)
    assert weights.shape == (2, 4, 2, 2)
    for p in (0, 1):
        np.testing.assert_allclose(weights[p], np.broadcast_to(right[p], (4, 2, 2)), rtol=1e-5)
    assert (edited == 0).all()


@pytest.mark.parametrize(("most", "edited"), [(0.25, 0), (0.6, 1)])
def test_an_unedited_question_is_edited_where_an_adapter_has_more_than_half(adapted, most, edited):
    rest = (1 - most) / 3
    acts = follow(adapted, lambda *_: torch.tensor([rest, most, rest, rest]))
    assert (weights_at_reads(adapted, acts)[1] == edited).all()
    found = detection(adapted, acts)
    for name in ("misses", "false_alarms"):  # one unit is shared out
        np.testing.assert_allclose(found[name], 2 - (most + 3 * rest) / 2, rtol=1e-5)


def test_gates_are_all_there_are_fewest_open_first():
    each = gate_patterns(2, 2, by_read=True)
    assert len({tuple(one.ravel()) for one in each}) == 16
    assert [one.sum() for one in each] == sorted(one.sum() for one in each)
    alone = [one.tolist() for one in gate_patterns(2, 2, by_read=False)]
    assert alone == [[[0, 0], [0, 0]], [[1, 0], [1, 0]], [[0, 1], [0, 1]]]


def gated(pair, gates):
    """The adapters of a pair on or off loop by loop, by weights that are looked up."""
    weights = torch.tensor(gates, dtype=torch.float32)
    return everything(pair, lambda site, x: weights[site.loop].expand(*x.shape[:2], -1))


@pytest.mark.parametrize("by_read", [False, True])
def test_no_gates_of_the_kind_answer_more_than_those_of_hindsight(adapted, by_read):
    acts, given = hindsight(adapted, by_read=by_read)
    for loras, own, adapt, on in zip(adapted.pairs, adapted.trials, acts, given, strict=True):
        prompts, pair = [one.questions for one in own], adapted.having(loras)
        best = accuracy(adapted.bases, prompts, adapt)
        for gates in gate_patterns(2, 2, by_read=by_read):
            assert (accuracy(adapted.bases, prompts, gated(pair, gates)) <= best).all()
        for e in range(4):  # what is said to be on is what acts at the reads
            weights = {site.loop: x[e, 0] for site, x in adapt.on.items()}
            assert on[e, 0].tolist() == [float(weights[hop][hop]) for hop in (0, 1)]


NAMES = ("layers.0.mlp.in", "layers.0.mlp.out")


@once
def four():
    return enlarged(taught(facts=4))


@once
def keys():
    """Inputs ``[pair][name][hop]`` (E, n, width) where hops are read, the right adapters acting."""
    seen = []
    for pair, trials in zip(four().pairs, four().trials, strict=True):
        inputs = {name: {} for name in NAMES}

        def _act(site, x, pair=pair, inputs=inputs):
            if site.name not in NAMES:
                return None
            inputs[site.name][site.loop] = x.double().unflatten(1, (-1, 3))[:, :, site.loop + 1]
            return pair[site.loop](site, x)

        scores(four().bases, [one.questions for one in trials], _act)
        seen.append(inputs)
    return seen


def test_the_leak_is_what_a_dense_projector_leaves():
    found = leak(four())
    for e in range(4):
        parts = []
        for p, pair in enumerate(four().pairs):
            for hop in (0, 1):
                low = update(pair[hop], NAMES[0], e)
                key = keys()[p][NAMES[0]][hop][e]
                out = key - key @ (torch.linalg.pinv(low) @ low)
                parts.append((out.norm(dim=1) / key.norm(dim=1)).mean())
        assert found[e] == pytest.approx(float(np.mean(parts)), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_energies_are_those_of_dense_updates_at_the_keys(name):
    found = crosstalk(four())[name]
    assert found.measured.shape == found.random.shape == (2, 2, 4, 4)
    for e in range(4):
        dense = [[update(lora, name, e).numpy() for lora in pair] for pair in four().pairs]
        every = np.reshape(dense, (4, *dense[0][0].shape))
        outputs, answers = [], []
        for p in range(2):
            for hop in range(2):
                for i, x in enumerate(keys()[p][name][hop][e].numpy()):
                    own, total = dense[p][hop] @ x, every.sum(axis=0) @ x
                    energy = ((every**2).sum() - (dense[p][hop] ** 2).sum()) * (x @ x) / len(x)
                    for kind, foreign in (
                        (found.measured, (total - own) @ (total - own)),
                        (found.random, energy),
                    ):
                        assert kind[p, hop, e, i] == pytest.approx(foreign / (own @ own), rel=1e-3)
                    outputs.append(own)
                    answers.append(total)
        table = np.array(outputs) @ np.array(answers).T
        table /= np.diag(table)[:, None]
        off, count = (table**2).sum() - len(table), len(table)
        assert found.superposed[e] == pytest.approx(off / count / (count - 1), rel=1e-2)
    assert found.floor == pytest.approx((16 - 8) / (8 * 15)) == least_crosstalk(16, 8)
    assert (found.superposed >= found.floor).all()


def test_a_question_is_safe_where_every_read_stays_below_a_quarter():
    quiet = np.full((1, 2, 1, 4), 0.24**2)
    one, other = quiet.copy(), quiet.copy()
    one[0, 0, 0, 0] = one[0, 1, 0, 1] = 0.26**2
    other[0, 1, 0, 1] = other[0, 0, 0, 2] = 1.0
    parts = [Crosstalk(x, 9 * x, np.zeros(1), 0.0) for x in (one, other)]
    assert safe({"one": parts[0]}).tolist() == [0.5]
    assert safe(dict(zip("ab", parts, strict=True))).tolist() == [0.25]
    assert safe({"one": parts[0]}, "random").tolist() == [0.0]
