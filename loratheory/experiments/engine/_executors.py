"""Where cells run: processes of this machine, or a Dask cluster."""

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from loratheory.experiments.engine._experiment import ExperimentError

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


@contextmanager
def processes(workers: int = 0) -> Iterator[Executor]:
    """Fresh processes of one thread each: none outlives this process, whatever ends it.

    Parameters
    ----------
    workers : int
        How many; 0 for one a core.

    Yields
    ------
    Executor
        Numerical libraries start in its processes with one thread.
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
    """The cores that this process may use."""
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
    """The workers of a Dask scheduler; a cell of one that is lost goes to another.

    Parameters
    ----------
    address : str
        The scheduler's, such as ``tcp://127.0.0.1:8786``.
    patience : float or int
        How many seconds to wait for its answer.

    Yields
    ------
    Executor
        Its workers import loratheory, and each experiment's module, by themselves; start them
        with ``--nthreads 1``, as cells expect a process to themselves.

    Raises
    ------
    ExperimentError
        If no scheduler answers there.
    """
    from distributed import Client

    try:
        _reach(address, patience)  # a client that finds nobody complains again when it is freed
        client = Client(address, timeout=patience, set_as_default=False)
    except (OSError, ValueError) as error:
        message = (
            f"no Dask scheduler answers at {address} ({error}): start one with `dask scheduler`, "
            "workers with `dask worker ADDRESS`"
        )
        raise ExperimentError(message) from None
    with client:
        yield client.get_executor(pure=False)
