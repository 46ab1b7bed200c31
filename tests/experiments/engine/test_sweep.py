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


class Here(Executor):
    """Runs what it is given at once, last submitted first looked at."""

    def __init__(self, breaks_at=None):
        self.given, self.breaks_at = [], breaks_at

    def submit(self, fn, /, *args):
        """A future that is done."""
        self.given.append(args[-1].number)
        future = Future()
        if len(self.given) == self.breaks_at:
            future.set_exception(BrokenProcessPool("gone"))
        else:
            future.set_result(fn(*args))
        return future


def run(folder, sweep=SWEEP, executor=None, profile="quick", **choices):
    plan = planned(sweep, profile, folder, resume=True, **choices)
    prepared(plan)
    keys = [key for _, key in swept([plan], executor or Here(), **choices)]
    return plan, keys


def table(folder):
    return (folder / "toy_sweep" / "table.csv").read_bytes()


def test_the_table_is_that_of_a_plain_loop_whoever_runs_the_cells(tmp_path):
    rows = [row for config in SWEEP.profiles["quick"] for row in toy_sweep.cell(config)]
    for name, executor in {
        "here": Here(),
        "one": ThreadPoolExecutor(1),
        "five": ThreadPoolExecutor(5),
    }.items():
        _, keys = run(tmp_path / name, executor=executor)
        assert len(set(keys)) == 6
        assert table(tmp_path / name) == csv_text(rows).encode()


def test_cells_are_on_the_disk_before_the_next_is_looked_at(tmp_path):
    plan = planned(SWEEP, "quick", tmp_path)
    prepared(plan)
    cells = swept([plan], Here())
    for count in range(1, 6):
        next(cells)
        assert len(list((plan.folder / "cells").glob("*.json"))) == count
    next(cells)
    assert not (plan.folder / "cells").exists()
    assert list(cells) == []


def test_what_is_left_half_way_is_taken_up_and_no_cell_is_run_twice(tmp_path):
    plan = planned(SWEEP, "quick", tmp_path)
    prepared(plan)
    cells = swept([plan], Here())
    done = {next(cells)[1] for _ in range(4)}
    cells.close()
    executor = Here()
    again, keys = run(tmp_path, executor=executor)
    assert set(keys) == set(again.cells) - done
    assert len(executor.given) == 2
    run(tmp_path / "unbroken")
    assert table(tmp_path) == table(tmp_path / "unbroken")


def test_a_sweep_killed_before_its_table_was_written_writes_it(tmp_path):
    plan = planned(SWEEP, "quick", tmp_path)
    prepared(plan)
    for key, config in plan.cells.items():
        outcome = _sweep.outcome(toy_sweep.cell, "toy_sweep", config)
        _folder.keep(plan, key, outcome)
    executor = Here()
    _, keys = run(tmp_path, executor=executor)
    assert keys == executor.given == []
    assert table(tmp_path).count(b"\n") == 13


def test_a_cell_that_raises_is_named_and_the_others_finish(tmp_path):
    with pytest.raises(SweepError) as caught:
        run(tmp_path, toy_sweep.BAD)
    message = str(caught.value)
    assert message.startswith("1 failed; what was finished is kept: go on with --resume")
    assert "toy_sweep, Config(number=1" in message
    assert "RuntimeError: number 1 is not wanted" in message
    assert "toy_sweep.py, line" in message
    kept = planned(toy_sweep.BAD, "quick", tmp_path, resume=True)
    assert [config.number for config in kept.missing.values()] == [1]


def test_a_lost_worker_loses_nothing_that_was_finished(tmp_path):
    with pytest.raises(SweepError, match=r"a worker process died .* go on with --resume"):
        run(tmp_path, executor=Here(breaks_at=2))
    kept = planned(SWEEP, "quick", tmp_path, resume=True)
    assert [config.number for config in kept.missing.values()] == [1]


def test_a_full_disk_ends_it_at_once_with_the_remedy(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "cells/x.json")

    monkeypatch.setattr(_folder, "write_whole", full)
    with pytest.raises(SweepError, match=r"x.json: No space left on device: what was finished"):
        run(tmp_path)


