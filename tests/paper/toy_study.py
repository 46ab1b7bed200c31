"""A study of six quick cells, each of which leaves a line in a file when it runs."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paper.studies._shared.run import Row, Study, part


@dataclass(frozen=True)
class Config:
    """One cell logs its number to `log`. TOY_BAD names one that fails, TOY_STOP one that waits."""

    number: int
    log: str
    seed: int = 0


def cell(config: Config) -> list[Row]:
    """Two rows: a word and a random number each."""
    with Path(config.log).open("a") as log:
        log.write(f"{config.number}\n")
    if os.environ.get("TOY_STOP") == str(config.number):
        time.sleep(600)
    if os.environ.get("TOY_BAD") == str(config.number):
        message = f"number {config.number} is bad"
        raise ValueError(message)
    rng = np.random.default_rng([config.seed, config.number])
    return [
        {"seed": config.number, "condition": condition, "value": rng.standard_normal()}
        for condition in ("a", "b")
    ]


def other(config: Config) -> list[Row]:
    """A row with other columns."""
    return [{"seed": config.number, "share": config.number / 8, "nothing": float("nan")}]


def study(log: Path, count: int = 6, *, two: bool = False) -> Study:
    """The study, with a second part if `two`."""
    configs = [Config(number, str(log)) for number in range(count)]
    parts = (part("toy", cell, configs[:2], configs),)
    parts += (part("other", other, configs[:1], configs[:3]),) if two else ()
    return Study("toy", parts, {"quick": 0.1, "paper": 0.1})
