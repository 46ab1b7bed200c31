"""Synthetic data drawn from a seed, so that every fact and answer is known; and their errors."""


class ImpossibleError(ValueError):
    """No data set can meet the request; the message says why, and what can be asked for instead."""


class LeakError(ValueError):
    """Two sets that were claimed to be disjoint are not; the message names what they share."""


def impossible(fact: str, remedy: str) -> ImpossibleError:
    """Return the error for a request that cannot be met."""
    return ImpossibleError(f"{fact}; {remedy}")


def within(name: str, value: int, least: int, most: int | None = None) -> None:
    """Raise `ImpossibleError` if a count is below `least` or above `most`."""
    if value < least or (most is not None and value > most):
        bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
        fact = f"{name} is {value}"
        raise impossible(fact, f"ask for a number {bounds}")


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise `ImpossibleError` if a word is not among the allowed ones."""
    if value not in allowed:
        fact = f"{name} is {value!r}"
        raise impossible(fact, f"choose one of {', '.join(allowed)}")
