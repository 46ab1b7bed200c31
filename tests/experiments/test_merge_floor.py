"""The floor experiment: parts add up, rank helps one of them only, sharing helps the other."""

import numpy as np
import pytest

from loratheory.experiments.merge_floor import Config, cell


@pytest.fixture(scope="module")
def rows():
    return cell(Config(seed=5))


def test_the_truncated_mean_achieves_the_two_parts_together(rows):
    for row in rows:
        assert row["achieved"] == pytest.approx(row["disagreement"] + row["truncation"], abs=1e-12)


def test_without_rank_all_is_lost_and_with_all_rank_only_the_disagreement(rows):
    for row in rows:
        assert row["rank"] > 0 or row["achieved"] == pytest.approx(1)
        assert row["rank"] < 40 or row["truncation"] < 1e-12


def test_rank_lowers_the_truncation_alone(rows):
    for own in Config().own:
        here = [row for row in rows if row["own"] == own]
        assert np.ptp([row["disagreement"] for row in here]) < 1e-12
        assert np.all(np.diff([row["truncation"] for row in here]) <= 1e-12)


@pytest.mark.parametrize("own", [0.0, 0.3, 1.0])
def test_disagreement_is_about_the_own_share_of_all_tasks_but_one(own):
    [row] = cell(Config(own=(own,), ranks=(4,), size=400, seed=6))
    assert row["disagreement"] == pytest.approx(own * (1 - 1 / 4), abs=0.05)
