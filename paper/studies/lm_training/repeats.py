"""Train the adapters of one fact set again and again, rounded otherwise, and evaluate each.

The fact set, the training condition and the seed stay; the base's dtype, the thread count and the
number of passes of a step change: a 2 x 2 x 2 factorial, then five further numbers of passes. None
of them changes what is computed, only how it is rounded. Every repeat trains all its adapters anew,
stand-ins too, in a process and a cache of its own. `prediction_repeats.md` has our expectations.

    python -m paper.studies.lm_training.repeats --jobs 2     # all repeats, two hours of two cores

A finished repeat enters ``repeats.csv.gz`` at once; a run that was stopped goes on from there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from loratheory.store import write_whole

HERE = Path(__file__).parent
OUTCOMES = HERE / "outcomes"
MODULE = "paper.studies.lm_training.repeats"
SEED = 300
CONDITIONS = ("plain, 90 steps", "two stand-ins")
METHODS = {"sum": 1.0, "mean": 0.5}
FACTORS = ("dtype", "threads", "passes")
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


def train_and_evaluate(repeat: Repeat) -> dict[str, Any]:
    """Return a row for each method and prompt template, the seconds spent, and the environment."""
    import torch

    # Before any operation: PyTorch divides its first matrix product among as many.
    torch.set_num_threads(repeat.threads)
    from loratheory.evaluate.fact_adapters import publishers
    from loratheory.pretrained import attach, load_model
    from paper.studies._shared.measures import by_sentence, ordinary
    from paper.studies._shared.run import environment

    start = time.perf_counter()
    model = load_model(dtype=repeat.dtype)
    both = replace(publishers(model, repeat.seed), accumulate=repeat.passes)
    adapters = [both.adapter(hop, repeat.condition) for hop in (0, 1)]
    base, _ = ordinary(model)
    rows = []
    for method, coefficient in METHODS.items():
        with attach(model, adapters, coefficient):
            found = by_sentence(model, both.world, base)
        for sentence, measured in enumerate(found):
            rows.append({"rule": method, "sentence": sentence, **measured})
    seconds = round(time.perf_counter() - start, 1)
    return {"rows": rows, "seconds": seconds, "ran": environment()}


def run_apart(repeat: Repeat) -> dict[str, Any]:
    """Return what `train_and_evaluate` returns, from a process with a cache of its own.

    The cache stays, so that a stopped training is resumed; the unpacked base is the usual one.
    """
    from loratheory.pretrained.models import unpack_default_model

    cache = Path(tempfile.gettempdir()) / "repeats" / repeat.name
    cache.mkdir(parents=True, exist_ok=True)
    base = unpack_default_model()
    if not (cache / base.name).exists():
        (cache / base.name).symlink_to(base)
    # Waiting threads sleep: on a busy machine two that spin take many times as long.
    threads = {"OMP_NUM_THREADS": str(repeat.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    surroundings = {**os.environ, **threads, "LORATHEORY_CACHE": str(cache)}
    command = [sys.executable, "-m", MODULE, "--one", json.dumps(asdict(repeat))]
    done = subprocess.run(command, env=surroundings, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_missing(repeat: Repeat) -> None:
    """Run a repeat that has no outcome; an outcome is a file that is whole or absent."""
    file = OUTCOMES / f"{repeat.name}.json"
    if not file.exists():
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {repeat}\n")
        write_whole(file, json.dumps(run_apart(repeat)))


def write_finished() -> None:
    """Replace the table and its provenance by those of all finished repeats."""
    from paper.studies._shared.run import described, write_table

    finished, rows = {}, []
    for one in repeats():
        if (OUTCOMES / f"{one.name}.json").exists():
            finished[one] = json.loads((OUTCOMES / f"{one.name}.json").read_text())
            about = {**asdict(one), "rounding": one.rounding}
            rows += [{**about, **row} for row in finished[one]["rows"]]
    parts = [described("repeats", finished, [*finished.values()])]
    write_table(HERE / "repeats.csv.gz", {"repeats": rows}, {"study": "lm_training"}, parts)


def main() -> None:
    """Run the repeats that are missing, or one of them (``--one``) for a parent process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", help="a repeat as JSON; prints its outcome")
    parser.add_argument("--jobs", type=int, default=1, help="how many repeats run at once")
    asked = parser.parse_args()
    if asked.one:
        sys.stdout.write(json.dumps(train_and_evaluate(Repeat(**json.loads(asked.one)))))
        return
    OUTCOMES.mkdir(exist_ok=True)
    with ThreadPoolExecutor(asked.jobs) as pool:
        for _ in pool.map(run_missing, repeats()):
            write_finished()


if __name__ == "__main__":
    main()
