"""Chains of edited hops: the prompt, and closed forms of its margin, thresholds and window.

Patterns: ``A`` the entities that the old answers lead to keep their facts, ``B`` those were edited
too, ``C`` the base held no first fact, ``D`` no old facts at all (``thm:two-read-region``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.optimize import brentq

from loratheory.lowrank import Array, array_namespace
from loratheory.shapes import Float
from loratheory.theorems.merging.averaging_survival import Rule, coefficient
from loratheory.toy import Hop, branching

Pattern = Literal["A", "B", "C", "D"]


@dataclass(frozen=True, eq=False)
class Prompt:
    """A prompt whose every hop is edited: its key is ``keys[0][:, 0]``; entity 0 is on the path."""

    pattern: Pattern
    coefficients: tuple[float, ...]
    keys: tuple[Float[Array, "d _"], ...]
    values: tuple[Float[Array, "d _"], ...]

    @property
    def hops(self) -> list[Hop]:
        """The facts of each read; the last one writes one-hot tokens."""
        last = self.keys[-1]
        tokens = last.shape[1] + (last.shape[1] if self.pattern == "B" else 1)
        one_hot = array_namespace(last).eye(tokens, dtype=last.dtype, device=last.device)
        known = [self.pattern in "AB", *[self.pattern != "D"] * len(self.values)]
        each = zip(self.keys, (*self.values, one_hot), known, strict=True)
        return [branching(keys, frame, known=old) for keys, frame, old in each]


def logits(coefficients: Sequence[float], pattern: Pattern = "A") -> list[float]:
    """The logits of all end tokens: the target's, the 0 of untouched ones, the old paths'."""
    main, others = 1.0, [0.0]
    for hop, c in enumerate(coefficients):
        old = 0.0 if pattern == "D" or (pattern == "C" and hop == 0) else 1 - c
        if pattern == "B":
            others = [weight * part for weight in others for part in (c, 1 - c)]
        others.append(main * old)
        main *= c
    return [main, *others]


def margin(coefficients: Sequence[float], pattern: Pattern = "A") -> float:
    """The lead of the target over its best competitor: positive in the region, 0 on its border."""
    target, *others = logits(coefficients, pattern)
    return target - max(others)


def threshold(hops: int, pattern: Pattern = "A") -> float:
    r"""Return the common coefficient above which a chain of edited hops gives the new answer.

    Parameters
    ----------
    hops : int
        Edited hops in a row, at least 1.
    pattern : {"A", "B", "C", "D"}
        What else the base knew or lost.

    Returns
    -------
    float
        The root of :math:`c^K + c = 1` in A (one hop less in C), 1/2 in B, 0 in D.

    Raises
    ------
    ValueError
        If there is no hop.
    """
    if hops < 1:
        message = f"a chain of {hops} hops has no answer: give at least 1"
        raise ValueError(message)
    if pattern in ("B", "D"):
        return 0.5 if pattern == "B" else 0.0
    length = hops - (pattern == "C")
    return float(brentq(lambda c: c**length + c - 1, 0, 1, xtol=1e-300, rtol=2.0**-50))


def strength_needed(hops: int, adapters: int, pattern: Pattern = "A", rule: Rule = "mean") -> float:
    """The equal strength, 1 an exact replacement, that edits must exceed to compose merged."""
    return threshold(hops, pattern) / coefficient(adapters, rule)


def window(hops: int, adapters: int, pattern: Pattern = "A") -> tuple[float, float]:
    r"""Return the margins at which edits survive the mean of adapters but do not compose.

    Parameters
    ----------
    hops, adapters : int
        Length of the chain, number of adapters in the mean.
    pattern : {"A", "B", "C", "D"}
        What else the base knew or lost.

    Returns
    -------
    tuple of float
        Lowest and highest margin alone, in units of the deficit before the edit; equal where
        there is no window. Strength :math:`s` has margin :math:`2s - 1`, so two hops and two
        adapters give :math:`(1, 2\sqrt5 - 3)` in A.
    """
    low, high = strength_needed(1, adapters), strength_needed(hops, adapters, pattern)
    return 2 * low - 1, 2 * max(low, high) - 1
