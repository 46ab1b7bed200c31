"""Synthetic data sets, drawn from a seed so that every fact and answer is known; their error."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NoReturn


class ImpossibleError(ValueError):
    """No data set can meet the request; the message gives the reason and a remedy."""


def refuse(fact: str, remedy: str) -> NoReturn:
    """Raise `ImpossibleError` for a request that cannot be met."""
    message = f"{fact}; {remedy}"
    raise ImpossibleError(message)


def within(name: str, value: int, least: int, most: int | None = None) -> None:
    """Raise `ImpossibleError` if a count is below `least` or above `most`."""
    if value < least or (most is not None and value > most):
        bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
        refuse(f"{name} is {value}", f"ask for a number {bounds}")


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise `ImpossibleError` if a word is not among the allowed words."""
    if value not in allowed:
        refuse(f"{name} is {value!r}", f"choose one of {', '.join(allowed)}")


@cache
def read_wordings(task: str) -> dict[str, Any]:
    """Return the prompt templates of ``templates/TASK.toml``, which explains each key."""
    file = Path(__file__).with_name("templates") / f"{task}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))
