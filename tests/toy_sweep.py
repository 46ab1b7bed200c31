"""A sweep small enough to be killed often.

**Question.** Do killed sweeps end in the table of an unbroken one?

**Prediction.** Yes.

**Chance.** 0.

**Controls.** The unbroken one.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from loratheory.experiments import Experiment, Row


@dataclass(frozen=True)
class Config:
    """One cell: `rows` rows, after `pause` seconds; then it may raise, or kill its process."""

    number: int
    rows: int = 2
    pause: float = 0.0
    ends: str = "well"
    seed: int = 0
    log: str = ""


def cell(config: Config) -> list[Row]:
    """Say in the log who runs what, and return a third of the number, which needs all digits."""
    if config.log:
        with Path(config.log).open("a") as log:
            log.write(f"{os.getpid()} {config.number}\n")
    time.sleep(config.pause)
    if config.ends == "raises":
        message = f"number {config.number} is not wanted"
        raise RuntimeError(message)
    if config.ends == "kills":
        os.kill(os.getpid(), signal.SIGKILL)
    return [
        {"number": config.number, "row": f"row {row}", "third": config.number / 3 + row}
        for row in range(config.rows)
    ]


def sweep(*configs: Config, version: int = 1) -> Experiment:
    """These configs as the quick profile; the paper profile has one more."""
    profiles = {"quick": configs, "paper": (*configs, Config(1000))}
    minutes = {"quick": 0.1, "paper": 0.2}
    return Experiment(__name__, __doc__, cell, profiles, minutes, version)


EXPERIMENT = sweep(*(Config(number, rows=1 + number % 3) for number in range(6)))
LOG = os.environ.get("TOY_SWEEP_LOG", "")
KILLED = sweep(*(Config(n, rows=1 + n % 3, pause=0.02, log=LOG) for n in range(12)))
BAD = sweep(Config(0), Config(1, ends="raises"), Config(2))
DEADLY = sweep(Config(0), Config(1, pause=0.5, ends="kills"), Config(2, pause=0.5))


@dataclass(frozen=True)
class Seeded:
    """What a cell measures on some bases; a sweep under another environment measures more."""

    seeds: tuple[int, ...] = (0, 1)


def measured(config: Seeded) -> list[Row]:
    """One mark a base, moved by what the environment says."""
    more = float(os.environ.get("TOY_SWEEP_SHIFT", "0"))
    return [{"rule": "mean", "seed": seed, "two_hop": 0.1 * seed + more} for seed in config.seeds]


SEEDED = Experiment(
    __name__,
    __doc__,
    measured,
    {"quick": (Seeded(),), "paper": (Seeded(), Seeded((2, 3)))},
    {"quick": 0.1, "paper": 0.1},
)


@dataclass(frozen=True)
class Based:
    """A base of its own, in one of two sizes."""

    seed: int = 0
    size: int = 1


def sized(config: Based) -> list[Row]:
    """One mark; its name comes behind the seed."""
    more = float(os.environ.get("TOY_SWEEP_SHIFT", "0"))
    mark = 0.01 * config.seed + config.size + more
    return [{"seed": config.seed, "rule": "sum", "stepwise": mark}]


SIZED = Experiment(
    __name__,
    __doc__,
    sized,
    {
        "quick": (Based(),),
        "small": tuple(Based(k) for k in (2, 4)),
        "paper": tuple(Based(k, 2) for k in (0, 1)),
    },
    {"quick": 0.1, "small": 0.1, "paper": 0.1},
)
