"""The sweep of merge coefficients: rows, shared adapters, and both predictors of one chain."""

from dataclasses import replace

import numpy as np
import pytest
from found import from_on, majority, mean, percent, says, table_rows

from loratheory.experiments.merge_coefficient import ALSO, EXPERIMENT, Config, cell, taught

TINY = Config(
    seeds=(101, 102),
    sets=2,
    facts=2,
    steps=3,
    entities=64,
    spare=6,
    width=16,
    pretrained=3,
    trained=3,
    retained=4,
)


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("case", ["overwrite", "overwrite both", "new subject"])
def test_a_row_for_each_coefficient_and_base_with_every_control(case):
    rows = cell(replace(TINY, case=case))
    assert [row["coefficient"] for row in rows] == [0, 0, 0.5, 0.5, 1, 1, 1.5, 1.5]
    assert [row["seed"] for row in rows] == [101, 102] * 4
    for row in rows:
        assert row["case"] == case
        controls = ("alone", "exchanged", "random", "shortcut", "other_hops", "other_two_hop")
        assert all(0 <= row[name] <= 1 for name in (*controls, "held_out", "chance"))
        assert all(x == round(x, 3) for x in row.values() if isinstance(x, float))
    assert cell(replace(TINY, case=case)) == rows


def test_both_cases_share_chains_and_first_adapter_and_teach_as_much():
    one, two = (taught(replace(TINY, case=case)) for case in ("overwrite", "overwrite both"))
    for (
        a,
        b,
    ) in zip(one.edits[0], two.edits[0], strict=True):
        assert (a.chains == b.chains).all()
        assert [len(part) for part in a.taught] == [len(part) for part in b.taught] == [2, 4]
        old = a.before.maps[0, 0, a.questions.subjects]
        assert set(old.tolist()) <= set(b.taught[1].subjects.tolist())
        assert not set(old.tolist()) & set(a.taught[1].subjects.tolist())
    for name, up in one.hops[0][0].up.items():
        assert np.array_equal(up.numpy(), two.hops[0][0].up[name].numpy())
    assert any(
        not np.array_equal(up.numpy(), two.hops[0][1].up[name].numpy())
        for name, up in one.hops[0][1].up.items()
    )


def test_new_subjects_have_no_old_fact():
    shelf = taught(replace(TINY, case="new subject"))
    for edit in shelf.edits[0]:
        assert (edit.questions.subjects >= TINY.entities).all()
        assert len(edit.taught[1]) == 2


def test_bases_saw_as_many_chains_as_told():
    shelf = taught(replace(TINY, coverage=0.25))
    assert [len(parts.trained) for parts in shelf.bases.splits] == [16, 16]


def test_all_cases_and_coverages_are_in_the_paper_once_a_base():
    told = [(c.case, c.coverage, seed) for c in EXPERIMENT.profiles["paper"] for seed in c.seeds]
    assert len(told) == len(set(told)) == 9 * 8
    assert {seed for *_, seed in told} == set(range(8))
    assert {(c, v) for c, v, _ in told if c == "overwrite"} == {
        ("overwrite", v) for v in (0.0, 0.1, 0.25, 0.5, 0.75)
    }


def test_what_was_found_is_what_the_table_holds():
    name = "merge_coefficient"
    at_half = [table_rows(name, case=case, coverage=0.5, coefficient=0.5) for case in ALSO]
    whole = [table_rows(name, case=case, coverage=0.5) for case in ALSO]
    says(
        name,
        *(mean(each, "facts") for each in at_half),
        *(mean(each, "two_hop") for each in at_half),
        *(from_on(each, "oracle_placement") for each in whole),
        *(from_on(each, "facts") for each in whole),
        percent(mean(table_rows(name), "oracle_decided_right")),
        percent(majority(table_rows(name), "oracle_placement")),
        mean(at_half[0], "curvature"),
        max(
            mean([row for row in whole[0] if row["coefficient"] == c], "two_hop")
            for c in {row["coefficient"] for row in whole[0]}
        ),
        percent(mean(table_rows(name), "inside_right")),
        percent(majority(table_rows(name), "two_hop")),
    )
    places = {(row["case"], row["coverage"]) for row in table_rows(name)}
    asked = [table_rows(name, case=c, coverage=v, coefficient=0.5) for c, v in places]
    least = min(mean(each, "hop_by_hop") for each in asked)
    says(name, "answers", least, "or more of the chains at every coverage, 0 included")
