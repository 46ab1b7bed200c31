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


def check_number(row: Mapping[str, Any], mine: Any) -> str:
    """Return an empty text if a number is right; else raise `WrongError` with a hint.

    `row` holds the `answer`, the relative `tolerance`, a `hint`, and as `mistakes` wrong numbers
    with what leads to each.
    """
    value, answer = read_number(mine), row["answer"]
    if abs(value - answer) <= row.get("tolerance", NEAR) * abs(answer) + 1e-9:
        return ""
    for mistake, reason in row.get("mistakes", ()):
        require(abs(value - mistake) > NEAR * abs(mistake) + 1e-9, reason)
    far = "too large" if value > answer else "too small"
    message = f"{value:.4g} is {far}: {row['hint']}"
    raise WrongError(message)


def check_truth(row: Mapping[str, Any], mine: Any) -> str:
    """Return an empty text if True or False is right, else raise `WrongError`; 1 is not True."""
    is_truth = isinstance(mine, (bool, np.bool_))
    require(is_truth, f"True or False is asked for, not {describe(mine)}")
    require(bool(mine) == row["answer"], row["hint"])
    return ""


def read_number(mine: Any) -> float:
    """Return an answer, possibly symbolic, as a finite number; raise `WrongError` if it is none."""
    message = f"a number is asked for, and this is {describe(mine)}"
    require(not isinstance(mine, (str, bytes, bool, np.bool_)), message)
    try:
        value = float(mine)
    except (TypeError, ValueError):
        raise WrongError(message) from None
    require(bool(np.isfinite(value)), f"a finite number is asked for, and this is {value}")
    return value


def call(mine: Any, *arguments: Any) -> Any:
    """Call a reader's function and return its result; raise `UnansweredError` if that is None."""
    require(callable(mine), f"a function is asked for, and this is {describe(mine)}")
    found = mine(*arguments)
    if found is None:
        raise UnansweredError
    return found


def describe(value: Any) -> str:
    """Return in words what an answer of the wrong type is."""
    if callable(value):
        return "a function"
    words = {str: "text", bool: "a truth value"}
    named, shown = words.get(type(value), f"a {type(value).__name__}"), repr(value)
    return named if len(shown) > 40 else f"{named}, {shown}"


def read_array(value: Any, shape: tuple[int, ...], what: str) -> Array:
    """Return an answer as an array; raise `WrongError` unless it has this shape."""
    try:
        found = np.asarray(value.dense() if isinstance(value, LowRank) else value, dtype=float)
    except (TypeError, ValueError):
        message = f"{what} should be an array of numbers, and yours is {describe(value)}"
        raise WrongError(message) from None
    require(found.shape == shape, f"{what} has the shape {found.shape} instead of {shape}")
    require(bool(np.isfinite(found).all()), f"{what} has entries that are not finite")
    return found


def call_for_pair(mine: Any, *arguments: Any) -> Any:
    """Call a reader's function and return the two things that it should return."""
    found = call(mine, *arguments)
    require(isinstance(found, (tuple, list)) and len(found) == 2, "two are asked for")
    return found


def read_update(value: Any, shape: tuple[int, int], what: str = "your update") -> LowRank:
    """Return an answer as a factored update; a matrix is factored at its numerical rank."""
    if isinstance(value, LowRank):
        require(value.shape == shape, f"{what} has the shape {value.shape} instead of {shape}")
        return value
    low = from_dense(read_array(value, shape, what))
    return low.truncated(low.rank)


def check_bound(
    theorem: Theorem[Any, Any], pairs: Iterable[tuple[Any, Any]], near: float = 0.0
) -> str:
    """Check that each witness attains the bound of its case, up to the share `near` of it.

    `pairs` holds cases and witnesses. Returns what was reached; raises `WrongError` if a witness
    misses the bound and `AssumptionError` if a hypothesis fails.
    """
    reached = ""
    for case, witness in pairs:
        verdict = theorem.check(case, witness)
        close = abs(verdict.slack) <= max(near, 1e-6) * abs(verdict.bound) + verdict.room
        reached = f"you reach {verdict.value:.4g}"
        require(close, f"{reached} where {verdict.bound:.4g} can be reached")
        reached += f" of {verdict.bound:.4g}"
    return f"on the last case {reached}"


def check_broken(theorem: Theorem[Any, Any], case: Any, witness: Any, only: str = "") -> str:
    """Return in words what hypotheses a counterexample breaks; raise `WrongError` if none.

    With `only`, the counterexample must break this hypothesis and no other.
    """
    broken = [each.text for each in theorem.assumptions if not each.holds(case, witness)]
    verdict = theorem.judge(case, witness)
    numbers = f"the bound says {verdict.bound:.4g} and you have {verdict.value:.4g}"
    require(bool(np.isfinite(verdict.value)), f"{numbers}, which is no finite number")
    require(bool(broken), f"every hypothesis of {theorem.label} still holds: {numbers}")
    named = " and ".join(map("“{}”".format, broken))
    require(not verdict.holds, f"you broke {named}, but the conclusion still holds: {numbers}")
    if only:
        require(broken == [only], f"you broke {named}; break “{only}”, and that alone")
    return f"{numbers}, because you broke {named}"
