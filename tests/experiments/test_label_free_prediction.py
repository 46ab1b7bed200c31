"""Proxies beside measured reuse: a row a pair of adapters, and which pairs were held out."""

import pytest
from found import says, table_rows
from scipy.stats import spearmanr
from tiny_words import TINY

from loratheory.experiments.label_free_prediction import REUSED, Config, cell
from loratheory.experiments.words._cases import MEASURED
from loratheory.experiments.words._reliability import MEASURES, composed, reliability

MUTANTS = [
    ("{*case.pair} != {*MEASURED[0]}", "{*case.pair} == {*MEASURED[0]}"),
    ("if config.alone:", "if not config.alone:"),
    ('["stepwise"]', '["answered"]'),
    ('"share": case.share', '"share": 1 - case.share'),
]


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


def test_what_was_found_is_what_the_table_holds():
    rows = table_rows("label_free_prediction")
    best = [max(row[rule] for rule in REUSED) for row in rows]
    record = reliability(rows)
    half, some = sum(x >= 0.5 for x in best), int(composed(rows).sum())

    def rank(name):
        return spearmanr([row[name] for row in rows], best).statistic

    says(
        "label_free_prediction",
        f"{half} of {len(rows)}",
        f"{some} of {len(rows)}",
        *(f"{rank(name):.2f}".replace("0.", ".") for name in MEASURES),
        f"{record['shape']['right']} of {record['shape']['held_out']}",
        *(f" {record[name]['right']}" for name in ("response", "write", "read")),
        *(f" {record[name]['right']}" for name in ("overlap", "agreement")),
        f" {record['shape']['majority']}",
    )
