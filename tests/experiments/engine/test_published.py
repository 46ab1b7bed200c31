"""Published tables are found from any folder, of a checkout and of a wheel."""

from pathlib import Path
from zipfile import ZipFile

import pytest

from loratheory.experiments import TableError, published, table
from loratheory.experiments.engine import _table
from loratheory.experiments.engine._table import PLACES

ROOT = Path(__file__).parents[3]


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
    within = {
        f"{PLACES[0].relative_to(ROOT)}/{name}"
        for name in ("gating/table.csv.gz", "window/table.csv")
    }
    with ZipFile(wheel) as archive:
        assert within <= set(archive.namelist())
        archive.extractall(tmp_path)
    for name in within:
        there = ROOT / "paper" / "results" / Path(name).relative_to("loratheory/results")
        assert (tmp_path / name).read_bytes() == there.read_bytes()
