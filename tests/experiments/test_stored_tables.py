"""Committed tables: the cells that made them are run again, and described as they are."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from loratheory.experiments import (
    NAMES,
    Small,
    csv_text,
    experiment,
    processes,
    replayed,
    stored_cells,
)
from loratheory.experiments.engine import stored_provenance, unpacked

RESULTS = Path(__file__).parents[2] / "paper" / "results"
EXACT = ("merge_floor", "two_read_region", "window")
"""Their first cells are made again byte for byte, on whatever machine."""

NEAR = {"construction_digits": 1.5}
"""Their numbers by this much at most: logarithms of rounding errors depend on the processor."""


@pytest.fixture(scope="module")
def again():
    """Runs the first cell of an experiment as a sweep does; gives its rows and the stored ones."""
    with processes(1) as pool:

        def rows(name):
            config, stored = stored_cells(experiment(name), RESULTS)[0]
            return pool.submit(experiment(name).cell, config).result(), stored.to_dict("records")

        yield rows


stored = [name for name in NAMES if (RESULTS / name).exists()]
small = [name for name in NAMES if (RESULTS / "small" / name).exists()]
"""The settings of their quick profiles, which the paper's have not, on more bases."""


@pytest.mark.parametrize(
    ("name", "profile"),
    [*((name, "paper") for name in stored), *((name, "small") for name in small)],
)
def test_a_table_is_the_one_its_provenance_describes(name, profile):
    results = RESULTS / "small" if profile == "small" else RESULTS
    found = stored_provenance(results / name)
    assert found["experiment"] == name
    assert found["profile"] == profile
    table = unpacked(results / name / "table.csv")
    assert hashlib.sha256(table).hexdigest() == found["sha256"]
    cells = stored_cells(experiment(name), results, profile)
    assert sum(len(rows) for _, rows in cells) == table.count(b"\n") - 1
    assert all(environment["code"] for environment in found["environments"])
    assert json.loads((results / name / "provenance.json").read_text()) == found


@pytest.mark.parametrize("name", small)
def test_a_quick_cell_has_what_it_is_compared_with(name):
    """One base of the small table against the others: what makes tables again meets settings."""
    cells = stored_cells(experiment(name), RESULTS / "small", "small")
    found = replayed(cells[:1], cells[1:])
    assert found.missing == 0
    assert found.means >= 8
    quick = experiment(name).profiles["quick"]
    assert replayed([(config, cells[0][1]) for config in quick], cells[1:]) == found


@pytest.mark.parametrize("name", EXACT)
def test_a_cell_run_again_gives_the_same_bytes(name, again):
    made, rows = again(name)
    assert csv_text(made) == csv_text(rows)


def test_the_grid_run_again_gives_the_same_bytes_but_for_ties(again):
    """Equal singular values leave it to the processor which directions a ReLU network loses."""
    made, rows = again("expressive_power")
    tied = [r["family"] == r["flat"] == 1 and r["rank"] < r["threshold"] for r in rows]
    assert sum(tied) == 33
    assert all(row["value"] <= row["bound"] for row in made)
    kept = [
        [row | {"value": 0.0} if tie else row for row, tie in zip(table, tied, strict=True)]
        for table in (made, rows)
    ]
    assert csv_text(kept[0]) == csv_text(kept[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", NEAR)
def test_a_cell_run_again_gives_nearly_the_same_numbers(name, again):
    for made, row in zip(*again(name), strict=True):
        assert made == pytest.approx(row, abs=NEAR[name])


def test_all_tables_together_are_small():
    assert sum(file.stat().st_size for file in RESULTS.rglob("*") if file.is_file()) < 2**20
    assert {path.name for path in RESULTS.iterdir()} <= {*NAMES, "small"}
    assert {path.name for path in (RESULTS / "small").iterdir()} == {
        name for name in NAMES if "small" in experiment(name).profiles
    }
    assert {*EXACT, *NEAR, "expressive_power"} <= set(stored)


@pytest.mark.slow
def test_every_quick_profile_agrees_with_the_stored_tables(tmp_path):
    """All experiments once, on whatever machine: accuracies within what bases differ anyway."""
    command = "import sys; from loratheory.cli import app; sys.exit(app())"
    words = ["run", "all", "--against", RESULTS, "-o", tmp_path, "--json", tmp_path / "told.json"]
    done = subprocess.run(
        [sys.executable, "-c", command, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = {
        entry["experiment"]: entry for entry in json.loads((tmp_path / "told.json").read_text())
    }
    assert set(told) == {name for name in NAMES if not name.startswith("real_")}
    trained = {n for n in stored if isinstance(experiment(n).profiles["paper"][0], Small)}
    assert {name for name, entry in told.items() if entry["means"]} == trained | {*small}
