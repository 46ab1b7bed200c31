"""The folder: what may be gone on with, what is refused, and what a kill may leave behind."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import toy_sweep

from loratheory.experiments import ExperimentError, planned, prepared, stored_cells
from loratheory.experiments.engine._folder import conclude, environment, keep

SWEEP = toy_sweep.EXPERIMENT
CONFIGS = SWEEP.profiles["quick"]


def some(folder, count, sweep=SWEEP, **ran):
    """A plan whose first cells are on the disk."""
    plan = planned(sweep, "quick", folder, resume=True)
    prepared(plan)
    for key, config in list(plan.cells.items())[:count]:
        here = environment(sweep.module) | ran
        keep(plan, key, {"rows": sweep.cell(config), "seconds": 0.1, "ran": here})
    return plan


def test_an_empty_or_missing_folder_is_fine_with_and_without_resume(tmp_path):
    for resume in (False, True):
        plan = planned(SWEEP, "quick", tmp_path / "a" / "b", resume=resume)
        assert list(plan.missing.values()) == list(CONFIGS)
        assert not (tmp_path / "a").exists()
    for _ in range(2):
        prepared(plan)
        assert (tmp_path / "a" / "b" / "toy_sweep" / "cells").is_dir()
    assert planned(SWEEP, "quick", tmp_path / "a" / "b").done == {}


def test_finished_cells_are_gone_on_with_only_when_asked(tmp_path):
    some(tmp_path, 2)
    with pytest.raises(ExperimentError, match="holds 2 finished cells: go on with --resume"):
        planned(SWEEP, "quick", tmp_path)
    plan = planned(SWEEP, "quick", tmp_path, resume=True)
    assert [config.number for config in plan.missing.values()] == [2, 3, 4, 5]
    assert plan.done[SWEEP.key(CONFIGS[1])]["rows"] == toy_sweep.cell(CONFIGS[1])


def test_a_larger_profile_takes_up_the_cells_it_shares(tmp_path):
    some(tmp_path, 2)
    plan = planned(SWEEP, "paper", tmp_path, resume=True)
    assert [config.number for config in plan.missing.values()] == [2, 3, 4, 5, 1000]


def test_cells_of_another_sweep_are_refused(tmp_path):
    some(tmp_path, 2)
    for other in (toy_sweep.sweep(CONFIGS[0]), replace(SWEEP, version=2)):
        with pytest.raises(ExperimentError, match="cells that are not in the quick profile"):
            planned(other, "quick", tmp_path, resume=True)


def test_cells_of_other_code_need_another_word(tmp_path):
    some(tmp_path, 2, code="before")
    with pytest.raises(ExperimentError, match=r"made by other code \(before, now .*--allow-mixed"):
        planned(SWEEP, "quick", tmp_path, resume=True)
    assert len(planned(SWEEP, "quick", tmp_path, resume=True, allow_mixed=True).done) == 2


def test_a_finished_table_is_left_as_it_is(tmp_path):
    conclude(some(tmp_path, 6))
    before = {path: path.read_bytes() for path in (tmp_path / "toy_sweep").iterdir()}
    with pytest.raises(ExperimentError, match="holds a finished table: go on with --resume"):
        planned(SWEEP, "quick", tmp_path)
    plan = planned(SWEEP, "quick", tmp_path, resume=True)
    prepared(plan)
    assert plan.finished
    assert plan.missing == {}
    assert {path: path.read_bytes() for path in (tmp_path / "toy_sweep").iterdir()} == before
    with pytest.raises(ExperimentError, match=r"the table of another sweep .* paper now"):
        planned(SWEEP, "paper", tmp_path, resume=True)


def test_a_table_of_unknown_origin_is_no_ones_to_replace(tmp_path):
    (tmp_path / "toy_sweep").mkdir()
    (tmp_path / "toy_sweep" / "table.csv").write_text("a\n1\n")
    for resume in (False, True):
        with pytest.raises(ExperimentError, match="delete it"):
            planned(SWEEP, "quick", tmp_path, resume=resume)


def test_a_kill_between_table_and_provenance_or_while_clearing_up_is_taken_up(tmp_path):
    conclude(some(tmp_path, 6))
    folder = tmp_path / "toy_sweep"
    told = (folder / "provenance.json").read_bytes()
    table = (folder / "table.csv").read_bytes()
    (folder / "provenance.json").unlink()
    shutil.move(folder / "table.csv", tmp_path)
    plan = some(tmp_path, 6)
    shutil.move(tmp_path / "table.csv", folder)
    again = planned(SWEEP, "quick", tmp_path, resume=True)
    assert not again.finished
    assert again.missing == {}
    conclude(again)
    assert (folder / "table.csv").read_bytes() == table
    prepared(plan)
    (folder / "cells" / "left.json").write_text("{}")
    (folder / "provenance.json").write_bytes(told)
    done = planned(SWEEP, "quick", tmp_path, resume=True)
    assert done.finished
    prepared(done)
    assert not (folder / "cells").exists()


def test_wrong_profiles_and_equal_configs_are_refused(tmp_path):
    with pytest.raises(ExperimentError, match="no profile 'huge': choose quick, paper"):
        planned(SWEEP, "huge", tmp_path)
    twice = toy_sweep.sweep(CONFIGS[0], CONFIGS[1], replace(CONFIGS[0]))
    with pytest.raises(ExperimentError, match="two configs of the quick profile are equal"):
        planned(twice, "quick", tmp_path)


def test_a_folder_that_cannot_be_is_an_error_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        prepared(planned(SWEEP, "quick", tmp_path / "file"))
    if Path("/proc").exists():
        with pytest.raises(OSError, match="/proc"):
            prepared(planned(SWEEP, "quick", Path("/proc/nothing")))


def test_stored_cells_are_the_rows_config_by_config(tmp_path):
    with pytest.raises(ExperimentError, match="no finished table: loratheory run toy_sweep"):
        stored_cells(SWEEP, tmp_path, "quick")
    conclude(some(tmp_path, 6))
    found = stored_cells(SWEEP, tmp_path, "quick")
    assert [config for config, _ in found] == list(CONFIGS)
    for config, rows in found:
        assert rows["row"].tolist() == [f"row {n}" for n in range(config.rows)]
        assert set(rows["number"]) == {config.number}
