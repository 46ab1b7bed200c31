"""Run theorems against random cases, rivals, adversaries and their own controls."""

import dataclasses
import functools
import importlib
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from loratheory.lowrank import Array, LowRank
from loratheory.theorems._theorem import AssumptionError, Control, Theorem, Verdict

ADVERSARY_EVERY = 20  # optimisers are costly: one case in this many meets one
DENSE = 128  # and works on dense matrices: none beyond this size


@dataclasses.dataclass(frozen=True)
class Report:
    """What `verify` found for one theorem.

    Attributes
    ----------
    cases : int
        Checked witnesses: constructions, rivals and adversaries.
    holds : bool
        Whether it behaved as its status says: no case broke it, or, for a refuted claim, the
        counterexample still does.
    tight : bool or None
        Whether the construction met the bound every time; None where there is no construction.
    worst_slack : float
        Smallest slack met, in units of the allowance for rounding and sampling: -1 or more holds.
    controls, controls_ok : int, bool
        How many controls ran, and whether each was refused and broke the conclusion.
    seconds : float
        Wall time.
    trouble : str
        The first finding against the theorem, with what reproduces it; empty if none. A witness
        of the theorem's own that its hypotheses refuse is one.
    part_of : str
        The label of the theorem whose clause it is; empty for others.
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
        """Whether nothing was found against it."""
        return self.holds and self.tight is not False and self.controls_ok


def moved(value: Any, convert: Callable[[Array], Array] | None) -> Any:
    """Apply `convert` to every array inside a case or witness, however nested."""
    if convert is None:
        return value
    if isinstance(value, LowRank):
        return value.map(convert)
    if isinstance(value, np.ndarray):
        return convert(value)
    if isinstance(value, tuple):
        return tuple(moved(item, convert) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(value, **{k: moved(v, convert) for k, v in fields.items()})
    return value


def refuted_by(theorem: Theorem[Any, Any], control: Control[Any, Any]) -> str:
    """Return why a control fails to do its work; empty if it does."""
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
    verdict = theorem.judge(case, witness)
    survives = verdict.holds if control.fails == "holds" else verdict.tight
    return f"control {control.name!r} does not break the conclusion" if survives else ""


def verify(
    theorem: Theorem[Any, Any],
    *,
    cases: int = 200,
    seed: int = 0,
    size: int = 8,
    convert: Callable[[Array], Array] | None = None,
) -> Report:
    """Check one theorem on random cases and run its controls.

    Parameters
    ----------
    theorem : Theorem
        One of ``loratheory.theorems.ALL``.
    cases : int
        How many witnesses to check at least; draws continue until there are so many.
    seed : int
        Together with the label it determines every draw, whatever else runs.
    size : int
        The largest dimension of the cases, about.
    convert : callable, optional
        Applied to each array of a case, e.g. ``torch.asarray``.

    Returns
    -------
    Report
        Deterministic but for `seconds`. Nothing is raised when a bound breaks.

    Examples
    --------
    >>> report = verify(lt.theorems.theorem("merge-floor"), cases=20)
    >>> report.ok, report.controls
    (True, 1)
    """
    start = time.perf_counter()
    refuted = theorem.status == "refuted"
    holds, tight, worst, count, trouble = True, True, np.inf, 0, ""
    for check in checks(theorem, cases=cases, seed=seed, size=size, convert=convert):
        count += 1
        where = f"{check.kind} of draw {check.number} (seed {seed})"
        if isinstance(check.verdict, AssumptionError):
            holds = False
            trouble = trouble or f"{where}: {check.verdict}"
            continue
        verdict, built = check.verdict, check.kind == "construction"
        tight &= refuted or not built or verdict.tight
        worst = min(worst, verdict.slack / verdict.room if verdict.room else verdict.slack)
        good = verdict.holds != refuted
        holds &= good
        if not trouble and not (good and (not built or tight)):
            trouble = f"{where}: {verdict}"
    failures = [why for control in theorem.controls if (why := refuted_by(theorem, control))]
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


@dataclasses.dataclass(frozen=True)
class Check:
    """One witness that was checked: of which draw, who made it, and the verdict or the refusal."""

    number: int
    kind: str
    scale: float
    verdict: Verdict | AssumptionError


def checks(
    theorem: Theorem[Any, Any],
    *,
    cases: int,
    seed: int,
    size: int = 8,
    convert: Callable[[Array], Array] | None = None,
) -> Iterator[Check]:
    """Draw cases and yield a verdict for each construction, rival and adversary; as `verify`."""
    rng = np.random.default_rng([seed, zlib.crc32(theorem.label.encode())])
    proved, count, number = theorem.status != "refuted", 0, 0
    while count < cases:
        drawn = theorem.draw(rng, size)
        case, witnesses = moved(drawn, convert), []
        if theorem.attain:
            witnesses.append(("construction", theorem.attain(case)))
        if theorem.rival and proved:
            witnesses.append(("rival", moved(theorem.rival(drawn, rng), convert)))
        if theorem.adversary and proved and size <= DENSE and number % ADVERSARY_EVERY == 0:
            witnesses.append(("adversary", moved(theorem.adversary(drawn, rng), convert)))
        for kind, witness in witnesses:
            try:
                verdict: Verdict | AssumptionError = theorem.check(case, witness)
            except AssumptionError as refusal:
                verdict = refusal
            yield Check(number, kind, theorem.scale(case), verdict)
        count, number = count + len(witnesses), number + 1


CHANGES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""The changes of a law that `sensitivity` tries, as shares of its constant or its exponent."""

