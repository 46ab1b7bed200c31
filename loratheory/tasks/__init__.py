"""Data from a seed, in which every fact, edit and answer is known; and how requests are refused."""


class ImpossibleError(ValueError):
    """No data set can be what was asked for; the message says why and what could be."""


class LeakError(ValueError):
    """A set that was claimed disjoint from another is not; the message names what they share."""


def impossible(fact: str, remedy: str) -> ImpossibleError:
    """The error for a request that cannot be met."""
    return ImpossibleError(f"{fact}; {remedy}")


def within(name: str, value: int, least: int, most: int | None = None) -> None:
    """Refuse a count below `least` or above `most`."""
    if value < least or (most is not None and value > most):
        bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
        fact = f"{name} is {value}"
        raise impossible(fact, f"ask for a number {bounds}")


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not among the allowed ones."""
    if value not in allowed:
        fact = f"{name} is {value!r}"
        raise impossible(fact, f"choose one of {', '.join(allowed)}")
