"""_intruders: the same directions as a dense decomposition of the adapted weight."""

import numpy as np
import pytest

from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained.check import Basis, intruders


def cases():
    for shape in ((80, 130), (130, 80), (90, 90), (9, 14), (14, 9)):
        rng = np.random.default_rng(sum(shape))
        weight = rng.standard_normal(shape) @ np.diag(1 / np.arange(1, shape[1] + 1))
        yield weight, gaussian(rng, *shape, 3, 0.3)


def exact(matrix):
    """A basis in full precision, by the dense decomposition."""
    left, sigma, right = np.linalg.svd(matrix, full_matrices=False)
    return Basis(left if matrix.shape[0] <= matrix.shape[1] else right.T.copy(), sigma)


@pytest.mark.parametrize("case", [*cases()], ids=lambda case: str(case[0].shape))
def test_they_are_those_of_the_dense_sum(case):
    matrix, update = case
    found = intruders(matrix, exact(matrix), update, top=5)
    left, sigma, _ = np.linalg.svd(matrix + update.dense(), full_matrices=False)
    base = np.linalg.svd(matrix, full_matrices=False)[0]
    assert np.allclose(found.sigma, sigma[:5], rtol=1e-9)
    assert np.allclose(found.cosines, np.abs(base.T @ left[:, :5]).max(axis=0), atol=1e-7)
    assert abs(found.first @ left[:, 0]) == pytest.approx(1, abs=1e-9)
    assert found.count() == (np.abs(base.T @ left[:, :5]).max(axis=0) < 0.5).sum()


def test_a_loud_edit_intrudes_and_a_quiet_one_does_not():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((100, 100)) / 10
    one = rng.standard_normal((100, 1)) / 10
    counts = [intruders(matrix, exact(matrix), s * LowRank(one, one.T)).count() for s in (0, 6)]
    assert counts == [0, 1]
