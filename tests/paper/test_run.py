"""The runner: the table is that of a plain loop whoever runs the cells, and kills lose nothing."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import threadpoolctl

sys.path.insert(0, str(Path(__file__).parent))
import toy_study

from paper.studies._shared import run as runner
from paper.studies._shared.run import StudyError, provenance, run, table_text

ROOT = Path(__file__).parents[2]
pytest.importorskip("joblib")


def ran(log):
    return sorted(map(int, log.read_text().split())) if log.exists() else []


def looped(study):
    """The table's text by a plain loop."""
    parts = {p.name: [row for config in p.paper for row in p.cell(config)] for p in study.parts}
    return table_text(parts)


def text(folder):
    return gzip.decompress((folder / "table.csv.gz").read_bytes()).decode()


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("two", [False, True])
def test_the_table_is_that_of_a_plain_loop(tmp_path, jobs, two):
    study = toy_study.study(tmp_path / "log", two=two)
    run(study, "paper", tmp_path / "toy", jobs=jobs)
    assert text(tmp_path / "toy") == looped(toy_study.study(tmp_path / "log 2", two=two))
    assert not (tmp_path / "toy" / "cells").exists()
    rows = pd.read_csv(tmp_path / "toy" / "table.csv.gz")
    assert ("part" in rows) == two
    described = provenance(tmp_path / "toy")["parts"]
    assert sum(cell["rows"] for part in described for cell in part["cells"]) == len(rows)
    assert described[0]["seeds"] == [0]
    assert described[0]["environments"][0].keys() >= {"commit", "versions", "device", "threads"}


def test_a_finished_table_is_not_run_again_and_one_that_grows_runs_what_is_new(tmp_path):
    log = tmp_path / "log"
    run(toy_study.study(log, 4), "paper", tmp_path / "toy", jobs=1)
    before = text(tmp_path / "toy")
    run(toy_study.study(log, 4), "paper", tmp_path / "toy", jobs=1)
    assert ran(log) == [0, 1, 2, 3]
    run(toy_study.study(log, 6, two=True), "paper", tmp_path / "toy", jobs=1)
    assert ran(log) == [0, 1, 2, 3, 4, 5]
    assert text(tmp_path / "toy") == looped(toy_study.study(log, 6, two=True))
    assert len(before) < len(text(tmp_path / "toy"))


def test_a_failing_cell_loses_no_other(tmp_path, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setenv("TOY_BAD", "1")
    with pytest.raises(StudyError, match="number 1 is bad"):
        run(toy_study.study(log), "paper", tmp_path / "toy", jobs=1)
    assert ran(log) == [0, 1, 2, 3, 4, 5]
    monkeypatch.delenv("TOY_BAD")
    run(toy_study.study(log), "paper", tmp_path / "toy", jobs=1)
    assert ran(log) == [0, 1, 1, 2, 3, 4, 5]
    assert text(tmp_path / "toy") == looped(toy_study.study(log))


def test_a_changed_table_is_refused(tmp_path):
    study = toy_study.study(tmp_path / "log")
    path = run(study, "paper", tmp_path / "toy", jobs=1)
    path.write_bytes(gzip.compress(b"seed,condition,value\n0,a,1\n"))
    with pytest.raises(StudyError, match="delete it"):
        run(study, "paper", tmp_path / "toy", jobs=1)
    path.unlink()
    run(study, "paper", tmp_path / "toy", jobs=1)
    assert text(tmp_path / "toy") == looped(study)


def test_notes_of_other_scripts_stay_and_profiles_do_not_mix(tmp_path):
    folder = tmp_path / "toy"
    run(toy_study.study(tmp_path / "log", 4), "paper", folder, jobs=1)
    file = folder / "provenance.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "renamed": "by hand"}))
    run(toy_study.study(tmp_path / "log", 6), "paper", folder, jobs=1)
    assert json.loads(file.read_text())["renamed"] == "by hand"
    # What the study no longer has goes.
    run(toy_study.study(tmp_path / "log", 4), "paper", folder, jobs=1)
    assert text(folder) == looped(toy_study.study(tmp_path / "log", 4))
    with pytest.raises(StudyError, match="holds the profile 'paper', not 'quick'"):
        run(toy_study.study(tmp_path / "log", 4), "quick", folder, jobs=1)


def test_rows_of_one_part_have_the_same_columns():
    with pytest.raises(StudyError, match="rows have a and b"):
        table_text({"toy": [{"a": 1}, {"b": 1}]})
    assert table_text({"toy": [{"a": 1 / 3, "b": "x"}]}) == "a,b\n0.333333333,x\n"


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_run_that_is_killed_goes_on_and_loses_at_most_the_cells_in_progress(tmp_path, after):
    log, folder = tmp_path / "log", tmp_path / "toy"
    script = (
        "import sys; sys.path[:0] = ['tests/paper', '.']; import toy_study\n"
        "from pathlib import Path; from paper.studies._shared.run import run\n"
        f"study = toy_study.study(Path({str(log)!r}), 6)\n"
        f"run(study, 'paper', Path({str(folder)!r}), jobs=1)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=os.environ | {"TOY_STOP": str(after)}
    )
    while len(list(folder.glob("cells/*.json"))) < after:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list(folder.glob("cells/*.json")))
    assert done == after
    before = ran(log)
    run(toy_study.study(log, 6), "paper", folder, jobs=1)
    assert len(ran(log)) - len(before) == 6 - done
    assert text(folder) == looped(toy_study.study(log))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_gives_the_same_table(tmp_path):
    distributed = pytest.importorskip("distributed")
    from joblib import parallel_config

    with (
        distributed.LocalCluster(n_workers=2, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        parallel_config(backend="dask"),
    ):
        run(toy_study.study(tmp_path / "log"), "paper", tmp_path / "toy")
    assert text(tmp_path / "toy") == looped(toy_study.study(tmp_path / "log"))


@pytest.mark.parametrize(
    ("about", "flags"),
    [
        ("model name\t: Xeon\nflags\t\t: fpu amx_bf16 avx2 sse2\n", ["amx_bf16", "avx2"]),
        ("Features\t: fp asimd bf16\n", ["asimd", "bf16"]),
        ("", []),
    ],
)
def test_provenance_tells_instruction_sets_and_threads(about, flags, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(about)
    monkeypatch.setattr(runner, "CPUINFO", tmp_path / "cpuinfo")
    runner._installed.cache_clear()
    with threadpoolctl.threadpool_limits(1):
        found = runner.environment()
    runner._installed.cache_clear()
    assert found["flags"] == flags
    assert ("Xeon" in found["device"]) == ("Xeon" in about)
    assert json.loads(json.dumps(found)) == found
    if "torch" not in sys.modules:
        assert found["threads"] == 1


def test_a_study_run_again_is_written_beside_the_stored_one_and_equals_it(tmp_path, monkeypatch):
    """The exact study of the window; a run by name replaces no stored table."""
    from paper.studies import FOLDER
    from paper.studies.__main__ import main

    stored = FOLDER / "window"
    before = (stored / "table.csv.gz").read_bytes()
    monkeypatch.chdir(tmp_path)
    assert main(["window", "--jobs", "1"]) == 0
    again, old = (
        pd.read_csv(f / "table.csv.gz") for f in (tmp_path / "build/results/window", stored)
    )
    pd.testing.assert_frame_equal(again, old, rtol=1e-6, atol=1e-9)
    assert (stored / "table.csv.gz").read_bytes() == before
