"""Experiments and their published tables by name, from any folder; a slip is answered."""

from pathlib import Path
from zipfile import ZipFile

import pytest
import toy_sweep

from loratheory.experiments import (
    NAMES,
    ExperimentError,
    TableError,
    experiment,
    published,
    table,
)
from loratheory.experiments.engine import _table
from loratheory.experiments.engine._table import PLACES

ROOT = Path(__file__).parents[3]


def test_the_index_is_the_folder():
    files = (ROOT / "loratheory" / "experiments").glob("[a-z]*.py")
    assert {file.stem for file in files} == {*NAMES, "interference_matrix"}  # of a user's folder
    assert len(set(NAMES)) == len(NAMES)
    assert experiment("toy_sweep:EXPERIMENT") is toy_sweep.EXPERIMENT
    assert experiment("merge-floor").name == "merge_floor"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("windo", r"there is no experiment 'windo'; did you mean window, real_window\?"),
        ("xyz", "there is no experiment 'xyz'; choose merge_floor, .* or all"),
        ("toy_sweep:NONE", "there is no experiment toy_sweep:NONE: .*write importable.module"),
        ("no_such_module:X", "there is no experiment no_such_module:X: No module named"),
        (":X", "there is no experiment :X"),
        ("toy_sweep:cell", "toy_sweep:cell is a function: name a .*Experiment"),
    ],
)
def test_a_wrong_name_is_refused_with_a_way_out(name, message):
    with pytest.raises(ExperimentError, match=message):
        experiment(name)


def test_every_table_of_the_checkout_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = sorted((ROOT / "paper" / "results").glob("*/table.csv*"))
    assert {file.suffix for file in files} == {".csv", ".gz"}
    assert [published(file.parent.name) for file in files] == files
    assert len(table(published("window"))) == len(files[-1].read_text().splitlines()) - 1


def test_a_name_without_a_table_is_refused_with_those_that_have_one(monkeypatch):
    with pytest.raises(TableError, match=r"no table of 'gatign' is published, only of .*, gating,"):
        published("gatign")
    monkeypatch.setattr(_table, "PLACES", ())
    with pytest.raises(TableError, match="only of nothing"):
        published("gating")


@pytest.mark.slow
def test_a_wheel_brings_the_tables_where_they_are_looked_for(tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    results = PLACES[0].relative_to(ROOT)
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    for name in ("gating/table.csv.gz", "window/table.csv"):
        stored = ROOT / "paper" / "results" / name
        assert (tmp_path / results / name).read_bytes() == stored.read_bytes()
