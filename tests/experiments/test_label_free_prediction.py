"""Proxies beside measured reuse: a row a pair of adapters, and which pairs were held out."""

import pytest
from tiny_words import TINY

from loratheory.experiments.label_free_prediction import REUSED, Config, cell
from loratheory.experiments.words._cases import MEASURED

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
