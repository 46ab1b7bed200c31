"""Two properties that users rely on: what DARE costs, and what TIES keeps of sparse edits."""

import numpy as np
import pytest

from loratheory.adapters import MERGE_METHODS, Options
from loratheory.lowrank import from_dense, gaussian


@pytest.mark.parametrize("kept", [0.3, 0.8])
def test_dare_is_unbiased_and_its_variance_is_that_of_independent_masks(kept):
    """The output on x has the mean of the update's and the variance (1-p)/p sum of squares."""
    rng = np.random.default_rng(0)
    update, x = gaussian(rng, 5, 6, 2), rng.standard_normal(6)
    outputs = []
    for seed in range(4000):
        options = Options(density=kept, seed=seed)
        outputs.append(MERGE_METHODS["dare"].rule([update], [1.0], options) @ x)
    found, exact = np.array(outputs), update.dense() @ x
    spread = (1 - kept) / kept * (update.dense() ** 2) @ x**2
    # five standard errors of a mean of 4000 draws
    assert np.all(np.abs(found.mean(axis=0) - exact) < 5 * np.sqrt(spread / 4000))
    assert found.var(axis=0).sum() == pytest.approx(spread.sum(), rel=0.1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("density", [1.0, 0.2])
def test_ties_on_disjoint_supports_is_the_sum_of_the_trimmed_updates(seed, density):
    """Its squared error to the adapters is K times the least there is, and no edit is lost."""
    rng = np.random.default_rng(seed)
    owner = rng.integers(3, size=(6, 7))
    dense = [np.where(owner == k, rng.standard_normal((6, 7)), 0.0) for k in range(3)]
    weights = rng.uniform(0.5, 2, 3).tolist()
    merged = MERGE_METHODS["ties"].rule(
        list(map(from_dense, dense)), weights, Options(density=density)
    )
    trimmed = []
    for part in dense:
        least = np.sort(np.abs(part), axis=None)[-max(1, int(density * part.size))]
        trimmed.append(np.where(np.abs(part) >= least, part, 0.0))
    np.testing.assert_allclose(merged.dense(), sum(trimmed), atol=1e-12)
    if density == 1.0:
        error = sum(np.sum((merged.dense() - part) ** 2) for part in dense) / 3
        mean = sum(dense) / 3
        floor = sum(np.sum((mean - part) ** 2) for part in dense) / 3
        assert error == pytest.approx(3 * floor)
