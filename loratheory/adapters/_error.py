"""The one error of adapter files: fact, value and remedy in one paragraph."""

from pathlib import Path


class AdapterError(ValueError):
    """An adapter cannot be read, written or combined as asked; the message says why."""


def shown(value: object, limit: int = 120) -> str:
    """A value as it may stand in a message: escaped, on one line, shortened."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 20]}… ({len(text)} characters)"


def refusal(place: str | Path, fact: str, remedy: str) -> AdapterError:
    """The error for `place` (a file, folder or module): what is wrong there and what to do."""
    text = f"{place}: {fact}; {remedy}"
    return AdapterError("".join(mark if mark.isprintable() else " " for mark in text))
