"""Processes of one thread each that end with their parent, and a cluster that loses a worker."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import toy_sweep

from loratheory.experiments import (
    ExperimentError,
    cluster,
    csv_text,
    planned,
    prepared,
    processes,
    swept,
)
from loratheory.experiments.engine._sweep import THREADS

TESTS = Path(__file__).parents[2]


def worker(_):
    """What a worker's environment says of threads, and which process it is."""
    return [os.environ.get(name) for name in THREADS], os.getpid()


def gone(pid, patience=600.0):
    """Whether that process ends in time."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_workers_have_one_thread_leave_control_c_to_their_parent_and_can_be_lost(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has none
    with processes(1) as pool:
        values, pid = pool.submit(worker, 0).result()
        assert pool._max_workers == 1
        work = pool.submit(time.sleep, 1)
        time.sleep(0.3)
        os.kill(pid, signal.SIGINT)
        assert work.exception() is None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(BrokenProcessPool):
            pool.submit(worker, 0).result()
    assert values == ["1"] * len(THREADS)
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} <= set(THREADS)
    assert dict(os.environ) == before
    assert os.getpid() != pid


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_ends_the_workers_and_an_error_calls_off_what_was_not_begun(error):
    work, start = [], time.monotonic()

    def _sweep():
        with processes(1) as pool:
            work.append(pool.submit(worker, 0).result()[1])
            pause = 3600 if error is KeyboardInterrupt else 0.1
            work.extend(pool.submit(time.sleep, pause) for _ in range(10))
            raise error

    with pytest.raises(error):
        _sweep()
    pid, *waiting = work
    assert gone(pid)
    assert time.monotonic() - start < 3600
    if error is RuntimeError:
        assert sum(one.cancelled() for one in waiting) > 5


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
def test_no_worker_outlives_a_parent_that_is_killed():
    code = (
        "from loratheory.experiments import processes\n"
        "import os, time\n"
        "with processes(2) as pool:\n"
        "    pids = {pool.submit(os.getpid).result()}\n"
        "    work = [pool.submit(time.sleep, 3600) for _ in range(2)]\n"
        "    pids |= set(pool._processes)\n"
        "    print(*pids, flush=True)\n"
        "    time.sleep(3600)\n"
    )
    path = f"{TESTS.parent}{os.pathsep}{TESTS}"
    how = {"stdout": subprocess.PIPE, "env": {**os.environ, "PYTHONPATH": path}, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **how) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(gone(pid, 0.2) for pid in pids)
        parent.kill()
    assert all(gone(pid) for pid in pids)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense"])
def test_an_address_where_nobody_answers_is_refused_with_the_remedy(address):
    why = rf"no Dask scheduler answers at {address}.*dask"
    with pytest.raises(ExperimentError, match=why), cluster(address, patience=1):
        pass


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_of_two_that_loses_one_loses_nothing(tmp_path):
    distributed = pytest.importorskip("distributed")
    sweep = toy_sweep.sweep(*(toy_sweep.Config(n, pause=0.3) for n in range(12)))
    plan = planned(sweep, "quick", tmp_path)
    prepared(plan)
    local = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )
    with local, cluster(local.scheduler_address) as executor:
        cells = swept([plan], executor)
        next(cells)
        pids = executor._client.run(os.getpid)
        assert len(pids) == 2
        os.kill(next(iter(pids.values())), signal.SIGKILL)
        assert len(list(cells)) == 11
    rows = [row for config in sweep.profiles["quick"] for row in toy_sweep.cell(config)]
    assert (tmp_path / "toy_sweep" / "table.csv").read_bytes() == csv_text(rows).encode()
