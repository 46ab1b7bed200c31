"""Proxies beside measured reuse: a row a pair of adapters, and which pairs were held out."""

import pytest
from found import says, table_rows
from scipy.stats import spearmanr
from tiny_words import TINY

from loratheory.experiments.label_free_prediction import REUSED, Config, cell
from loratheory.experiments.words import _reliability
from loratheory.experiments.words._cases import MEASURED
from loratheory.experiments.words._reliability import MEASURES, calibration, composed, reliability


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_each_pair_of_adapters_is_described_and_reused(monkeypatch):
    from loratheory.experiments.words import _reuse

    plain = _reuse.marks
    monkeypatch.setattr(
        _reuse, "marks", lambda *a: {**plain(*a), "answered": 2 + plain(*a)["answered"]}
    )
    rows = cell(Config("problems", 101, MEASURED, size=TINY))
    assert len(rows) == 12 + 6
    for row in rows:
        assert row["held_out"] == ({row["first"], row["second"]} != {*MEASURED[0]})
        shared = row["bridge"] in ("serial", "neutral")
        assert row["overlap"] == pytest.approx(row["share"] if shared else 0, abs=0.07)
        assert row["shape"] == pytest.approx(row["share"])
        assert all(0 <= row[name] <= 1 for name in ("read", "write", "agreement", *REUSED))
    assert len(cell(Config("problems", 101, MEASURED, alone=False, size=TINY))) == 12


def test_what_was_found_is_what_the_table_holds(monkeypatch):
    rows = table_rows("label_free_prediction")
    best = [max(row[rule] for rule in REUSED) for row in rows]
    record = reliability(rows)
    half, some = sum(x >= 0.5 for x in best), int(composed(rows).sum())

    added = [row["sum"] for row in rows]
    out = [place for place, row in enumerate(rows) if row["held_out"]]

    def rank(name, reuse, where=range(len(rows))):
        told = spearmanr([rows[i][name] for i in where], [reuse[i] for i in where]).statistic
        return f"{told:.2f}".replace("0.", ".")

    monkeypatch.setattr(_reliability, "SOLVED", 0.3)
    higher = reliability(rows)
    monkeypatch.undo()
    bins = [one for each in calibration(rows).values() for one in each if one["within"] is not None]
    shares = [[x / n for x, n in (one["predicted"], one["observed"])] for one in bins]
    more = sum(expected < came for expected, came in shares)
    inside = [x for x, row in zip(composed(rows), rows, strict=True) if not row["held_out"]]
    outside = [x for x, row in zip(composed(rows), rows, strict=True) if row["held_out"]]
    assert len({one["right"] for one in higher.values()}) == 1
    says(
        "label_free_prediction",
        f"{half} of {len(rows)}",
        f"{some} of {len(rows)}",
        *(rank(name, reuse) for reuse in (added, best) for name in MEASURES),
        *(rank(name, best, out) for name in ("response", "shape")),
        f"{record['shape']['right']} of {record['shape']['held_out']}",
        *(f" {record[name]['right']}" for name in ("response", "write", "read")),
        *(f" {record[name]['right']}" for name in ("overlap", "agreement")),
        f" {record['shape']['majority']}",
        *(f" {higher['shape'][name]}" for name in ("right", "majority")),
        f"{sum(one['within'] for one in bins)} of the {len(bins)} bins",
        f"all {more} more composed",
        *(f"{sum(each)} of {len(each)}" for each in (outside, inside)),
    )
