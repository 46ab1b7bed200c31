"""The folder: what may be gone on with, what is refused, what provenance says, what kills leave."""

import gzip
import hashlib
import json
import platform
import shutil
import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pytest
import toy_sweep

from loratheory.experiments import ExperimentError, TableError, planned, prepared, stored_cells
from loratheory.experiments.engine import _table, stored_provenance
from loratheory.experiments.engine._folder import (
    conclude,
    environment,
    is_finished,
    keep,
    laid_out,
)
from loratheory.store import _imported, code

SWEEP = toy_sweep.EXPERIMENT
CONFIGS = SWEEP.profiles["quick"]


def some(folder, count, sweep=SWEEP, **ran):
    """A plan whose first cells are on the disk, the last of them first."""
    plan = planned(sweep, "quick", folder, resume=True)
    prepared(plan)
    for key, config in reversed(list(plan.cells.items())[:count]):
        here = environment(sweep.module) | ran
        keep(plan, key, {"rows": sweep.cell(config), "seconds": 1.26, "ran": here})
    return plan


def finished(folder, sweep=SWEEP):
    plan = some(folder, len(sweep.profiles["quick"]), sweep)
    conclude(plan)
    return plan


def numbers(plan):
    return [config.number for config in plan.missing.values()]


# what is left to do


@dataclass(frozen=True)
class Backwards:
    """The fields of the toy's config, last first."""

    log: str = ""
    seed: int = 0
    ends: str = "well"
    pause: float = 0.0
    rows: int = 2
    number: int = 3


def test_a_key_is_the_content_and_nothing_else():
    one = toy_sweep.Config(3)
    others = [
        SWEEP.key(replace(one, number=4)),
        SWEEP.key(replace(one, seed=1)),
        replace(SWEEP, version=2).key(one),
        replace(SWEEP, module="toy_sweeps").key(one),
    ]
    assert len({SWEEP.key(one), *others}) == 5
    assert replace(SWEEP, profiles={}, document=None).key(one) == SWEEP.key(one)
    assert SWEEP.key(Backwards()) == SWEEP.key(one)
    assert replace(SWEEP, document=None).paragraph("Question") == ""
    assert (SWEEP.paragraph("Nonsense"), SWEEP.paragraph("Prediction")) == ("", "Yes.")


def test_an_empty_or_missing_folder_is_fine_with_and_without_resume(tmp_path):
    for resume in (False, True):
        plan = planned(SWEEP, "quick", tmp_path / "a" / "b", resume=resume)
        assert tuple(plan.missing.values()) == CONFIGS
        assert list(plan.cells) == [SWEEP.key(config) for config in CONFIGS]
        assert plan.minutes_a_cell == 0.1 / 6
        assert not (tmp_path / "a").exists()
    for _ in range(2):
        prepared(plan)
        assert (tmp_path / "a" / "b" / "toy_sweep" / "cells").is_dir()
    assert planned(SWEEP, "quick", tmp_path / "a" / "b").done == {}


def test_finished_cells_are_gone_on_with_also_by_a_larger_profile(tmp_path):
    some(tmp_path, 2)
    for profile, left in (("quick", [2, 3, 4, 5]), ("paper", [2, 3, 4, 5, 1000])):
        plan = planned(SWEEP, profile, tmp_path, resume=True)
        assert numbers(plan) == left
        assert plan.done[SWEEP.key(CONFIGS[1])]["rows"] == toy_sweep.cell(CONFIGS[1])


def test_a_finished_table_is_left_as_it_is(tmp_path):
    folder = finished(tmp_path).folder
    before = {path: path.read_bytes() for path in folder.iterdir()}
    plan = planned(SWEEP, "quick", tmp_path, resume=True)
    prepared(plan)
    assert plan.finished
    assert plan.missing == {}
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_table_grows_by_the_cells_that_it_lacks(tmp_path, monkeypatch):
    folder = finished(tmp_path).folder
    small = (folder / "table.csv").read_bytes()
    whole = planned(SWEEP, "paper", tmp_path / "anew")
    prepared(whole)
    for key, config in whole.cells.items():
        keep(
            whole, key, {"rows": SWEEP.cell(config), "seconds": 2, "ran": environment("toy_sweep")}
        )
    conclude(whole)
    wanted = (whole.folder / "table.csv").read_bytes()

    with pytest.raises(ExperimentError, match="a finished table: go on with --resume"):
        planned(SWEEP, "paper", tmp_path)
    plan = planned(SWEEP, "paper", tmp_path, resume=True)
    assert numbers(plan) == [1000]
    prepared(plan)  # and killed: the old table is still there, and what it has is not run again
    assert (folder / "table.csv").read_bytes() == small
    plan = planned(SWEEP, "paper", tmp_path, resume=True)
    [(key, config)] = plan.missing.items()
    keep(plan, key, {"rows": SWEEP.cell(config), "seconds": 2, "ran": {"code": "later"}})
    with pytest.raises(ExperimentError, match=r"made by other code .*later.* --allow"):
        planned(SWEEP, "paper", tmp_path, resume=True)
    monkeypatch.setattr(_table, "LARGE", len(small))
    before = (folder / "provenance.json").read_bytes()
    shutil.copytree(folder, tmp_path / "killed" / folder.name)
    conclude(plan)
    assert [*folder.glob("table*")] == [folder / "table.csv.gz"]
    assert gzip.decompress((folder / "table.csv.gz").read_bytes()) == wanted
    described = stored_provenance(folder)
    assert [cell["rows"] for cell in described["cells"]] == [1, 2, 3, 1, 2, 3, 2]
    assert [one["code"] for one in described["environments"]] == [code("toy_sweep"), "later"]
    assert planned(SWEEP, "paper", tmp_path, resume=True).finished

    (tmp_path / "killed" / folder.name / "table.csv").write_bytes(wanted)  # killed before the next
    again = planned(SWEEP, "paper", tmp_path / "killed", resume=True, allow_mixed=True)
    assert (again.missing, again.finished) == ({}, False)
    assert (again.folder / "provenance.json").read_bytes() == before


