"""Joint adapters on tiny transformers: rows, and what is written word by word."""

import numpy as np
import pytest
from found import mean, says, table_rows
from reused import cache as cache

from loratheory.experiments.joint_and_bridge import EXPERIMENT, Config, cell

SIZES = {"facts": 2, "entities": 64, "spare": 0, "width": 16, "retained": 4}
TINY = Config(3, seeds=(101,), pretrained=3, trained=3, **SIZES)
RULES = ["base", "hop 1 alone", "hop 2 alone", "sum", "oracle placement", "direct", "joint"]


def test_every_adapter_stands_beside_its_controls(cache):  # noqa: ARG001 - the cache comes first
    rows = cell(TINY)
    names = [*RULES, "bridged, plain", "bridged, written out"]
    assert [row["rule"] for row in rows] == [rule for rule in names for _ in range(2)]
    assert {(row["seed"], row["coverage"]) for row in rows} == {(101, 0.5)}
    for row in rows:
        assert all(
            0 <= row[name] <= 1 for name in ("two_hop", "bridge_written", "written_out", "circuit")
        )
        assert all(0 <= row[name] <= 1 for name in ("predicted", "predicted_written_out"))
        if row["rule"] != "bridged, written out":
            assert row["predicted_written_out"] == 0
        if row["rule"] in ("sum", "oracle placement", "joint"):
            assert row["predicted"] <= row["circuit"]
        if row["rule"] == "base":
            assert row["two_hop"] == row["hop_1"] == 0


def test_examples_are_plain_for_one_and_spelt_out_for_the_other(cache, monkeypatch):  # noqa: ARG001
    from loratheory.experiments import reuse

    made, inner = [], reuse.shelf

    def _kept(known, teaching, kinds=("hops",)):
        made.append((teaching.form, teaching.steps, tuple(kinds)))
        return inner(known, teaching, kinds)

    monkeypatch.setattr(reuse, "shelf", _kept)
    cell(Config(5, seeds=(101,), sets=1, pretrained=3, trained=3, **SIZES))
    assert made[:2] == [
        ("plain", 3, ("hops", "joint", "bridged")),
        ("written_out", 5, ("bridged",)),
    ]


def test_the_paper_profile_has_bases_without_chains_and_eight_seeds():
    cells = EXPERIMENT.profiles["paper"]
    for coverage in (0.0, 0.5):
        seeds = [one.seeds for one in cells if one.coverage == coverage]
        np.testing.assert_array_equal(np.sort(np.ravel(seeds)), range(8))
    with pytest.raises(TypeError, match="unexpected"):
        Config(unknown=1)


def test_what_was_found_is_what_the_table_holds():
    name, coverages = "joint_and_bridge", (0, 0.1, 0.5)

    def each(rule, column="two_hop"):
        return [mean(table_rows(name, rule=rule, coverage=c), column) for c in coverages]

    thought, form = "bridged, written out", ("sum", "oracle placement", "joint")
    says(
        name,
        *each("joint"),
        *each("sum"),
        *each("oracle placement"),
        *each("bridged, plain", "other_two_hop"),
        *each("bridged, plain"),
        max(each("bridged, plain", "predicted")),
        *each(thought, "written_out"),
        max(each(thought, "predicted_written_out")),
        *each(thought, "bridge_written"),
        max(spelt for rule in form for spelt in each(rule, "bridge_written")),
        max(answer for rule in form for answer in each(rule, "written_out")),
        min(each("direct")),
    )
