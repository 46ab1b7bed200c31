"""_shelf: a sweep that notices another shelf, goes on after kills, and runs on a cluster."""

import os
import signal

import pytest
from folders import folder
from typer.testing import CliRunner

from loratheory.cli import app
from loratheory.experiments import ExperimentError, cluster, planned, prepared, swept
from loratheory.experiments.shelf_matrix import cell, sweep


@pytest.fixture
def shelf(tmp_path):
    home = tmp_path / "shelf"
    home.mkdir()
    for number in range(6):
        folder(home / f"a{number}", {"layers.0.q": (6, 4, 2)}, seed=number)
    return home


def test_every_pair_of_groups_is_a_cell_and_another_shelf_other_cells(shelf):
    one = sweep(shelf, 4)
    assert [(c.first, c.second) for c in one.profiles["all"]] == [(0, 0), (0, 1), (1, 1)]
    folder(shelf / "a7", {"layers.0.q": (6, 4, 2)}, seed=9)
    assert {one.key(c) for c in one.profiles["all"]}.isdisjoint(
        one.key(c) for c in sweep(shelf, 4).profiles["all"]
    )


def test_a_shelf_of_one_is_refused(tmp_path):
    folder(tmp_path / "one", {"q": (6, 4, 2)})
    with pytest.raises(ExperimentError, match="holds 1 adapters: name a folder with at least two"):
        sweep(tmp_path)


@pytest.mark.parametrize("name", [b"a\nb", b"a\xffb"])
def test_a_name_that_fits_on_no_line_is_refused_before_any_work(shelf, name):
    (shelf / "a3").rename(shelf / os.fsdecode(name))
    with pytest.raises(ExperimentError, match=r"fits on no line of names.txt: rename it"):
        sweep(shelf)


def test_the_command_goes_on_where_it_was_cut_off(shelf, tmp_path):
    plan = planned(sweep(shelf, 2), "all", tmp_path / "out")
    prepared(plan)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        cells = swept([plan], pool)
        next(cells)
        cells.close()
    words = ["interfere", str(shelf), "-o", str(tmp_path / "out"), "--block", "2", "--workers", "1"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "--resume" in refused.output
    done = CliRunner().invoke(app, [*words, "--resume"])
    assert done.exit_code == 0, done.output
    assert "6 adapters, 30 ordered pairs" in done.output
    assert (tmp_path / "out" / "shelf_matrix" / "names.txt").read_text().split() == [
        f"a{n}" for n in range(6)
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_of_two_that_loses_one_loses_no_pair(shelf, tmp_path):
    distributed = pytest.importorskip("distributed")
    plan = planned(sweep(shelf, 1), "all", tmp_path / "out")
    prepared(plan)
    local = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with local, cluster(local.scheduler_address) as executor:
        cells = swept([plan], executor)
        next(cells)
        os.kill(next(iter(executor._client.run(os.getpid).values())), signal.SIGKILL)
        assert len(list(cells)) == 20
    from loratheory.experiments import csv_text

    rows = [row for config in plan.cells.values() for row in cell(config)]
    assert (plan.folder / "table.csv").read_bytes() == csv_text(rows).encode()
