"""_reliability: thresholds and counts on paper, and the diagnosis tells what the table holds."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loratheory import diagnosis
from loratheory.experiments.bench.reliability import (
    MEASURES,
    REUSED,
    SOLVED,
    composed,
    forecasts,
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


def rows(tells=MEASURES, seeds=range(3)):
    """All pairs of five skills on some bases; those that compose have larger values in `tells`."""
    rng, table = np.random.default_rng(4), []
    for seed in seeds:
        for first, second in permutations("ABCDE", 2):
            composes, noise = bool(rng.random() < 0.4), rng.random(len(MEASURES))
            shares = dict.fromkeys(REUSED, 0.1) | {REUSED[seed % 5]: SOLVED if composes else 0.4}
            values = {
                name: 0.4 * x + 0.5 * (composes and name in tells)
                for name, x in zip(MEASURES, noise, strict=True)
            }
            table.append({"seed": seed, "first": first, "second": second, **values, **shares})
    return pd.DataFrame(table)


def test_the_best_rule_counts_and_half_is_enough():
    table = rows()
    assert composed(table).tolist() == (table[list(REUSED)].max(axis=1) == SOLVED).tolist()
    assert 10 < composed(table).sum() < 35


def test_a_forecast_by_hand():
    """The other bases' pairs of the three other skills, and one of each outcome."""
    table, e = rows(), 7
    found, outcome = forecasts(table), composed(table)
    own = {table["first"][e], table["second"][e]}
    known = [
        k
        for k in range(len(table))
        if table["seed"][k] != table["seed"][e]
        and not own & {table["first"][k], table["second"][k]}
    ]
    assert len(known) == 2 * 6
    yes = sum(outcome[known])
    assert found["constant"][e] == pytest.approx((yes + 1) / 14)
    side = (yes + 1) / (yes + 2) if outcome[e] else 1 / (12 - yes + 2)
    for name in (*MEASURES, "chosen"):
        assert found[name][e] == pytest.approx(side)


def test_no_forecast_looks_at_its_own_skills_or_base():
    table = rows(("write",))
    seen = forecasts(table).iloc[0]
    own = (table["seed"] == table["seed"][0]) | np.any(
        [table[k].isin(table.loc[0, ["first", "second"]]) for k in ("first", "second")], axis=0
    )
    other = table.copy()
    other.loc[own, list(REUSED)] = 1 - other.loc[own, list(REUSED)]
    assert not np.array_equal(composed(other), composed(table))
    pd.testing.assert_series_equal(forecasts(other).iloc[0], seen)
    other = table.copy()
    other.loc[~own, list(REUSED)] = 1.0
    assert not forecasts(other).iloc[0].equals(seen)


def test_the_measure_that_tells_is_chosen_and_counted():
    table = rows(("write",))
    outcome, found = composed(table), forecasts(table)
    assert (found["chosen"] == found["write"]).mean() > 0.9
    record = reliability(table)["write"]
    assert 0.4 < record.pop("threshold") < 0.5
    assert record.pop("low") < 1 == round(record.pop("high"), 2)
    yes, count = int(outcome.sum()), len(table)
    assert record == {
        "above": [yes, yes],
        "below": [0, count - yes],
        "right": count,
        "majority": count - yes,
        "held_out": count,
    }
    assert reliability(table)["read"]["right"] < count


def test_the_diagnosis_tells_what_the_table_holds():
    from found import stored

    file = Path(diagnosis.__file__).with_name("reliability.json")
    assert file.read_text() == written(pd.DataFrame(stored("label_free_prediction")))
