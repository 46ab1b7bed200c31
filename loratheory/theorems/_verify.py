"""Check theorems on random cases with constructions, rivals, adversaries and controls.

An adversary is a numerical optimiser that shares no code with the bound or the construction. It is
the function `adversary` of the theorem's own module, as in ``merging/minimax_merge.py``.
"""

import dataclasses
import functools
import importlib
import math
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from operator import attrgetter
from typing import Any

import numpy as np

from loratheory.lowrank import Array, LowRank
from loratheory.theorems._theorem import AssumptionError, Control, Theorem, Verdict
from loratheory.theorems.registry import find_theorem

ADVERSARY_EVERY = 20  # optimisers are costly: one case in this many meets one
DENSE = 128  # and works on dense matrices: none beyond this size


@dataclasses.dataclass(frozen=True, repr=False)
class Report:
    """What `verify` found for one theorem.

    Attributes
    ----------
    label, status, part_of : str
        Taken from the theorem.
    cases : int
        How many witnesses were checked: constructions, rivals and adversaries together.
    holds : bool
        Whether every witness agreed with the theorem's status: none violated the bound, or, for a
        refuted claim, each counterexample did.
    tight : bool or None
        Whether every construction attained the bound; None where there is no construction.
    worst_slack : float
        The smallest slack, in units of `Verdict.room`; the bound held where it is -1 or more.
    controls : int
        How many controls ran.
    controls_ok : bool
        Whether each control violated its hypothesis and, with it, the conclusion.
    seconds : float
        Wall time.
    trouble : str
        The first failure, with the draw and seed that reproduce it; empty if there was none. It
        is also a failure if a witness that the theorem built violates a hypothesis.
    """

    label: str
    status: str
    cases: int
    holds: bool
    tight: bool | None
    worst_slack: float
    controls: int
    controls_ok: bool
    seconds: float
    trouble: str = ""
    part_of: str = ""

    @property
    def ok(self) -> bool:
        """Whether bound, tightness and controls all passed."""
        return self.holds and self.tight is not False and self.controls_ok

    def __repr__(self) -> str:
        found = "as stated" if self.ok else f"NOT AS STATED ({self.trouble})"
        return f"<{self.label}: {found}; cases: {self.cases}, controls: {self.controls}>"


