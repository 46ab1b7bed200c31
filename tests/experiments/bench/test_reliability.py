"""_reliability: thresholds and counts on paper, and the diagnosis tells what the table holds."""

from pathlib import Path

import numpy as np
import pytest

from loratheory import diagnosis
from loratheory.experiments.bench.reliability import (
    BINS,
    MEASURES,
    REUSED,
    calibration,
    composed,
    reliability,
    threshold,
    written,
)


def test_a_threshold_is_halfway_and_in_the_middle_of_the_best():
    values = np.array([0.1, 0.2, 0.6, 0.8])
    assert threshold(values, np.array([False, False, True, True])) == pytest.approx(0.4)
    assert threshold(values, np.array([True] * 4)) == pytest.approx(0.1)
    assert threshold(values, np.array([False] * 4)) > 0.8
    assert threshold(values, np.array([False, True, False, True])) == pytest.approx(0.7)


def rows(*pairs):
    """Rows of pairs of adapters: the value of every measure, the best reuse, whether held out."""
    return [
        {**dict.fromkeys((*MEASURES, *REUSED), value), **dict.fromkeys(REUSED, 0.0)}
        | {REUSED[k % 2]: best, "held_out": out}
        for k, (value, best, out) in enumerate(pairs)
    ]


def test_counts_on_paper():
    table = rows((0.1, 0.2, 0), (0.6, 0.25, 0), (0.2, 0.9, 1), (0.7, 1.0, 1), (0.8, 0.2, 1))
    assert composed(table).tolist() == [False, True, True, True, False]
    for one in reliability(table).values():
        low, high = one.pop("low"), one.pop("high")
        assert low < 2 / 3 < high
        assert one == {
            "threshold": 0.35,
            "above": [2, 3],
            "below": [1, 2],
            "right": 1,
            "majority": 2,
            "held_out": 3,
        }


def test_bins_on_paper():
    designed = [(0.0, 0.9), (0.1, 0.0), (0.5, 0.0), (0.6, 0.9)]
    new = [(0.15, 0.0), (0.1, 0.0), (0.3, 0.9), (0.9, 0.9), (0.7, 0.9), (0.5, 0.0)]
    table = rows(*((*pair, out) for out, pairs in enumerate((designed, new)) for pair in pairs))
    for bins in calibration(table).values():
        assert len(bins) == BINS
        assert [one["predicted"] for one in bins] == [[1, 2], [0, 0], [1, 2]]
        assert [one["observed"] for one in bins] == [[0, 2], [1, 1], [2, 3]]
        assert [one["within"] for one in bins] == [True, None, True]
        assert all(0 <= one["low"] < one["high"] <= 1 for one in bins)
    certain = [{**row, **dict.fromkeys(REUSED, 0.9 * row["held_out"])} for row in table]
    assert calibration(certain)["read"][2]["within"] is False


def test_the_diagnosis_tells_what_the_table_holds():
    from found import stored

    file = Path(diagnosis.__file__).with_name("reliability.json")
    assert file.read_text() == written(stored("label_free_prediction"))
