"""Run cells by any executor: by new processes of this machine, or by a Dask cluster.

A finished cell is stored on disk before the next outcome is handled.
"""

import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from multiprocessing import get_context
from traceback import extract_tb
from typing import Any

from loratheory.experiments.engine._experiment import ExperimentError, Plan, Row
from loratheory.experiments.engine._folder import codes, conclude, environment, keep
from loratheory.experiments.engine._machine import machine
from loratheory.experiments.engine._table import TableError

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


@contextmanager
def processes(workers: int = 0) -> Iterator[Executor]:
    """Return an executor of new single-threaded processes, which end when this process does.

    There is one process per core where `workers` is 0.
    """
    before, others = dict(os.environ), set(multiprocessing.active_children())
    count = workers or len(_cores())
    os.environ.update(dict.fromkeys(THREADS, "1"))
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_born)
    try:
        yield pool
    except KeyboardInterrupt:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for name in THREADS:
            os.environ.pop(name)
        os.environ.update({name: before[name] for name in THREADS if name in before})


def _cores() -> range | set[int]:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _born() -> None:
    """In a worker: leave Ctrl-C to the parent, and end when the parent does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _reach(address: str, patience: float | int) -> None:
    """Raise OSError or ValueError where nobody listens at a network address."""
    from distributed.comm import get_address_host_port
    from distributed.comm.addressing import parse_address

    if parse_address(address)[0] in ("tcp", "tls", "ws", "wss"):
        socket.create_connection(get_address_host_port(address), timeout=patience).close()


@contextmanager
def cluster(address: str, *, patience: float | int = 10) -> Iterator[Executor]:
    """Return an executor that runs cells on the workers of a Dask scheduler.

    If a worker is lost, its cell is given to another. Workers must be able to import loratheory and
    the experiment's module; start them with ``--nthreads 1``, since a cell expects a process to
    itself. ExperimentError if no scheduler answers at the address, such as
    ``tcp://127.0.0.1:8786``, within `patience` seconds.
    """
    from distributed import Client

    try:
        _reach(address, patience)  # a client that finds nobody complains again when it is freed
        client = Client(address, timeout=patience, set_as_default=False)
    except (OSError, ValueError) as error:
        remedy = "start one with `dask scheduler`, workers with `dask worker ADDRESS`"
        message = f"no Dask scheduler answers at {address} ({error}): {remedy}"
        raise ExperimentError(message) from None
    with client:
        yield client.get_executor(pure=False)


GO_ON = "what was finished is kept: go on with --resume"
LOST = "worker died"
TRIES = 3
"""How many workers a cell is given to, one after another, when each is lost with it."""


class SweepError(RuntimeError):
    """Raised where cells of a sweep failed; the finished cells are kept."""


def swept(
    plans: Sequence[Plan], executor: Executor, *, allow_mixed: bool = False
) -> Generator[tuple[Plan, str], None, None]:
    """Run the missing cells of prepared plans; yield each plan and cell when it finishes or fails.

    If a worker is lost, its cell is given to another, and `Plan.lost` gets a line. The rows depend
    neither on the executor nor on the number of workers. A plan's table is written after its last
    cell. Cells made by different code form one table only with `allow_mixed`.

    Raises
    ------
    SweepError
        After all other cells, if a cell failed or lost three workers, or the executor broke; at
        once, if a cell cannot be written.
    """
    troubles: list[str] = []
    futures: dict[Future[Any], tuple[Plan, str, int]] = {}

    def _submit(plan: Plan, key: str, tries: int) -> None:
        work = plan.experiment.cell, plan.experiment.module, plan.cells[key]
        futures[executor.submit(outcome, *work)] = (plan, key, tries)

    try:
        troubles += [_concluded(plan, allow_mixed=allow_mixed) for plan in plans]
        for plan in sorted(plans, key=lambda plan: -plan.minutes_a_cell):  # no long cell comes last
            for key in plan.missing:
                _submit(plan, key, 1)
        while futures:
            for future in wait(futures, return_when=FIRST_COMPLETED).done:
                plan, key, tries = futures.pop(future)
                fault = _fault(future)
                name = f"{plan.experiment.name}, {plan.cells[key]}"
                if fault and fault != LOST and tries < TRIES:
                    plan.lost.append(f"{name}: given to another worker ({fault})")
                    _submit(plan, key, tries + 1)
                    continue
                if fault:
                    trouble = LOST if fault == LOST else f"{name}: lost {tries} workers: {fault}"
                elif "trouble" in (result := future.result()):
                    trouble = f"{name}: {result['trouble']}"
                else:
                    keep(plan, key, result)
                    trouble = _concluded(plan, allow_mixed=allow_mixed)
                troubles.append(trouble)
                yield plan, key
    except BrokenExecutor:
        troubles.append(LOST)
    except OSError as error:
        message = f"{error.filename or 'the results'}: {error.strerror or error}: {GO_ON}"
        raise SweepError(message) from error
    except KeyboardInterrupt:
        futures.clear()  # whoever ends the workers also ends these
        raise
    finally:
        for future in futures:
            future.cancel()
    troubles = list(filter(None, troubles))
    if LOST in troubles:
        message = f"a worker process died (killed, or out of memory): {GO_ON}"
        raise SweepError("\n".join([message, *(t for t in troubles if t != LOST)]))
    if troubles:
        head = f"{len(troubles)} failed; {GO_ON}, once that is mended"
        raise SweepError("\n".join([head, *troubles]))


def outcome(cell: Callable[[Any], list[Row]], module: str, config: Any) -> dict[str, Any]:
    """Run one cell in the process that the executor chose, and return the outcome.

    That is a dictionary of ``rows``, ``seconds`` and the environment in which it ``ran``; or, where
    the cell raised an error, of ``trouble``, the error as text, since the parent process may lack
    the error's class. `module` names the experiment's module, whose code is digested.
    """
    ran, start = environment(module), time.perf_counter()
    try:
        rows = [{str(name): _value(value) for name, value in row.items()} for row in cell(config)]
    except Exception as error:
        place = extract_tb(error.__traceback__)[-1]
        line = f"{place.filename}, line {place.lineno}"
        return {"trouble": f"{type(error).__name__}: {error} ({line})"}
    seconds = time.perf_counter() - start
    # Only now is PyTorch imported if the cell uses it, and can say how it rounds.
    return {"rows": rows, "seconds": seconds, "ran": ran | machine()}


def _value(value: Any) -> str | int | float:
    """A plain word or number, of whatever array library it was."""
    if isinstance(value, str):
        return str(value)
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, bool | int):
        return int(number)
    if isinstance(number, float):
        return float(number)
    message = f"a cell of a table is a word or a number, not {type(value).__name__}: {value!r}"
    raise TypeError(message)


def _fault(future: Future[Any]) -> str:
    """Why a future that is done holds no outcome of a cell; nothing where it holds one.

    `outcome` catches what a cell raises, so all else is the executor's: whatever object that is.
    Dask's executor, for one, hands on its own errors when a worker dies with a finished result.
    """
    if future.cancelled():
        return "the executor called it off"
    error: Any = future.exception()
    if isinstance(error, BrokenExecutor):
        return LOST
    if error is not None:
        return f"{type(error).__name__}: {error}"
    result = future.result()
    if isinstance(result, dict) and {"rows", "trouble"} & result.keys():
        return ""
    return f"the executor returned {result!r:.80}"


def _concluded(plan: Plan, *, allow_mixed: bool) -> str:
    """Write the table if all is there; the trouble in words, if there was one."""
    if plan.finished or plan.missing:
        return ""
    made_by = sorted(codes(plan))
    if len(made_by) > 1 and not allow_mixed:
        fact = f"{plan.experiment.name}: its source changed on the way ({', '.join(made_by)})"
        return f"{fact}: delete {plan.folder} to start anew, or --resume --allow-mixed"
    try:
        conclude(plan)
    except TableError as error:
        return f"{plan.experiment.name}: its rows make no table: {error}"
    return ""
