"""Read the claims of ``make reproduce`` from claims.toml, and judge them by the steps' numbers."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Section:
    """The result of a step: a table and figures for the page, and the numbers that claims name."""

    rows: tuple[tuple[Any, ...], ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    figures: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A sentence that is confirmed if a step's number lies from `at_least` to `at_most`."""

    statement: str
    place: str
    evidence: str
    step: str
    number: str
    unit: str
    look_at: str
    at_least: float = -math.inf
    at_most: float = math.inf

    @property
    def margin(self) -> str:
        """Return the margin in words."""
        bounds = (("at least", self.at_least), ("at most", self.at_most))
        words = [f"{word} {bound:g}" for word, bound in bounds if math.isfinite(bound)]
        return f"{' and '.join(words)} {self.unit}"


@dataclass(frozen=True)
class Verdict:
    """A claim with its measured number, or with the `trouble` of its step."""

    claim: Claim
    number: float = math.nan
    trouble: str = ""

    @property
    def confirmed(self) -> bool:
        """Whether there is a number and it lies within the margin."""
        return self.claim.at_least <= self.number <= self.claim.at_most

    @property
    def measured(self) -> str:
        """Return the number, or the trouble."""
        return self.trouble or f"{self.number:.4g}"

    def __str__(self) -> str:
        """Return the verdict in one line."""
        line = f"{self.claim.statement} Measured {self.measured}, needed {self.claim.margin}."
        if self.confirmed:
            return f"confirmed      {line}"
        return f"NOT CONFIRMED  {line} Look at {self.claim.look_at}."


def read_claims() -> tuple[list[Claim], dict[str, Any]]:
    """Return all claims, and each step's description and table columns by name."""
    content = tomllib.loads(Path(__file__).with_name("claims.toml").read_text(encoding="utf-8"))
    return [Claim(**row) for row in content["claims"]], content["steps"]


def judge(claims: Sequence[Claim], found: Mapping[str, Section | str]) -> list[Verdict]:
    """Return a verdict on each claim; `found` has the error of a failed step."""
    verdicts = []
    for claim in claims:
        measured = found[claim.step]
        failed = isinstance(measured, str)
        number = math.nan if failed else measured.values[claim.number]
        verdicts.append(Verdict(claim, number, measured if failed else ""))
    return verdicts