def test_what_was_not_begun_is_called_off(tmp_path):
    gate, begun = threading.Event(), []

    class Slow(ThreadPoolExecutor):
        def submit(self, fn, /, *args):
            def one():
                begun.append(args[-1])
                if len(begun) > 1:
                    gate.wait(10)
                return fn(*args)

            return super().submit(one)

    plan = planned(SWEEP, "quick", tmp_path)
    prepared(plan)
    with Slow(1) as executor:
        cells = swept([plan], executor)
        next(cells)
        cells.close()
        gate.set()
    assert len(begun) <= 2


def test_cells_of_different_code_share_a_table_only_when_allowed(tmp_path, monkeypatch):
    plan = planned(SWEEP, "quick", tmp_path)
    prepared(plan)
    cells = swept([plan], Here())
    next(cells)
    cells.close()
    real = _sweep.environment
    monkeypatch.setattr(_sweep, "environment", lambda module: real(module) | {"code": "later"})
    with pytest.raises(SweepError, match=r"its source changed on the way \(.*--allow-mixed"):
        run(tmp_path)
    again = planned(SWEEP, "quick", tmp_path, resume=True, allow_mixed=True)
    assert again.missing == {}
    run(tmp_path, allow_mixed=True)
    assert table(tmp_path)


def test_values_become_plain_words_and_numbers():
    values = {
        "a": np.float32(0.5),
        "b": np.int64(3),
        "c": True,
        "d": np.bool_(False),
        "e": np.str_("mean"),
        "f": np.asarray(2.5),
    }
    (row,) = _sweep.outcome(lambda _: [values], "toy_sweep", None)["rows"]
    assert row == {"a": 0.5, "b": 3, "c": 1, "d": 0, "e": "mean", "f": 2.5}
    assert [type(value) for value in row.values()] == [float, int, int, int, str, float]


@pytest.mark.parametrize("value", [None, [1], 1j])
def test_anything_else_is_refused_by_name(value):
    trouble = _sweep.outcome(lambda _: [{"a": value}], "toy_sweep", None)["trouble"]
    assert trouble.startswith("TypeError: a cell of a table is a word or a number, not")


class Loses(Here):
    """Loses the worker of the first cell, so many times; what its future then holds is given."""

    def __init__(self, leaves, times):
        super().__init__()
        self.leaves, self.times = leaves, times

    def submit(self, fn, /, *args):
        """A future that is done, or holds what a lost worker leaves."""
        future = super().submit(fn, *args)
        if args[-1].number == 0 and self.given.count(0) <= self.times:
            future = Future()
            self.leaves(future)
        return future


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
    "an error that is no Exception": (
        lambda future: future.set_exception(SystemExit(1)),
        "SystemExit: 1",
    ),
}
left = pytest.mark.parametrize(("leaves", "says"), LEFT.values(), ids=LEFT)


@left
def test_the_cell_of_a_lost_worker_goes_to_another_and_the_plan_says_so(tmp_path, leaves, says):
    executor = Loses(leaves, times=2)
    plan, keys = run(tmp_path, executor=executor)
    assert len(keys) == len(set(keys)) == 6
    assert executor.given.count(0) == 3
    assert len(plan.lost) == 2
    for line in plan.lost:
        assert line.startswith("toy_sweep, Config(number=0")
        assert "given to another worker" in line
        assert says in line
    run(tmp_path / "unbroken")
    assert table(tmp_path) == table(tmp_path / "unbroken")


@left
def test_a_cell_that_loses_worker_after_worker_is_named_and_the_others_finish(
    tmp_path, leaves, says
):
    executor = Loses(leaves, times=100)
    with pytest.raises(SweepError, match=r"Config\(number=0.*: lost 3 workers: ") as caught:
        run(tmp_path, executor=executor)
    assert says in str(caught.value)
    assert executor.given.count(0) == 3
    kept = planned(SWEEP, "quick", tmp_path, resume=True)
    assert [config.number for config in kept.missing.values()] == [0]
