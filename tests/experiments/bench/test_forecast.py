"""Forecasts from products of strengths, and of single facts from logits mixed by hand."""

from dataclasses import replace

import numpy as np
import pytest
from reused import cache as cache
from reused import loud, taught

from loratheory.experiments.bench.answers import scores
from loratheory.experiments.bench.theory import Forecast, circuit, forecast, margins, survival
from loratheory.tasks.two_hop import along, plain


@pytest.fixture(scope="module")
def shelf(cache):  # noqa: ARG001 - the cache comes first
    return loud(taught("hops", "direct"))


def drawn(rng, pattern):
    return Forecast(
        (pattern,),
        np.array([[True, False, True]]),
        np.array([1.0, 1.0, 0.5]),
        rng.uniform(0, 1.2, (1, 3, 40, 2)),
    )


@pytest.mark.parametrize("pattern", ["overwrite", "overwrite both", "new subject", "new facts"])
def test_chains_compose_where_their_path_has_the_largest_product(pattern):
    found = drawn(np.random.default_rng(0), pattern)
    weights = np.array([0.9, 0.8])
    share = []
    for replica in range(3):
        won = []
        for one, two in found.strengths[0, replica] * weights:
            rivals = {
                "overwrite": [1 - one, one * (1 - two)],
                "overwrite both": [(1 - one) * two, (1 - one) * (1 - two), one * (1 - two)],
                "new subject": [one * (1 - two)],
                "new facts": [0.0],
            }[pattern]
            won.append(one * two > max(0.0, *rivals))
        share.append(np.mean(won))
    expected = np.array([share[0], 0.0, share[2]])
    assert share[0] > 0
    np.testing.assert_allclose(found.feasible(weights), expected)
    np.testing.assert_allclose(found.composed(weights), expected * [1, 1, 0.5])


def test_decided_bridges_ask_each_fact_for_half_alone():
    found = drawn(np.random.default_rng(1), "overwrite")
    low = found.strengths.min(axis=-1)[0]
    np.testing.assert_allclose(found.decided(), (low > 0.5).mean(axis=1))


def test_medians_are_one_column_a_hop():
    found = drawn(np.random.default_rng(2), "overwrite")
    for hop in (0, 1):
        column = found.medians[f"strength_{hop + 1}"]
        expected = [np.median(found.strengths[0, e, :, hop]) for e in range(3)]
        np.testing.assert_allclose(column, expected)


def test_a_shelf_gives_its_own_margins_pair_by_pair(shelf):
    found = forecast(shelf)
    assert found.patterns == ("overwrite", "overwrite")
    assert found.familiar.all()
    for pair in (0, 1):
        expected = margins(shelf, pair=pair).effective(1.0)
        np.testing.assert_allclose(found.strengths[pair], np.moveaxis(expected, 0, -1))
    assert np.abs(found.strengths[..., 0] - found.strengths[..., 1]).max() > 0.01


def test_the_circuit_is_asked_about_chains_never_seen(shelf):
    known = shelf.bases
    pairs = zip(known.worlds, known.splits, strict=True)
    prompts = [plain(here, parts.held_out).final() for here, parts in pairs]
    right = scores(known, prompts).argmax(axis=-1) == np.stack([one.answer for one in prompts])
    np.testing.assert_array_equal(circuit(known), right.mean(axis=1))
    asked = []
    for here, parts in zip(known.worlds, known.splits, strict=True):
        bridges = along(here, parts.held_out)[:, 1]
        asked.append(not set(bridges) & set(along(here, parts.trained)[:, 1]))
    assert all(asked)


def test_known_chains_raise_the_circuit(shelf):
    known = shelf.bases
    prompts = [
        plain(here, parts.held_out).final()
        for here, parts in zip(known.worlds, known.splits, strict=True)
    ]
    told = scores(known, prompts).argmax(axis=-1)
    learnt = replace(
        known,
        splits=tuple(
            replace(parts, held_out=parts.held_out[np.flatnonzero(answer == one.answer)])
            for parts, answer, one in zip(known.splits, told, prompts, strict=True)
        ),
    )
    if all(len(parts.held_out) for parts in learnt.splits):
        assert (circuit(learnt) == 1).all()


@pytest.mark.parametrize("coefficient", [0.0, 1 / 3, 1.0])
def test_a_fact_told_outright_survives_where_its_mixed_logit_leads(shelf, coefficient):
    direct = shelf.others["direct"][0]
    asked = [one.questions for one in shelf.trials[0]]
    base, alone = scores(shelf.bases, asked), scores(shelf.bases, asked, direct)
    mixed = base + coefficient * (alone - base)
    answer = np.stack([one.answer for one in asked])
    right = (mixed.argmax(axis=-1) == answer).mean(axis=1)
    np.testing.assert_array_equal(survival(shelf, direct, coefficient), right)
