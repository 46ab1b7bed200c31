"""The skills: what one step makes of its operands, in whole numbers or modulo a prime.

========  ===========================  ==================================
skill     operands                     result
========  ===========================  ==================================
add       two quantities, or one and   x + y
          a number
subtract  likewise                     x − y
multiply  a quantity and a number      x · y
divide    a quantity and a number      x ÷ y, exact
compare   two quantities               by how much they differ, abs(x − y)
rate      a quantity and two numbers   x ÷ y · z: z for every y of x
percent   a quantity and a number      x · y ÷ 100
========  ===========================  ==================================
"""

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks._error import impossible

SKILLS = ("add", "subtract", "multiply", "divide", "compare", "rate", "percent")
ABSENT, GIVEN = -1, 0
FORMS = {
    "add": ((2, 0), (1, 1)),
    "subtract": ((2, 0), (1, 1)),
    "multiply": ((1, 1),),
    "divide": ((1, 1),),
    "compare": ((2, 0),),
    "rate": ((1, 2),),
    "percent": ((1, 1),),
}
"""Quantities and numbers that a step of each skill takes."""

SYMMETRIC = ("add", "compare")
"""Skills that do not ask which of two quantities comes first."""

PRIMES = (0, 2, 3, 5, 7, 11, 13)
"""0 stands for positive whole numbers."""

LARGEST = 9999
FAULTS = (
    "none",
    "nothing or less is left",
    "not a whole number",
    "no difference to speak of",
    f"more than {LARGEST}",
    "division by zero modulo the prime",
    "a factor of zero forgets the quantity",
    "a ratio that is not in lowest terms",
)
Numbers = Int64[np.ndarray, " n"]


def code(skill: str) -> int:
    """The number of a skill in arrays; 0 is a given quantity, -1 the absence of one."""
    return SKILLS.index(skill) + 1


def possible(prime: int) -> tuple[str, ...]:
    """The skills that go with a prime: all, but for percent where 100 is 0."""
    return tuple(skill for skill in SKILLS if skill != "percent" or prime not in (2, 5))


def known_skills(skills: tuple[str, ...], prime: int) -> None:
    """Refuse skills and primes that are unknown or do not go together."""
    unknown = [skill for skill in skills if skill not in SKILLS]
    if unknown or not skills:
        fact = (
            f"unknown skills: {', '.join(map(repr, unknown))}" if unknown else "no skill is named"
        )
        raise impossible(fact, f"choose from {', '.join(SKILLS)}")
    if prime not in PRIMES:
        fact = f"numbers modulo {prime} are asked for"
        raise impossible(fact, f"choose a prime of {PRIMES[1:]}, or 0 for positive whole numbers")
    if "percent" in skills and prime in (2, 5):
        fact = f"100 is 0 modulo {prime}, so nothing can be a percentage"
        raise impossible(fact, "leave percent out, or choose 3, 7, 11 or 13")


def applied(
    skills: Numbers, x: Numbers, y: Numbers, z: Numbers, prime: int
) -> tuple[Numbers, Numbers]:
    """Return what a step of each row's skill makes of its operands, and what is wrong with it.

    Parameters
    ----------
    skills : (n,) array of int
        Codes of skills.
    x, y, z : (n,) arrays of int
        Operands in the order of the table; what a skill does not take is not read.
    prime : int
        Of `PRIMES`.

    Returns
    -------
    two (n,) arrays of int
        Results, and numbers of `FAULTS`; a result with a fault means nothing.
    """
    result, fault = np.zeros_like(x), np.zeros_like(x)
    step = _modular if prime else _whole
    for number, skill in enumerate(SKILLS, start=1):
        rows = np.flatnonzero(skills == number)
        if len(rows):
            result[rows], fault[rows] = step(skill, x[rows], y[rows], z[rows], prime)
    return result, fault


def _whole(skill: str, x: Numbers, y: Numbers, z: Numbers, _: int) -> tuple[Numbers, Numbers | int]:
    if skill == "add":
        found, fault = x + y, 0 * x
    elif skill == "subtract":
        found, fault = x - y, 1 * (x <= y)
    elif skill == "multiply":
        found, fault = x * y, 0 * x
    elif skill == "compare":
        found, fault = abs(x - y), 3 * (x == y)
    else:
        times, parts = {"divide": (x, y), "rate": (x, y), "percent": (x * y, 100 + 0 * y)}[skill]
        found, fault = times // parts, 2 * (times % parts != 0)
        if skill == "rate":
            found = found * z
            fault = np.where((fault == 0) & (np.gcd(y, z) > 1), 7, fault)
    return found, np.where((fault == 0) & (found > LARGEST), 4, fault)


def _modular(
    skill: str, x: Numbers, y: Numbers, z: Numbers, prime: int
) -> tuple[Numbers, Numbers | int]:
    if skill == "add":
        return (x + y) % prime, 0
    if skill == "subtract":
        return (x - y) % prime, 0
    if skill == "compare":
        return abs(x - y), 0
    inverse = np.array([pow(k, -1, prime) if k else 0 for k in range(prime)])
    if skill == "divide":
        return x * inverse[y] % prime, 5 * (y == 0)
    if skill == "rate":
        return x * inverse[y] * z % prime, np.where(y == 0, 5, 6 * (z == 0))
    share = inverse[100 % prime] if skill == "percent" else 1
    return x * y * share % prime, 6 * (y == 0)


def proposed(skills: Numbers, prime: int, *, rng: np.random.Generator) -> Int64[np.ndarray, "n 2"]:
    """Return numbers for steps of these skills, drawn without a look at the quantities.

    Parameters
    ----------
    skills : (n,) array of int
        Codes of skills, 0 for given quantities.
    prime : int
        Of `PRIMES`.
    rng : Generator
        Draws uniformly from what may be said: given quantities up to 120, differences up to 20,
        factors up to 9, shares that are multiples of 5 percent; modulo a prime, anything.

    Returns
    -------
    (n, 2) array of int
        The second column is for rates, "z for every y", where it differs from the first.
    """
    if prime:
        return rng.integers(prime, size=(len(skills), 2))
    least = np.array([2, 1, 1, 2, 2, 0, 2, 1])[skills]
    above = np.array([121, 21, 21, 10, 10, 1, 10, 20])[skills]
    first = rng.integers(least, above)
    second = rng.integers(1, 9, size=len(skills))
    first = np.where(skills == code("percent"), 5 * first, first)
    return np.stack([first, second + (second >= first)], axis=1)
