"""Shared templates on tiny bases: rows of each case and rule, votes of the theorem, findings."""

import numpy as np
import pytest
from found import mean, says, table_rows
from tiny_words import TINY

from loratheory.experiments.template_overlap import EXPERIMENT, Config, cell
from loratheory.experiments.words._cases import MEASURED, overlapping


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def rows():
    return cell(Config("problems", 101, MEASURED[:1], TINY))


def test_every_case_and_rule_has_a_row(rows):
    told = {(row["rule"], row["bridge"], row["share"]) for row in rows}
    assert len(told) == len(rows) == 11 * 8
    assert {row["bridge"] for row in rows if row["share"] == 0} == {"none"}
    assert {(row["first"], row["second"]) for row in rows} == {*MEASURED[:1]}
    assert all(0 <= row[form] <= 1 for row in rows for form in ("stepwise", "answered"))


def test_the_vote_is_predicted_for_mean_and_sum_alone(rows):
    for row in rows:
        if row["rule"] in ("mean", "sum"):
            total = {"mean": 1, "sum": 2}[row["rule"]]
            right = (1 - total) + total * row["share"]
            assert row["predicted"] == (0.5 if right == 0.5 else float(right > 0.5))
        else:
            assert np.isnan(row["predicted"])


def test_each_case_is_answered_for_itself(monkeypatch):
    from loratheory.experiments.words import _reuse

    cases = overlapping(MEASURED[:1])

    def _marked(*_):
        return {"stepwise": np.arange(len(cases)) / 16, "answered": np.zeros(len(cases))}

    monkeypatch.setattr(_reuse, "marks", _marked)
    again = cell(Config("single steps", 101, MEASURED[:1], TINY))
    assert [row["stepwise"] for row in again] == [k / 16 for k in range(8)] * 11
    won = [row["predicted"] for row in again if row["rule"] == "mean"]
    assert won == [0, *[0, 0.5, 1] * 2, 0.5]
    assert [row["predicted"] for row in again if row["rule"] == "sum"] == [0, *[0.5, 1, 1] * 2, 1]


def test_every_base_is_asked_all():
    seeds = [config.seed for config in EXPERIMENT.profiles["paper"]]
    assert seeds == sorted(set(seeds))
    assert {config.pairs for config in EXPERIMENT.profiles["paper"]} == {MEASURED}


def test_what_was_found_is_what_the_table_holds():
    name, own, shares = "template_overlap", {"bridge": "own"}, (0.25, 0.5, 1.0)
    rules = ("sum", "mean", "ties", "interpolating", "arrow", "gates")
    merges = (*rules, "block gates")

    def best(**where):
        return max(mean(table_rows(name, rule=rule, **where), "stepwise") for rule in merges)

    alone = {
        place: [
            mean(table_rows(name, rule=f"{place} alone", share=share, **own), "stepwise")
            for share in shares
        ]
        for place in ("first", "second")
    }
    lost = [table_rows(name, rule="sum", share=share, **own) for share in shares]
    assert [max(row["predicted"] for row in rows) for rows in lost] == [0, 0, 1]
    assert {row["kind"] for row in table_rows(name)} == {"problems"}
    says(
        name,
        best(bridge="none"),
        best(bridge="serial"),
        best(bridge="neutral"),
        *(
            mean(table_rows(name, rule=rule, share=share, **own), "stepwise")
            for rule in rules
            for share in shares
        ),
        *alone["second"],
        max(alone["first"]),
        mean(table_rows(name, rule="composed"), "stepwise"),
        mean(table_rows(name), "answered"),
    )
    won = table_rows(name, bridge="serial", share=1.0, rule="mean")
    assert won
    assert all(row["predicted"] == 1 for row in won)
