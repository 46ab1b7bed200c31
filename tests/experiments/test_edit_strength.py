"""Means and sums of adapters of any strength: the window counted a second time."""

import numpy as np
import pytest
from found import mean, says, table_rows

from loratheory.experiments import reuse
from loratheory.experiments.edit_strength import EXPERIMENT, Config, cell, lost
from loratheory.experiments.reuse._margins import Margins, margins
from loratheory.theorems.composition.two_read_region import window

TINY = Config(
    trained=3,
    seeds=(101, 102),
    facts=3,
    entities=64,
    spare=0,
    width=16,
    pretrained=3,
    retained=4,
)


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def kept(monkeypatch):
    """The shelves that cells make, their adapters loud enough to differ."""
    made, plain = [], reuse.shelf

    def _shelf(known, teaching, _):
        from reused import loud

        made.append(loud(plain(known, teaching)))
        return made[-1]

    monkeypatch.setattr(reuse, "shelf", _shelf)
    return made


def test_the_mean_then_the_sum_with_margins_and_window_of_each_edit_set(kept):
    rows = cell(TINY)
    [shelf] = kept
    assert shelf.teaching.steps == 3
    found = margins(shelf)
    assert [(r["rule"], r["seed"], r["set"]) for r in rows] == [
        (rule, seed, number) for rule in ("mean", "sum") for seed in (101, 102) for number in (0, 1)
    ]
    for row, e in zip(rows, [*range(4)] * 2, strict=True):
        ratio = found.margin[:, e] / found.deficit[:, e]
        assert row["margin_1"] == pytest.approx(np.median(ratio[0]), abs=1e-3)
        assert row["margin_2"] == pytest.approx(np.median(ratio[1]), abs=1e-3)
        weaker = np.median([min(chain) for chain in ratio.T])
        assert row["margin_two_hop"] == pytest.approx(weaker, abs=1e-3)
        flat = abs(row["curvature"]) < 1e-3  # the line between coefficients 0 and 1 ends at 1
        assert flat == (row["rule"] == "sum")
        c = {"mean": 0.5, "sum": 1.0}[row["rule"]]
        assert row["window"] == pytest.approx(lost(found, c, "overwrite")[e].mean(), abs=1e-3)
    assert cell(TINY) == rows


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(1.2, 1.2, True), (0.9, 0.9, False), (0.9, 1.3, False), (1.6, 1.6, False), (1.4, 1.4, True)],
)
def test_the_window_is_where_both_facts_survive_the_mean_and_their_chain_does_not(
    first, second, expected
):
    old = np.array([0.0, 1.0, -9.0])
    base = np.broadcast_to(old, (2, 1, 1, 3))
    alone = np.stack([[[[margin, 0.0, -9.0]]] for margin in (first, second)])
    where = np.zeros((2, 1, 1), dtype=np.int64)
    found = Margins(base, alone, where, where + 1)
    assert lost(found, 0.5, "overwrite").tolist() == [[expected]]


def test_the_prediction_names_the_window_of_the_theorem():
    low, high = window(2, 2)
    text = EXPERIMENT.paragraph("Prediction")
    assert low == 1
    assert f"{high:.3f}" in text


def test_what_was_found_is_what_the_table_holds():
    name = "edit_strength"
    lengths = sorted({row["trained"] for row in table_rows(name)})

    def under(rule, column):
        return {t: mean(table_rows(name, rule=rule, trained=t), column) for t in lengths}

    margins = [x for hop in (1, 2) for x in under("mean", f"margin_{hop}").values()]
    facts, told = under("mean", "facts"), under("mean", "predicted_facts")
    short = [t for t in lengths if t <= 240]
    says(
        name,
        min(margins),
        max(margins),
        min(facts[t] for t in short),
        max(told[t] for t in short),
        max(under("mean", "two_hop").values()),
        under("mean", "other_two_hop")[480],
        facts[480],
        facts[960],
        under("sum", "oracle_placement")[120],
        under("sum", "oracle_curved")[120],
    )
    assert not any(row["window"] for row in table_rows(name))
