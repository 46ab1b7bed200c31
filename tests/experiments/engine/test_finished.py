"""A finished table: bytes that provenance describes, and nothing left beside them."""

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import toy_sweep

from loratheory.experiments import Plan, TableError
from loratheory.experiments.engine import _table, prepared, stored_provenance
from loratheory.experiments.engine._folder import conclude, environment, is_finished, keep

SWEEP = toy_sweep.EXPERIMENT


def finished(folder, sweep=SWEEP, profile="quick"):
    """Cells kept in reverse, then concluded."""
    plan = Plan(sweep, profile, folder / sweep.name, {})
    prepared(plan)
    for key, config in reversed(plan.cells.items()):
        ran = environment(sweep.module)
        keep(plan, key, {"rows": sweep.cell(config), "seconds": 1.26, "ran": ran})
    conclude(plan)
    return plan


def test_rows_stand_in_the_order_of_the_configs_and_nothing_else_is_left(tmp_path):
    plan = finished(tmp_path)
    assert sorted(path.name for path in plan.folder.iterdir()) == ["provenance.json", "table.csv"]
    lines = (plan.folder / "table.csv").read_text().splitlines()
    assert lines[0] == "number,row,third"
    expected = [
        str(config.number) for config in SWEEP.profiles["quick"] for _ in range(config.rows)
    ]
    assert [line.split(",")[0] for line in lines[1:]] == expected
    assert lines[-1] == "5,row 2,3.666666667"


def test_provenance_says_from_what(tmp_path):
    found = stored_provenance(finished(tmp_path).folder)
    assert (found["experiment"], found["profile"], found["version"]) == ("toy_sweep", "quick", 1)
    assert [cell["rows"] for cell in found["cells"]] == [1, 2, 3, 1, 2, 3]
    assert found["cells"][4]["config"]["number"] == 4
    assert found["seconds"] == pytest.approx(6 * 1.26, abs=0.05)
    assert found["environments"] == [environment("toy_sweep")]
    assert found["seeds"] == [0]


def test_seeds_are_gathered_from_all_configs(tmp_path):
    sweep = toy_sweep.sweep(*(toy_sweep.Config(n, seed=7 - n % 2) for n in range(3)))
    assert stored_provenance(finished(tmp_path, sweep).folder)["seeds"] == [6, 7]


def test_it_is_finished_as_long_as_version_configs_and_bytes_are_these(tmp_path):
    plan = finished(tmp_path)
    assert is_finished(plan)
    assert not is_finished(replace(plan, profile="paper"))
    assert not is_finished(replace(plan, experiment=replace(SWEEP, version=2)))
    table = plan.folder / "table.csv"
    text = table.read_text()
    table.write_text(text.replace("0.333333333", "0.333333334"))
    assert not is_finished(plan)
    table.write_text(text)
    assert is_finished(plan)
    table.unlink()
    assert not is_finished(plan)


def test_a_large_table_is_compressed_and_as_finished(tmp_path, monkeypatch):
    plain = (finished(tmp_path / "plain").folder / "table.csv").read_bytes()
    monkeypatch.setattr(_table, "LARGE", len(plain) - 1)
    plan = finished(tmp_path)
    names = ["provenance.json", "table.csv.gz"]
    assert sorted(path.name for path in plan.folder.iterdir()) == names
    assert is_finished(plan)
    assert gzip.decompress((plan.folder / names[1]).read_bytes()) == plain
    assert stored_provenance(plan.folder)["sha256"] == hashlib.sha256(plain).hexdigest()
    assert _table.table(plan.folder / "table.csv").equals(_table.table(plan.folder / names[1]))
    (plan.folder / names[1]).write_bytes(gzip.compress(plain + b"6,row 0,2\n"))
    assert not is_finished(plan)


@pytest.mark.parametrize("text", ["", "{", "\xff"])
def test_provenance_that_cannot_be_read_says_nothing(tmp_path, text):
    (tmp_path / "provenance.json").write_text(text, encoding="latin-1")
    assert stored_provenance(tmp_path) == {}
    assert stored_provenance(tmp_path / "nowhere") == {}


def test_rows_that_make_no_table_leave_the_cells(tmp_path):
    sweep = toy_sweep.sweep(toy_sweep.Config(0), toy_sweep.Config(1))
    plan = Plan(sweep, "quick", tmp_path, {})
    prepared(plan)
    for number, key in enumerate(plan.cells):
        keep(plan, key, {"rows": [{f"x{number}": 1}], "seconds": 1, "ran": {}})
    with pytest.raises(TableError, match="row 2 has columns x1; row 1 has x0"):
        conclude(plan)
    assert len(list((tmp_path / "cells").iterdir())) == 2


def test_the_provenance_comes_last_and_whole(tmp_path, monkeypatch):
    """Whatever moment a kill hits: either the cells are there, or all is."""
    seen, rename = [], Path.replace

    def noted(path, target):
        folder = Path(target).parent
        seen.append((Path(target).name, sorted(p.name for p in folder.iterdir())))
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", noted)
    finished(tmp_path)
    last = [(name, there) for name, there in seen if name in ("table.csv", "provenance.json")]
    assert last == [("table.csv", ["cells"]), ("provenance.json", ["cells", "table.csv"])]
