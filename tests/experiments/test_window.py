"""The window experiment against arithmetic done by hand, in another world too."""

import pytest

from loratheory.experiments.window import Config, cell


@pytest.mark.parametrize("config", [Config(seed=5), Config(size=9, entities=7, edited=2, steps=7)])
def test_one_fact_leads_by_2c_minus_1_and_both_by_c_squared_plus_c_minus_1(config):
    rows = cell(config)
    assert [row["coefficient"] for row in rows] == [i / config.steps for i in range(len(rows))]
    assert rows[-1]["coefficient"] == 1
    for row in rows:
        c = row["coefficient"]
        assert row["hop_1"] == pytest.approx(2 * c - 1, abs=1e-9)
        assert row["hop_2"] == pytest.approx(2 * c - 1, abs=1e-9)
        assert row["two_hop"] == pytest.approx(c**2 - max(1 - c, c * (1 - c)), abs=1e-9)
