"""The region experiment against products of strengths, in another world too."""

import numpy as np
import pytest

from loratheory.experiments.two_read_region import Config, cell


@pytest.mark.parametrize("config", [Config(seed=5), Config(size=11, entities=9, edited=2, cells=5)])
def test_each_answer_gets_the_product_of_its_path(config):
    rows = cell(config)
    assert len(rows) == config.cells**2
    side = sorted({row["c1"] for row in rows})
    assert side == sorted({row["c2"] for row in rows})
    assert side[0] + side[-1] == pytest.approx(config.top)
    assert np.diff(side) == pytest.approx(2 * side[0])
    for row in rows:
        c1, c2 = row["c1"], row["c2"]
        assert row["unedited"] == pytest.approx(1 - c1, abs=1e-9)
        assert row["halfway"] == pytest.approx(c1 * (1 - c2), abs=1e-9)
        assert row["composed"] == pytest.approx(c1 * c2, abs=1e-9)
