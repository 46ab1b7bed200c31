"""Cells run by any executor; what is finished is on the disk before the next is looked at."""

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from traceback import extract_tb
from typing import Any

from loratheory.experiments.engine._experiment import Plan, Row
from loratheory.experiments.engine._folder import conclude, keep
from loratheory.experiments.engine._provenance import environment
from loratheory.experiments.engine._table import TableError

GO_ON = "what was finished is kept: go on with --resume"
LOST = "worker died"
TRIES = 3
"""How many workers a cell is given to, one after another, when each is lost with it."""


class SweepError(RuntimeError):
    """Something went wrong on the way; what was finished is kept."""


def swept(
    plans: Sequence[Plan], executor: Executor, *, allow_mixed: bool = False
) -> Generator[tuple[Plan, str], None, None]:
    """Run what is missing; yield each cell once it is finished or has failed.

    A cell whose worker is lost is given to another, and a line in the plan's `lost` says so.

    Parameters
    ----------
    plans : sequence of Plan
        With their folders prepared.
    executor : Executor
        Processes, threads, or a cluster; the rows do not depend on which, nor on how many.
    allow_mixed : bool
        Whether cells made by different code may share a table.

    Yields
    ------
    plan : Plan
        Whose cell it was; its table is written when that was its last.
    key : str
        Which cell.

    Raises
    ------
    SweepError
        At the end, if cells failed, lost three workers each, or the executor broke; at once, if a
        cell cannot be written.
    """
    troubles: list[str] = []
    futures: dict[Future[Any], tuple[Plan, str, int]] = {}

    def _submit(plan: Plan, key: str, tries: int) -> None:
        work = plan.experiment.cell, plan.experiment.module, plan.cells[key]
        futures[executor.submit(outcome, *work)] = (plan, key, tries)

    try:
        troubles += filter(None, (_concluded(plan, allow_mixed=allow_mixed) for plan in plans))
        for plan, key in _longest_first(plans):
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
                else:
                    trouble = _kept(plan, key, future.result())
                trouble = trouble or _concluded(plan, allow_mixed=allow_mixed)
                if trouble:
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
    if LOST in troubles:
        message = f"a worker process died (killed, or out of memory): {GO_ON}"
        raise SweepError("\n".join([message, *(t for t in troubles if t != LOST)]))
    if troubles:
        head = f"{len(troubles)} failed; {GO_ON}, once that is mended"
        raise SweepError("\n".join([head, *troubles]))


def outcome(cell: Callable[[Any], list[Row]], module: str, config: Any) -> dict[str, Any]:
    """Run one cell, where the executor says.

    Parameters
    ----------
    cell : callable
        From a config to rows.
    module : str
        The experiment's, for the digest of its code.
    config : dataclass
        Its argument.

    Returns
    -------
    dict
        `rows`, `seconds` and the environment it `ran` in; or the `trouble` in words, which needs
        no class of the worker's to be read.
    """
    ran, start = environment(module), time.perf_counter()
    try:
        rows = [{str(name): _value(value) for name, value in row.items()} for row in cell(config)]
    except Exception as error:
        place = extract_tb(error.__traceback__)[-1]
        line = f"{place.filename}, line {place.lineno}"
        return {"trouble": f"{type(error).__name__}: {error} ({line})"}
    seconds = time.perf_counter() - start
    return {"rows": rows, "seconds": seconds, "ran": ran}


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


def _longest_first(plans: Sequence[Plan]) -> list[tuple[Plan, str]]:
    """What is missing, so ordered that no long cell is left for the end."""
    tasks = [(plan, key) for plan in plans for key in plan.missing]
    return sorted(tasks, key=lambda task: -task[0].minutes_a_cell)


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


def _kept(plan: Plan, key: str, result: dict[str, Any]) -> str:
    """Keep the rows of an outcome; the trouble in words, if there was one."""
    if "trouble" in result:
        return f"{plan.experiment.name}, {plan.cells[key]}: {result['trouble']}"
    keep(plan, key, result)
    return ""


def _concluded(plan: Plan, *, allow_mixed: bool) -> str:
    """Write the table if all is there; the trouble in words, if there was one."""
    if plan.finished or plan.missing:
        return ""
    codes = sorted({cell["ran"]["code"] for cell in plan.done.values()})
    if len(codes) > 1 and not allow_mixed:
        return (
            f"{plan.experiment.name}: its source changed on the way ({', '.join(codes)}): delete "
            f"{plan.folder} to start anew, or --resume --allow-mixed"
        )
    try:
        conclude(plan)
    except TableError as error:
        return f"{plan.experiment.name}: its rows make no table: {error}"
    return ""
