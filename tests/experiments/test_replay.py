"""Committed tables: the cells that made them are run again, and described as they are."""

import hashlib
import json
from pathlib import Path

import pytest

from loratheory.experiments import NAMES, csv_text, experiment, processes, stored_cells
from loratheory.experiments._finished import told

RESULTS = Path(__file__).parents[2] / "paper" / "results"
EXACT = ("merge_floor", "two_read_region", "window", "expressive_power")
"""Their first cells are made again byte for byte, on whatever machine."""

NEAR = {"construction_digits": 1.5}
"""Their numbers by this much at most: logarithms of rounding errors depend on the processor."""


@pytest.fixture(scope="module")
def again():
    """Runs the first cell of an experiment as a sweep does; gives its rows and the stored ones."""
    with processes(1) as pool:

        def rows(name):
            config, stored = stored_cells(experiment(name), RESULTS)[0]
            return pool.submit(experiment(name).cell, config).result(), stored

        yield rows


stored = [name for name in NAMES if (RESULTS / name).exists()]


@pytest.mark.parametrize("name", stored)
def test_a_table_is_the_one_its_provenance_describes(name):
    found = told(RESULTS / name)
    assert found["experiment"] == name
    assert found["profile"] == "paper"
    table = (RESULTS / name / "table.csv").read_bytes()
    assert hashlib.sha256(table).hexdigest() == found["sha256"]
    cells = stored_cells(experiment(name), RESULTS)
    assert sum(len(rows) for _, rows in cells) == table.count(b"\n") - 1
    assert all(environment["code"] for environment in found["environments"])
    assert json.loads((RESULTS / name / "provenance.json").read_text()) == found


@pytest.mark.parametrize("name", EXACT)
def test_a_cell_run_again_gives_the_same_bytes(name, again):
    made, rows = again(name)
    assert csv_text(made) == csv_text(rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", NEAR)
def test_a_cell_run_again_gives_nearly_the_same_numbers(name, again):
    for made, row in zip(*again(name), strict=True):
        assert made == pytest.approx(row, abs=NEAR[name])


def test_all_tables_together_are_small():
    assert sum(file.stat().st_size for file in RESULTS.rglob("*") if file.is_file()) < 2**20
    assert {path.name for path in RESULTS.iterdir()} <= {*NAMES}
    assert set(EXACT) | set(NEAR) <= set(stored)
