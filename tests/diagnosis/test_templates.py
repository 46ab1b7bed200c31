"""_templates: a sentence a pair with its measure, and one record a measure."""

from loratheory.diagnosis import Record, _findings, template_findings

GOOD = Record(0.25, (7, 8), (1, 9), 0.53, 0.98, 10, 6, 11)


def test_a_record_is_told_in_counts():
    assert str(GOOD) == (
        "In our experiments 7 of 8 pairs from 25 % on composed (interval 53 to 98 %), below it "
        "1 of 9; on skills that this threshold was not chosen on it was right 10 times of 11, the "
        "more frequent outcome 6 times (small transformers, arithmetic modulo 7; to compose meant "
        "to solve a quarter of the problems, a bar set after the run, and with a higher one no "
        "measure beat the more frequent outcome)."
    )
    none = Record(0.9, (0, 0), (1, 9), 0.0, 1.0, 10, 6, 11)
    assert "In our experiments no pair reached 90 %, below it 1 of 9;" in str(none)


def test_each_pair_has_a_sentence_and_each_measure_one_record(monkeypatch):
    monkeypatch.setattr(_findings, "records", lambda: {"overlap": GOOD})
    pairs = {(0, 1): 0.5, (0, 2): 0.0, (1, 2): 0.125}
    found = template_findings(["x", "y", "z"], {"overlap": pairs, "read": {(0, 1): 0.1}})
    assert [one.kind for one in found] == ["shared"] * 4
    assert [str(GOOD) in one.text for one in found] == [False, False, True, False]
    assert found[0].text.startswith("x and y: 50 % of their solution templates are in both")
    assert found[2].text.startswith("y and z: 12.5 % of")
    assert found[3].text.startswith("x and y: 10 % is the likeness of what they read")
    assert {one.label for one in found} == {"thm:template-vote"}


def test_the_stored_records_are_whole():
    told = _findings.records()
    assert {"overlap", "read", "write", "agreement"} <= {*told}
    for one in told.values():
        assert one.above[1] + one.below[1] >= one.held_out >= max(one.right, one.majority)
        assert 0 <= one.low <= one.high <= 1
        if one.above[1]:
            assert one.low <= one.above[0] / one.above[1] <= one.high
