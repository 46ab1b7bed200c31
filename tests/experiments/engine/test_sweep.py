"""Sweeps: whoever runs the cells, in whatever order, the table is the same; nothing is lost."""

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
import toy_sweep

from loratheory.experiments import SweepError, csv_text, planned, prepared, swept
from loratheory.experiments.engine import _folder, _sweep

SWEEP = toy_sweep.EXPERIMENT
BYTES = csv_text([row for one in SWEEP.profiles["quick"] for row in toy_sweep.cell(one)]).encode()


def broken(future):
    """What a pool does whose process is gone."""
    future.set_exception(BrokenProcessPool("gone"))


class Here(Executor):
    """Runs what it is given at once; what a lost worker `leaves` of a cell, the first `times`."""

    def __init__(self, leaves=None, times=0, number=0):
        self.given, self.leaves, self.times, self.number = [], leaves, times, number

    def submit(self, fn, /, *args):
        """A future that is done."""
        self.given.append(args[-1].number)
        future = Future()
        if args[-1].number == self.number and self.given.count(self.number) <= self.times:
            self.leaves(future)
        else:
            future.set_result(fn(*args))
        return future


def begun(folder, sweep=SWEEP):
    """A prepared plan, and its cells as they come."""
    plan = planned(sweep, "quick", folder)
    prepared(plan)
    return plan, swept([plan], Here())


def run(folder, sweep=SWEEP, executor=None, **choices):
    plan = planned(sweep, "quick", folder, resume=True, **choices)
    prepared(plan)
    keys = [key for _, key in swept([plan], executor or Here(), **choices)]
    return plan, keys


def table(folder):
    return (folder / "toy_sweep" / "table.csv").read_bytes()


def missing(folder, sweep=SWEEP):
    plan = planned(sweep, "quick", folder, resume=True)
    return [config.number for config in plan.missing.values()]


@pytest.mark.parametrize("executor", [Here, lambda: ThreadPoolExecutor(5)])
def test_the_table_is_that_of_a_plain_loop_whoever_runs_the_cells(tmp_path, executor):
    _, keys = run(tmp_path, executor=executor())
    assert len(set(keys)) == 6
    assert table(tmp_path) == BYTES


def test_cells_are_on_the_disk_before_the_next_is_looked_at(tmp_path):
    plan, cells = begun(tmp_path)
    for count in range(1, 6):
        next(cells)
        assert len(list((plan.folder / "cells").glob("*.json"))) == count
    next(cells)
    assert not (plan.folder / "cells").exists()
    assert list(cells) == []


@pytest.mark.parametrize("count", [0, 4, 5])
def test_what_is_left_half_way_is_taken_up_and_no_cell_is_run_twice(tmp_path, count):
    _, cells = begun(tmp_path)
    done = {next(cells)[1] for _ in range(count)}
    cells.close()
    executor = Here()
    plan, keys = run(tmp_path, executor=executor)
    assert set(keys) == set(plan.cells) - done
    assert len(executor.given) == 6 - count
    assert table(tmp_path) == BYTES


def test_a_sweep_killed_before_its_table_was_written_writes_it(tmp_path):
    plan, _ = begun(tmp_path)
    for key, config in plan.cells.items():
        _folder.keep(plan, key, _sweep.outcome(toy_sweep.cell, "toy_sweep", config))
    executor = Here()
    _, keys = run(tmp_path, executor=executor)
    assert keys == executor.given == []
    assert table(tmp_path) == BYTES


def test_a_cell_that_raises_is_named_and_the_others_finish(tmp_path):
    with pytest.raises(SweepError) as caught:
        run(tmp_path, toy_sweep.BAD)
    message = str(caught.value)
    assert message.startswith("1 failed; what was finished is kept: go on with --resume")
    assert "toy_sweep, Config(number=1" in message
    assert "RuntimeError: number 1 is not wanted" in message
    assert "toy_sweep.py, line" in message
    assert missing(tmp_path, toy_sweep.BAD) == [1]