OTHER = toy_sweep.sweep(CONFIGS[0])
TWICE = toy_sweep.sweep(CONFIGS[0], CONFIGS[1], replace(CONFIGS[0]))
REFUSED = {  # what lies there; the sweep, its profile, whether to go on; why not
    "cells, not asked for": ("cells", SWEEP, "quick", False, "2 finished cells: go on with --resu"),
    "other cells": ("cells", OTHER, "quick", True, "cells that are not in the quick profile"),
    "an older version": ("cells", replace(SWEEP, version=2), "quick", True, "cells that are not"),
    "other code": ("other code", SWEEP, "quick", True, r"made by other code \(before, now .*--all"),
    "a table": ("table", SWEEP, "quick", False, "holds a finished table: go on with --resume"),
    "another table": ("table", OTHER, "quick", True, "the table of another sweep .* quick now"),
    "an older table": ("table", replace(SWEEP, version=2), "quick", True, "of another sweep"),
    "a strange table": ("strange", SWEEP, "quick", True, "delete it"),
    "a strange table, not asked for": ("strange", SWEEP, "quick", False, "delete it"),
    "no such profile": ("", SWEEP, "huge", False, "no profile 'huge': choose quick, paper"),
    "equal configs": ("", TWICE, "quick", False, "two configs of the quick profile are equal"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_be_gone_on_with_is_refused_with_the_remedy(tmp_path, case):
    lies, sweep, profile, resume, why = REFUSED[case]
    if lies in ("cells", "other code"):
        some(tmp_path, 2, **({"code": "before"} if lies == "other code" else {}))
    if lies == "table":
        finished(tmp_path)
    if lies == "strange":
        (tmp_path / "toy_sweep").mkdir()
        (tmp_path / "toy_sweep" / "table.csv").write_text("a\n1\n")
    with pytest.raises(ExperimentError, match=why):
        planned(sweep, profile, tmp_path, resume=resume)
    if lies == "other code":
        plan = planned(sweep, profile, tmp_path, resume=True, allow_mixed=True)
        assert len(plan.done) == 2


def test_a_folder_that_cannot_be_is_an_error_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        prepared(planned(SWEEP, "quick", tmp_path / "file"))
    if Path("/proc").exists():
        with pytest.raises(OSError, match="/proc"):
            prepared(planned(SWEEP, "quick", Path("/proc/nothing")))


# tables and their provenance


def test_rows_stand_in_the_order_of_the_configs_and_provenance_says_from_what(tmp_path):
    with pytest.raises(ExperimentError, match="no finished table: loratheory run toy_sweep"):
        stored_cells(SWEEP, tmp_path, "quick")
    folder = finished(tmp_path).folder
    assert sorted(path.name for path in folder.iterdir()) == ["provenance.json", "table.csv"]
    lines = (folder / "table.csv").read_text().splitlines()
    assert (lines[0], lines[-1]) == ("number,row,third", "5,row 2,3.666666667")
    cells = stored_cells(SWEEP, tmp_path, "quick")
    assert [config for config, _ in cells] == list(CONFIGS)
    for config, rows in cells:
        assert rows["row"].tolist() == [f"row {n}" for n in range(config.rows)]
        assert set(rows["number"]) == {config.number}
    found = stored_provenance(folder)
    assert (found["experiment"], found["profile"], found["version"]) == ("toy_sweep", "quick", 1)
    assert [cell["rows"] for cell in found["cells"]] == [1, 2, 3, 1, 2, 3]
    assert found["cells"][4]["config"]["number"] == 4
    assert found["seconds"] == pytest.approx(6 * 1.26, abs=0.05)
    assert found["environments"] == [environment("toy_sweep")]
    assert found["seeds"] == [0]
    seeded = toy_sweep.sweep(*(toy_sweep.Config(n, seed=7 - n % 2) for n in range(3)))
    assert stored_provenance(finished(tmp_path / "x", seeded).folder)["seeds"] == [6, 7]


def test_it_is_finished_as_long_as_version_configs_and_bytes_are_these(tmp_path):
    plan = finished(tmp_path)
    assert is_finished(plan)
    assert not is_finished(replace(plan, profile="paper"))
    assert not is_finished(replace(plan, experiment=replace(SWEEP, version=2)))
    table = plan.folder / "table.csv"
    text = table.read_text()
    for other in (text.replace("0.333333333", "0.333333334"), text):
        table.write_text(other)
        assert is_finished(plan) == (other == text)
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
    (plan.folder / names[1]).write_bytes(gzip.compress(plain + b"6,row 0,2\n"))
    assert not is_finished(plan)


@pytest.mark.parametrize("text", ["", "{", "\xff"])
def test_provenance_that_cannot_be_read_says_nothing(tmp_path, text):
    (tmp_path / "provenance.json").write_text(text, encoding="latin-1")
    assert stored_provenance(tmp_path) == stored_provenance(tmp_path / "nowhere") == {}


def test_rows_that_make_no_table_leave_the_cells(tmp_path):
    plan = some(tmp_path, 0, toy_sweep.sweep(toy_sweep.Config(0), toy_sweep.Config(1)))
    for number, key in enumerate(plan.cells):
        keep(plan, key, {"rows": [{f"x{number}": 1}], "seconds": 1, "ran": {}})
    with pytest.raises(TableError, match="row 2 has columns x1; row 1 has x0"):
        conclude(plan)
    assert len(list((plan.folder / "cells").iterdir())) == 2


def test_a_kill_between_table_and_provenance_or_while_clearing_up_is_taken_up(tmp_path):
    folder = finished(tmp_path).folder
    provenance, table = ((folder / n).read_bytes() for n in ("provenance.json", "table.csv"))
    shutil.rmtree(folder)
    plan = some(tmp_path, 6)
    (folder / "table.csv").write_bytes(table)
    again = planned(SWEEP, "quick", tmp_path, resume=True)
    assert not again.finished
    assert again.missing == {}
    conclude(again)
    assert (folder / "table.csv").read_bytes() == table
    prepared(plan)
    (folder / "cells" / "left.json").write_text("{}")
    (folder / "provenance.json").write_bytes(provenance)
    done = planned(SWEEP, "quick", tmp_path, resume=True)
    assert done.finished
    prepared(done)
    assert not (folder / "cells").exists()


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


# the environment: the digest follows the source that a cell runs, and no other


def test_the_environment_names_code_machine_and_versions():
    found = environment("loratheory.experiments.window")
    assert found["code"] == code("loratheory.experiments.window")
    assert len(found["code"]) == 16
    assert platform.machine() in found["device"]
    assert found["versions"]["numpy"] == version("numpy")
    assert found["versions"]["python"] == platform.python_version()
    assert json.loads(json.dumps(found)) == found
    assert found["commit"] is None or len(found["commit"].removesuffix("-dirty")) == 40


def test_code_is_what_a_cell_can_import_by_whichever_road():
    window = set(_imported("loratheory.experiments.window"))
    assert {
        "loratheory.experiments.window",
        "loratheory.experiments._chain",  # imported by name
        "loratheory.toy",  # imported for a name in it
        "loratheory.toy._two_read",
        "loratheory.lowrank",  # through others
        "loratheory.experiments.engine._sweep",
    } <= window
    assert not any(name.split(".")[1] in ("cli", "figures", "theorems") for name in window)
    gap, gating = (_imported(f"loratheory.experiments.{n}") for n in ("training_gap", "gating"))
    assert "loratheory.theorems.expressiveness.depth_budget" in gap
    assert "loratheory.experiments.bench.weights" in gating  # at the first use of the bench
    assert "loratheory.experiments" in _imported(toy_sweep.__name__)


def test_a_change_of_the_modules_own_file_or_imports_is_another_code(tmp_path, monkeypatch):
    """Of a module outside the package that imports one of its modules, early or late."""
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {}
    for text in (
        "x = 1\n",
        "x = 2\n",
        "def f():\n    from loratheory.adapters import routing\n",
        "import loratheory.adapters.routing\n",
    ):
        (tmp_path / "mine.py").write_text(text)
        sys.modules.pop("mine", None)
        __import__("mine")
        found[text] = code.__wrapped__("mine")
        assert found[text] == code.__wrapped__("mine")
        assert ("loratheory.adapters.routing" in _imported("mine")) == ("routing" in text)
    assert len(set(found.values())) == 4


def test_provenance_has_a_line_for_each_key_and_cell():
    content = {"a": 1, "empty": [], "seeds": [0, 1], "cells": [{"x": 1}, {"x": [2, 3]}], "é": "é"}
    text = laid_out(content)
    assert json.loads(text) == content
    assert len(text.splitlines()) == 2 + len(content) + 1 + 2
    assert "é" in text