TENTH = 0.1  # a change that a run should notice, or say why not
AT_SCALE = "each case is its own unit: an exponent has nothing to act on"


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """The smallest change of a law that `verify` would have noticed; None where it notices none.

    Attributes
    ----------
    constant_up, constant_down : float or None
        The bound made larger or smaller by this share.
    exponent_up, exponent_down : float or None
        The bound, in units of the case's scale, raised to a power larger or smaller by this share.
    reason : str
        Why not every change of a tenth is noticed; empty where all are, or where nobody knows.
    """

    label: str
    constant_up: float | None
    constant_down: float | None
    exponent_up: float | None
    exponent_down: float | None
    reason: str = ""

    @property
    def missed(self) -> bool:
        """Whether some change of a tenth goes unnoticed."""
        least = (self.constant_up, self.constant_down, self.exponent_up, self.exponent_down)
        return any(share is None or share > TENTH for share in least)


def sensitivity(
    theorem: Theorem[Any, Any], *, cases: int = 200, seed: int = 0, size: int = 8
) -> Sensitivity:
    """Change the law and see whether the witnesses of a default run still fit.

    Parameters
    ----------
    theorem : Theorem
        One of ``loratheory.theorems.ALL``, not a refuted one, whose law is a single example.
    cases, seed, size : int
        As for `verify`, whose draws these are.

    Returns
    -------
    Sensitivity
        From the numbers of one run: nothing is drawn again for a change.

    Raises
    ------
    ValueError
        If the theorem is a refuted claim.
    """
    if theorem.status == "refuted":
        message = f"{theorem.label} is refuted by one example, not by a law: verify it instead"
        raise ValueError(message)
    runs = [
        (each.kind, each.scale, each.verdict)
        for each in checks(theorem, cases=cases, seed=seed, size=size)
        if isinstance(each.verdict, Verdict)
    ]

    def _noticed(law: Callable[[float, float], float]) -> bool:
        for kind, scale, verdict in runs:
            gap = verdict.value - law(verdict.bound, scale)
            slack = {"lower": gap, "upper": -gap, "equal": -abs(gap)}[theorem.sense]
            changed = dataclasses.replace(verdict, slack=slack)
            if not changed.holds or (kind == "construction" and not changed.tight):
                return True
        return False

    def _least(law: Callable[[float, float, float], float], sign: int) -> float | None:
        changes = (sign * share for share in CHANGES)
        return next((abs(x) for x in changes if _noticed(functools.partial(law, x))), None)

    def _constant(x: float, bound: float, _: float) -> float:
        return bound * (1 + x)

    def _exponent(x: float, bound: float, scale: float) -> float:
        return bound * abs(bound / scale) ** x if bound and scale else bound

    found = Sensitivity(
        theorem.label,
        constant_up=_least(_constant, 1),
        constant_down=_least(_constant, -1),
        exponent_up=_least(_exponent, 1),
        exponent_down=_least(_exponent, -1),
    )
    at_scale = all(abs(verdict.bound) in (0.0, scale) for _, scale, verdict in runs)
    reason = theorem.unseen or (AT_SCALE if at_scale else "")
    return dataclasses.replace(found, reason=reason) if found.missed else found


def _verify_one(
    label: str, cases: int, seed: int, size: int, backend: str, sensitive: bool
) -> Report | Sensitivity:
    from loratheory.theorems import theorem

    if sensitive:
        return sensitivity(theorem(label), cases=cases, seed=seed, size=size)
    convert = None
    if backend != "numpy":
        convert = importlib.import_module(backend).asarray
    return verify(theorem(label), cases=cases, seed=seed, size=size, convert=convert)


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
    """Verify several theorems side by side, one process each, one BLAS thread a process.

    Parameters
    ----------
    labels : sequence of str
        Full labels, ``thm:…``.
    cases, seed, size : int
        As for `verify`: the reports do not depend on `workers`.
    backend : str
        A module whose ``asarray`` makes the arrays: ``numpy`` or ``torch``.
    workers : int
        How many processes; 0 for one a core, 1 for none beside this one.
    sensitive : bool
        Ask which changes of each law such a run notices, on NumPy, instead of its verdict.

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