def test_a_lost_process_loses_nothing_that_was_finished(tmp_path):
    with pytest.raises(SweepError, match=r"a worker process died .* go on with --resume"):
        run(tmp_path, executor=Here(broken, 1, number=1))
    assert missing(tmp_path) == [1]


def test_a_full_disk_ends_it_at_once_with_the_remedy(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "cells/x.json")

    monkeypatch.setattr(_folder, "write_whole", full)
    with pytest.raises(SweepError, match=r"x.json: No space left on device: what was finished"):
        run(tmp_path)


def test_what_was_not_begun_is_called_off(tmp_path):
    gate, started = threading.Event(), []

    class Slow(ThreadPoolExecutor):
        def submit(self, fn, /, *args):
            def one():
                started.append(args[-1])
                if len(started) > 1:
                    gate.wait(10)
                return fn(*args)

            return super().submit(one)

    plan, _ = begun(tmp_path)
    with Slow(1) as executor:
        cells = swept([plan], executor)
        next(cells)
        cells.close()
        gate.set()
    assert len(started) <= 2


def test_cells_of_different_code_share_a_table_only_when_allowed(tmp_path, monkeypatch):
    _, cells = begun(tmp_path)
    next(cells)
    cells.close()
    real = _sweep.environment
    monkeypatch.setattr(_sweep, "environment", lambda module: real(module) | {"code": "later"})
    with pytest.raises(SweepError, match=r"its source changed on the way \(.*--allow-mixed"):
        run(tmp_path)
    run(tmp_path, allow_mixed=True)
    assert table(tmp_path) == BYTES


def test_values_become_plain_words_and_numbers_and_others_are_refused():
    values = [np.float32(0.5), np.int64(3), True, np.bool_(False), np.str_("mean"), np.asarray(2.5)]
    (row,) = _sweep.outcome(lambda _: [dict(enumerate(values))], "toy_sweep", None)["rows"]
    assert list(row.values()) == [0.5, 3, 1, 0, "mean", 2.5]
    assert [type(value) for value in row.values()] == [float, int, int, int, str, float]
    for value in (None, [1], 1j):
        trouble = _sweep.outcome(lambda _, v=value: [{"a": v}], "toy_sweep", None)["trouble"]
        assert trouble.startswith("TypeError: a cell of a table is a word or a number, not")


def called_off(future):
    """What a Dask client does that is restarted."""
    future.cancel()
    future.set_running_or_notify_cancel()


LEFT = {
    "an error of the executor": (
        lambda future: future.set_exception(AttributeError("'str' has no 'with_traceback'")),
        "AttributeError: 'str' has no 'with_traceback'",
    ),
    "a word in place of an error": (lambda future: future.set_exception("gone"), "str: gone"),
    "a word in place of rows": (lambda future: future.set_result("lost"), "returned 'lost'"),
    "nothing": (lambda future: future.set_result(None), "returned None"),
    "a cancelled future": (called_off, "the executor called it off"),
    "no Exception": (lambda future: future.set_exception(SystemExit(1)), "SystemExit: 1"),
}


@pytest.mark.parametrize(("leaves", "says"), LEFT.values(), ids=LEFT)
def test_the_cell_of_a_lost_worker_goes_to_two_others_and_is_then_named(tmp_path, leaves, says):
    executor = Here(leaves, times=2)
    plan, keys = run(tmp_path / "twice", executor=executor)
    assert len(keys) == len(set(keys)) == 6
    assert executor.given.count(0) == 3
    assert len(plan.lost) == 2
    for line in plan.lost:
        assert line.startswith("toy_sweep, Config(number=0")
        assert f"given to another worker ({says}" in line.replace(
            "the executor returned", "returned"
        )
    assert table(tmp_path / "twice") == BYTES
    executor = Here(leaves, times=100)
    with pytest.raises(SweepError, match=r"Config\(number=0.*: lost 3 workers: ") as caught:
        run(tmp_path, executor=executor)
    assert says in str(caught.value)
    assert executor.given.count(0) == 3
    assert missing(tmp_path) == [0]
