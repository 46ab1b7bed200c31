"""Exact studies of memories and floors against arithmetic done by hand, in other worlds too."""

import numpy as np
import pytest

from loratheory.experiments import merge_floor, two_read_region, window


@pytest.mark.parametrize("change", [{"seed": 5}, {"size": 9, "entities": 7, "edited": 2}])
def test_one_fact_leads_by_2c_minus_1_and_both_by_c_squared_plus_c_minus_1(change):
    rows = window.cell(window.Config(steps=7, **change))
    assert [row["coefficient"] for row in rows] == [i / 7 for i in range(8)]
    for row in rows:
        c = row["coefficient"]
        wanted = (2 * c - 1, 2 * c - 1, c**2 - max(1 - c, c * (1 - c)))
        assert [row[n] for n in ("hop_1", "hop_2", "two_hop")] == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("change", [{"seed": 5}, {"size": 11, "entities": 9, "edited": 2}])
def test_each_answer_gets_the_product_of_its_path(change):
    config = two_read_region.Config(cells=5, **change)
    rows = two_read_region.cell(config)
    centres = (np.arange(5) + 0.5) * config.top / 5
    assert [(row["c1"], row["c2"]) for row in rows] == [
        (pytest.approx(c1), pytest.approx(c2)) for c1 in centres for c2 in centres
    ]
    for row in rows:
        c1, c2 = row["c1"], row["c2"]
        assert row["unedited"] == pytest.approx(1 - c1, abs=1e-9)
        assert row["halfway"] == pytest.approx(c1 * (1 - c2), abs=1e-9)
        assert row["composed"] == pytest.approx(c1 * c2, abs=1e-9)


@pytest.mark.parametrize("own", merge_floor.Config().own)
def test_a_floor_is_two_parts_of_which_rank_lowers_one(own):
    rows = merge_floor.cell(merge_floor.Config(own=(own,), seed=5))
    for row in rows:
        assert row["achieved"] == pytest.approx(row["disagreement"] + row["truncation"], abs=1e-12)
        assert row["rank"] > 0 or row["achieved"] == pytest.approx(1)
        assert row["rank"] < 40 or row["truncation"] < 1e-12
    assert np.ptp([row["disagreement"] for row in rows]) < 1e-12
    assert np.all(np.diff([row["truncation"] for row in rows]) <= 1e-12)


@pytest.mark.parametrize("own", [0.0, 0.3, 1.0])
def test_disagreement_is_about_the_own_share_of_all_tasks_but_one(own):
    [row] = merge_floor.cell(merge_floor.Config(own=(own,), ranks=(4,), size=400, seed=6))
    assert row["disagreement"] == pytest.approx(own * (1 - 1 / 4), abs=0.05)
