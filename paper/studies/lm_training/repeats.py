"""Train the adapters of one fact set eight times, with roundings that differ, and evaluate each.

The fact set, the training condition and the seed stay; the base's dtype, the thread count and the
number of passes of a step change: a 2 x 2 x 2 factorial. None of them changes what is computed,
only how it is rounded. Every repeat trains all its adapters anew, stand-ins too, in a process and a
cache of its own. `prediction_repeats.md` says what we expected.

    python paper/studies/lm_training/repeats.py          # all repeats, an hour or two of two cores

A finished repeat enters ``repeats.csv.gz`` at once; a run that was stopped goes on from there.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent
SEED = 300
CONDITIONS = ("plain, 90 steps", "two stand-ins")
METHODS = {"sum": 1.0, "mean": 0.5}
FACTORS = ("dtype", "threads", "passes")


@dataclass(frozen=True)
class Repeat:
    """One training of the fact set: its condition, and what decides how numbers are rounded."""

    condition: str
    dtype: str
    threads: int
    passes: int

    @property
    def name(self) -> str:
        """A file name for the repeat's cache."""
        return "-".join(str(value) for value in asdict(self).values()).replace(", ", "-")


def repeats() -> Iterator[Repeat]:
    """Yield all sixteen repeats; the first eight are a balanced half, should a run be cut off."""
    for odd in (0, 1):
        for number in range(8):
            levels = [number >> bit & 1 for bit in range(3)]
            if sum(levels) % 2 == odd:
                dtype, threads, passes = levels
                for condition in CONDITIONS:
                    kind = ("bfloat16", "float32")[dtype]
                    yield Repeat(condition, kind, 1 + threads, 1 + passes)


def train_and_evaluate(repeat: Repeat) -> dict[str, Any]:
    """Return a row for each method and prompt template, the seconds spent, and the environment."""
    import torch

    # Before any operation: PyTorch divides its first matrix product among as many.
    torch.set_num_threads(repeat.threads)
    from loratheory.experiments.bench import portable as bench
    from loratheory.experiments.bench.language import acting
    from loratheory.experiments.bench.rules import coefficients
    from loratheory.experiments.engine._folder import environment
    from loratheory.pretrained import load

    start = time.perf_counter()
    model = load(dtype=repeat.dtype)
    both = replace(bench.publishers(model, SEED), accumulate=repeat.passes)
    adapters = [both.adapter(hop, repeat.condition) for hop in (0, 1)]
    base, _ = bench.ordinary(model)
    rows = []
    for method, coefficient in METHODS.items():
        with acting(model, adapters, coefficients(coefficient)):
            found = bench.by_sentence(model, both.world, base)
        for sentence, measured in enumerate(found):
            rows.append({**asdict(repeat), "rule": method, "sentence": sentence, **measured})
    seconds = round(time.perf_counter() - start, 1)
    ran = environment("loratheory.experiments.real_stand_ins")
    return {"repeat": asdict(repeat), "rows": rows, "seconds": seconds, "ran": ran}


def run_apart(repeat: Repeat, caches: Path) -> dict[str, Any]:
    """Return what `train_and_evaluate` returns, from a process with a cache of its own.

    The cache stays until the repeat is finished, so that a stopped training is resumed; the
    unpacked base is the usual one.
    """
    from loratheory.pretrained._load import embedded

    cache = caches / repeat.name
    cache.mkdir(parents=True, exist_ok=True)
    base = embedded()
    if not (cache / base.name).exists():
        (cache / base.name).symlink_to(base)
    # Waiting threads sleep: on a busy machine two that spin take many times as long.
    threads = {"OMP_NUM_THREADS": str(repeat.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    surroundings = {**os.environ, **threads, "LORATHEORY_CACHE": str(cache)}
    command = [sys.executable, __file__, "--one", json.dumps(asdict(repeat))]
    done = subprocess.run(command, env=surroundings, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def write_table(finished: list[dict[str, Any]], folder: Path) -> None:
    """Replace the table and its provenance by those of all finished repeats, each whole."""
    from loratheory.experiments.engine._folder import laid_out
    from loratheory.experiments.engine._table import csv_text
    from loratheory.store import content_hash, write_whole

    text = csv_text([row for one in finished for row in one["rows"]])
    provenance = {
        "study": "lm_training, repeats",
        "seeds": [SEED],
        "seconds": round(sum(one["seconds"] for one in finished), 1),
        "sha256": content_hash(text.encode(), digits=64),
        "repeats": [{key: one[key] for key in ("repeat", "seconds", "ran")} for one in finished],
    }
    write_whole(folder / "repeats.csv.gz", gzip.compress(text.encode(), mtime=0))
    write_whole(folder / "repeats_provenance.json", laid_out(provenance))


def spread(rows: "pd.DataFrame", column: str, by: Sequence[str]) -> float:
    """Return the standard deviation (n - 1) over groups `by` of a column's mean in each group."""
    return float(rows.groupby(list(by))[column].mean().std(ddof=1))


def explained(rows: "pd.DataFrame", column: str, factor: str) -> float:
    """Return the share of the variance over repeats that a factor of two levels explains alone.

    Three factors that do nothing explain 1/7 each on average, for eight repeats have seven degrees
    of freedom.
    """
    means = rows.groupby(list(FACTORS))[column].mean()
    levels = means.groupby(level=factor).mean()
    between = means.index.get_level_values(factor).map(levels) - means.mean()
    return float((between**2).sum() / ((means - means.mean()) ** 2).sum())


def main() -> None:
    """Run the repeats that are missing, or one of them (``--one``) for a parent process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", help="a repeat as JSON; prints its outcome")
    parser.add_argument("--jobs", type=int, default=1, help="how many repeats run at once")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the table goes")
    parser.add_argument("--caches", type=Path, default=Path(tempfile.gettempdir()) / "repeats")
    asked = parser.parse_args()
    if asked.one:
        sys.stdout.write(json.dumps(train_and_evaluate(Repeat(**json.loads(asked.one)))))
        return
    from loratheory.store import write_whole

    # Each outcome is a file that is whole or absent; the table is made of all of them.
    outcomes = asked.folder / "outcomes"
    outcomes.mkdir(parents=True, exist_ok=True)
    files = {repeat: outcomes / f"{repeat.name}.json" for repeat in repeats()}

    def _run(repeat: Repeat) -> None:
        if not files[repeat].exists():
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {repeat}\n")
            write_whole(files[repeat], json.dumps(run_apart(repeat, asked.caches)))

    with ThreadPoolExecutor(asked.jobs) as pool:
        for _ in pool.map(_run, files):
            done = [file for file in files.values() if file.exists()]
            write_table([json.loads(file.read_text()) for file in done], asked.folder)


if __name__ == "__main__":
    main()
