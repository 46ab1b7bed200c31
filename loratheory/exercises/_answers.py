"""Checks of answers, which say in words what is wrong with an answer."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from loratheory.lowrank import Array, LowRank, from_dense
from loratheory.theorems import Theorem

# A function that takes an answer and returns what it reached, or raises if it is not right.
Exercise = Callable[[Any], str]
# an answer within one part in a hundred is right
NEAR = 0.01


class Judgement(str):
    """The text that `judge` returns; a notebook shows it without quotation marks."""

    __slots__ = ()
    __repr__ = str.__str__


class WrongError(ValueError):
    """An answer is wrong; the message completes the sentence "not yet, because …"."""


class UnansweredError(ValueError):
    """There is no answer yet."""


def require(right: bool, reason: str) -> None:
    """Raise `WrongError` with this reason unless `right`."""
    if not right:
        raise WrongError(reason)


def check_value(row: Mapping[str, Any], mine: Any) -> str:
    """Return an empty text if a number or a truth value is right; else raise `WrongError`.

    `row` holds the `answer`, the relative `tolerance`, a `hint`, and as `mistakes` wrong numbers
    with what leads to each.
    """
    answer, hint = row["answer"], row["hint"]
    if isinstance(answer, bool):
        # 1 is not True
        is_truth = isinstance(mine, (bool, np.bool_))
        require(is_truth, f"True or False is asked for, not a {type(mine).__name__}")
        require(bool(mine) == answer, hint)
        return ""
    value = read_number(mine)
    if abs(value - answer) <= row.get("tolerance", NEAR) * abs(answer) + 1e-9:
        return ""
    for mistake, reason in row.get("mistakes", ()):
        require(abs(value - mistake) > NEAR * abs(mistake) + 1e-9, reason)
    far = "too large" if value > answer else "too small"
    message = f"{value:.4g} is {far}: {hint}"
    raise WrongError(message)


def read_number(mine: Any) -> float:
    """Return an answer, possibly symbolic, as a finite number; raise `WrongError` if it is none."""
    message = f"a number is asked for, and this is a {type(mine).__name__}"
    require(not isinstance(mine, (str, bytes, bool, np.bool_)), message)
    try:
        value = float(mine)
    except (TypeError, ValueError):
        raise WrongError(message) from None
    require(bool(np.isfinite(value)), f"a finite number is asked for, and this is {value}")
    return value


def call(mine: Any, *arguments: Any) -> Any:
    """Call a reader's function and return its result; raise `UnansweredError` if that is None."""
    require(callable(mine), f"a function is asked for, and this is a {type(mine).__name__}")
    found = mine(*arguments)
    if found is None:
        raise UnansweredError
    return found


def read_array(value: Any, shape: tuple[int, ...], what: str = "your answer") -> Array:
    """Return an answer as an array; raise `WrongError` unless it has this shape."""
    try:
        found = np.asarray(value.dense() if isinstance(value, LowRank) else value, dtype=float)
    except (TypeError, ValueError):
        message = f"{what} should be an array of numbers, and yours is a {type(value).__name__}"
        raise WrongError(message) from None
    require(found.shape == shape, f"{what} has the shape {found.shape} instead of {shape}")
    require(bool(np.isfinite(found).all()), f"{what} has entries that are not finite")
    return found


def call_for_pair(mine: Any, *arguments: Any) -> Any:
    """Call a reader's function and return the two things that it should return."""
    found = call(mine, *arguments)
    require(isinstance(found, (tuple, list)) and len(found) == 2, "two are asked for")
    return found


def read_update(value: Any, shape: tuple[int, int]) -> LowRank:
    """Return an answer as a factored update; a matrix is factored at its numerical rank."""
    if isinstance(value, LowRank):
        require(value.shape == shape, f"your update has the shape {value.shape}, not {shape}")
        return value
    low = from_dense(read_array(value, shape, "your update"))
    return low.truncated(low.rank)


def check_bound(
    theorem: Theorem[Any, Any],
    give: Callable[[Any], Iterable[tuple[Any, Any]]],
    mine: Any,
    near: float,
) -> str:
    """Check that each witness attains the bound of its case, up to the share `near` of it.

    ``give(mine)`` holds cases and witnesses. Returns what was reached; raises `WrongError` if a
    witness misses the bound and `AssumptionError` if a hypothesis fails.
    """
    reached = ""
    for case, witness in give(mine):
        verdict = theorem.check(case, witness)
        close = abs(verdict.slack) <= max(near, 1e-6) * abs(verdict.bound) + verdict.room
        reached = f"you reach {verdict.value:.4g}"
        require(close, f"{reached} where {verdict.bound:.4g} can be reached")
        reached += f" of {verdict.bound:.4g}"
    return f"on the last case {reached}"
