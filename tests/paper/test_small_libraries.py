"""Which adapters act at the reads, by weights that are set by hand."""

import numpy as np
import torch
from synthetic import enlarged, trained_library

from paper.studies._shared.library import activate, weigh_all
from paper.studies.small_libraries.study import detection


def follow(route):
    """Acts of a route that says what adapters count at a site and each place of a question."""

    def _route(site, x):
        each = route(site.loop, torch.arange(x.shape[1]) % 3)
        return each.expand(len(x), x.shape[1], -1)

    adapted = enlarged(trained_library())
    return adapted, activate(adapted, lambda library: weigh_all(library, _route))


def test_the_right_adapter_is_looked_for_at_its_own_read():
    """Weights that tell adapter, loop and position apart: of pair p and hop j, 2 p + j."""
    found = detection(
        *follow(
            lambda loop, place: torch.arange(4) / 100 + loop / 10 + place[:, None] / 1000,
        )
    )
    right = [[(2 * p + j) / 100 + j / 10 + (j + 1) / 1000 for j in (0, 1)] for p in (0, 1)]
    every = [0.06 + 4 * (j / 10 + (j + 1) / 1000) for j in (0, 1)]
    own = np.sum(right, axis=1).mean()
    assert found["misses"].shape == (4,)
    np.testing.assert_allclose(found["misses"], 2 - own, rtol=1e-5)
    np.testing.assert_allclose(found["false_alarms"], np.sum(every) - own, rtol=1e-5)