def convert_arrays(value: Any, convert: Callable[[Array], Array] | None) -> Any:
    """Return a case or witness with `convert` applied to every array in it, however nested."""
    if convert is None:
        return value
    if isinstance(value, LowRank):
        return value.map(convert)
    if isinstance(value, np.ndarray):
        return convert(value)
    if isinstance(value, tuple):
        return tuple(convert_arrays(item, convert) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for field in dataclasses.fields(value):
            changed[field.name] = convert_arrays(getattr(value, field.name), convert)
        return dataclasses.replace(value, **changed)
    return value


@dataclasses.dataclass(frozen=True)
class Check:
    """One checked witness: number of its draw, its kind, its case, and the outcome.

    The `kind` is ``construction``, ``rival`` or ``adversary``; `verdict` is an `AssumptionError`
    where the witness violated a hypothesis.
    """

    number: int
    kind: str
    case: Any
    verdict: Verdict | AssumptionError


def check_cases(
    theorem: Theorem[Any, Any],
    *,
    cases: int,
    seed: int,
    size: int = 8,
    convert: Callable[[Array], Array] | None = None,
) -> Iterator[Check]:
    """Draw the cases of `verify` and yield a check of each construction, rival and adversary."""
    rng = np.random.default_rng([seed, zlib.crc32(theorem.label.encode())])
    proved, count, number = theorem.status != "refuted", 0, 0
    while count < cases:
        # rivals and adversaries work on NumPy arrays and are converted afterwards
        drawn = theorem.draw(rng, size)
        case, witnesses = convert_arrays(drawn, convert), []
        if theorem.attain:
            witnesses.append(("construction", theorem.attain(case)))
        if theorem.rival and proved:
            witnesses.append(("rival", convert_arrays(theorem.rival(drawn, rng), convert)))
        if theorem.adversary and proved and size <= DENSE and number % ADVERSARY_EVERY == 0:
            witnesses.append(("adversary", convert_arrays(theorem.adversary(drawn, rng), convert)))
        for kind, witness in witnesses:
            try:
                verdict: Verdict | AssumptionError = theorem.check(case, witness)
            except AssumptionError as refusal:
                verdict = refusal
            yield Check(number, kind, case, verdict)
        count, number = count + len(witnesses), number + 1


def examine_control(theorem: Theorem[Any, Any], control: Control[Any, Any]) -> str:
    """Return what is wrong with a control in words; empty if it breaks what it should break."""
    case, witness = control.example()
    try:
        theorem.check(case, witness)
    except AssumptionError as refusal:
        if control.breaks not in str(refusal):
            return f"control {control.name!r} is refused for another reason: {refusal}"
    else:
        failing = [a.text for a in theorem.assumptions if not a.holds(case, witness)]
        if control.breaks not in failing:
            return f"control {control.name!r} is not refused"
        if not theorem.judge(case, witness).holds:
            return f"control {control.name!r} breaks a bound that should stand without it"
    # the hypothesis is broken: now the conclusion must be, too
    verdict = theorem.judge(case, witness)
    if math.isnan(verdict.slack):
        return f"control {control.name!r} gives no number"
    survives = verdict.holds if control.fails == "holds" else verdict.tight
    return f"control {control.name!r} does not break the conclusion" if survives else ""


def verify(
    theorem: str | Theorem[Any, Any],
    *,
    cases: int = 200,
    seed: int = 0,
    size: int = 8,
    convert: Callable[[Array], Array] | None = None,
) -> Report:
    """Check one theorem on random cases and run its controls.

    Parameters
    ----------
    theorem : str or Theorem
        A theorem, lemma or clause, or its label.
    cases : int
        The least number of witnesses to check; cases are drawn until that many were.
    seed : int
        Seed of the draws, which depend on it and on the theorem's label alone.
    size : int
        The approximate largest dimension of the cases.
    convert : callable, optional
        Applied to each array of a case, for example ``torch.asarray``.

    Returns
    -------
    Report
        The same in every run, except `seconds`. No error is raised where a bound is violated;
        `ValueError` if `cases` is below 1.

    Examples
    --------
    >>> verify("merge-floor", cases=20)
    <thm:merge-floor: as stated; cases: 21, controls: 1>
    """
    start, theorem = time.perf_counter(), find_theorem(theorem)
    if cases < 1:
        message = f"cases is {cases}, which checks nothing: give 1 or more"
        raise ValueError(message)
    # a refuted claim is shown by its counterexample: rivals prove nothing
    refuted = theorem.status == "refuted"
    holds, tight, worst, count, trouble = True, True, np.inf, 0, ""
    for check in check_cases(theorem, cases=cases, seed=seed, size=size, convert=convert):
        count += 1
        where = f"{check.kind} of draw {check.number} (seed {seed})"
        if isinstance(check.verdict, AssumptionError):
            holds = False
            trouble = trouble or f"{where}: {check.verdict}"
            continue
        verdict = check.verdict
        good = verdict.holds != refuted and not math.isnan(verdict.slack)
        # only constructions promise to meet the bound
        met = refuted or check.kind != "construction" or verdict.tight
        holds, tight = holds and good, tight and met
        # slack in units of what rounding and sampling may explain
        worst = min(worst, verdict.slack / verdict.room if verdict.room else verdict.slack)
        if not (good and met):
            trouble = trouble or f"{where}: {verdict}"
    failures = list(filter(None, (examine_control(theorem, each) for each in theorem.controls)))
    return Report(
        label=theorem.label,
        status=theorem.status,
        cases=count,
        holds=holds,
        tight=tight if theorem.attain and not refuted else None,
        worst_slack=float(worst),
        controls=len(theorem.controls),
        controls_ok=not failures,
        seconds=time.perf_counter() - start,
        trouble=trouble or "; ".join(failures),
        part_of=theorem.part_of,
    )


CHANGES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""The relative changes of a law's constant or exponent that `sensitivity` tries."""

Changes = tuple[float | None, float | None, float | None, float | None]
TENTH = 0.1  # a change that a run should notice, or say why not
AT_SCALE = "each case is its own unit: an exponent has nothing to act on"


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """The smallest of `CHANGES` to a law that `verify` would notice; None where it notices none.

    Attributes
    ----------
    label : str
        The theorem's label.
    constant_up, constant_down : float or None
        Relative increase and decrease of the bound.
    exponent_up, exponent_down : float or None
        Relative change of the exponent: the bound, over the case's scale, is raised to ``1 ± x``.
    reason : str
        Why some change of a tenth goes unnoticed; empty where none does or no reason is known.
    branch : str
        The branch of the law that these numbers are of; empty where it has but one.
    """

    label: str
    constant_up: float | None
    constant_down: float | None
    exponent_up: float | None
    exponent_down: float | None
    reason: str = ""
    branch: str = ""

    @property
    def missed(self) -> bool:
        """Whether some change of the law by a tenth or less goes unnoticed."""
        return self.changes[0] > TENTH

    @property
    def changes(self) -> list[float]:
        """The four changes from the largest down, ``inf`` for one that goes unnoticed."""
        found = (self.constant_up, self.constant_down, self.exponent_up, self.exponent_down)
        shares = [np.inf if share is None else share for share in found]
        # in a branch that is its own unit an exponent is nothing to notice
        own = self.reason == AT_SCALE and self.branch
        return sorted(shares[:2] if own else shares, reverse=True)


def least_changes(sense: str, rows: Array) -> Changes:
    """Return the least noticed increase and decrease of a law's constant, then of its exponent.

    A row has the bound and the value of a witness, the room for rounding, the case's scale, and
    whether it is a construction, which promises to meet the bound.
    """
    bounds, values, rooms, units, promised = rows.T
    # a bound of 0 has no power to change
    ratios = np.ones_like(bounds)
    np.divide(abs(bounds), units, out=ratios, where=(bounds != 0) & (units != 0))

    def _would_notice(law: Array) -> bool:
        # the same witnesses against a law that is a little different
        gap = values - law
        slack = {"lower": gap, "upper": -gap, "equal": -abs(gap)}[sense]
        # what is no number keeps no promise
        missed = (promised == 1) & ~(abs(slack) <= rooms)
        return bool(np.any(~(slack >= -rooms) | missed))

    def _least(exponent: bool, sign: int) -> float | None:
        for share in CHANGES:
            # an exponent acts on the bound in units of the case
            powers = ratios ** (sign * share) if exponent else 1 + sign * share
            if _would_notice(bounds * powers):
                return share
        return None

    with np.errstate(invalid="ignore", over="ignore"):
        return _least(False, 1), _least(False, -1), _least(True, 1), _least(True, -1)


def sensitivity(
    theorem: Theorem[Any, Any], *, cases: int = 200, seed: int = 0, size: int = 8
) -> Sensitivity:
    """Return how wrong a theorem's law would have to be for `verify` to notice it.

    Parameters
    ----------
    theorem : Theorem
        A theorem, lemma or clause that is not a refuted claim.
    cases, seed, size : int
        Number of witnesses, seed and approximate size of the draws, which are those of `verify`.

    Returns
    -------
    Sensitivity
        That of the branch of the law at which `verify` would notice least. Every change is compared
        with the witnesses of the same single run.

    Raises
    ------
    ValueError
        If the theorem is a refuted claim.
    """
    if theorem.status == "refuted":
        message = f"{theorem.label} is refuted by one example, not by a law: verify it instead"
        raise ValueError(message)
    branches: dict[str, list[tuple[float, ...]]] = {}
    for each in check_cases(theorem, cases=cases, seed=seed, size=size):
        if isinstance(verdict := each.verdict, Verdict):
            row = (verdict.bound, verdict.value, verdict.room, theorem.scale(each.case))
            rows = branches.setdefault(theorem.branch(each.case), [])
            rows.append((*row, float(each.kind == "construction")))
    found = []
    for name, rows in branches.items() or [("", [])]:
        table = np.array(rows).reshape(-1, 5)
        bounds, units = abs(table[:, 0]), table[:, 3]
        # a branch that says 0 has nothing that could be changed
        if np.any(bounds) or len(branches) <= 1:
            at_scale = bool(np.all((bounds == 0) | (bounds == units)))
            reason = theorem.unseen or (AT_SCALE if at_scale else "")
            changes = least_changes(theorem.sense, table)
            found.append(Sensitivity(theorem.label, *changes, reason, name))
    worst = max(found, key=attrgetter("changes"))
    return worst if worst.missed else dataclasses.replace(worst, reason="")


def _verify_one(
    label: str, cases: int, seed: int, size: int, backend: str, sensitive: bool
) -> Report | Sensitivity:
    if sensitive:
        return sensitivity(find_theorem(label), cases=cases, seed=seed, size=size)
    # a spawned process gets the name of the library, as functions do not travel
    convert = None if backend == "numpy" else importlib.import_module(backend).asarray
    return verify(label, cases=cases, seed=seed, size=size, convert=convert)


def verify_all(
    labels: Sequence[str],
    *,
    cases: int = 200,
    seed: int = 0,
    size: int = 8,
    backend: str = "numpy",
    workers: int = 0,
    sensitive: bool = False,
) -> Iterator[Report | Sensitivity]:
    """Verify several theorems in parallel processes, each with one BLAS thread.

    Parameters
    ----------
    labels : sequence of str
        Full labels, ``thm:…``.
    cases, seed, size : int
        Passed to `verify`; the reports do not depend on `workers`.
    backend : str
        A module whose ``asarray`` makes the arrays: ``numpy`` or ``torch``.
    workers : int
        Number of processes; 0 for one per core, 1 to run in this process.
    sensitive : bool
        Yield the `sensitivity` of each theorem, computed in NumPy, instead of its report.

    Yields
    ------
    Report or Sensitivity
        In the order of `labels`.
    """
    workers = min(workers or os.cpu_count() or 1, len(labels))
    one = functools.partial(
        _verify_one, cases=cases, seed=seed, size=size, backend=backend, sensitive=sensitive
    )
    if workers <= 1:
        yield from map(one, labels)
        return
    # one BLAS thread a process: many small matrices
    threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    os.environ.update(dict.fromkeys(threads, "1"))  # read by the children when they start
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(one, labels)
    finally:
        for name, value in threads.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
