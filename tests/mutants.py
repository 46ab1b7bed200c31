"""Plant small errors in a module, one at a time, and list those that its tests do not notice.

``python tests/mutants.py loratheory/lowrank.py`` has cosmic-ray do so in a copy of the
last commit, ``build/mutants``; by default with the tests that are named like the module's package,
or like the module where it is in none. A survivor is shown as a diff: a gap in the tests, or a
change that means the same.
"""

import argparse
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPY = ROOT / "build" / "mutants"
CONFIG = """
[cosmic-ray]
module-path = "{module}"
timeout = 300.0
excluded-modules = []
test-command = "{python} -m pytest -q -x -p no:cacheprovider {tests}"
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = ["core/ReplaceBinaryOperator_BitOr_.*"]  # `int | None` of annotations
"""
SAMPLE = """delete from {table} where job_id not in (select job_id from work_items
where job_id not in (select job_id from work_results) order by job_id limit {count})"""


def run(tool: str, *arguments: str) -> None:
    """One step, in the copy and with its sources."""
    path = Path(sys.executable).parent / tool
    environment = os.environ | {"PYTHONPATH": str(COPY), "OMP_NUM_THREADS": "1"}
    subprocess.run([path, *arguments], cwd=COPY, env=environment, check=True)


def tests_of(module: str) -> str:
    """The folder of tests named like the module's package, or the one file."""
    name = Path(module).parts[1].removesuffix(".py")
    return f"tests/{name}" if (ROOT / "tests" / name).is_dir() else f"tests/test_{name}.py"


def main() -> None:
    """Copy, plant, test, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("module", help="a file of the package")
    parser.add_argument("--tests", help="what pytest runs")
    parser.add_argument("--sample", type=int, help="plant only so many errors, drawn at random")
    args = parser.parse_args()
    tests = args.tests or tests_of(args.module)
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    commit = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(["tar", "x"], cwd=COPY, input=commit.stdout, check=True)
    text = CONFIG.format(module=args.module, python=sys.executable, tests=tests)
    (COPY / "mutants.toml").write_text(text)
    run("cosmic-ray", "init", "mutants.toml", "mutants.sqlite")
    run("cr-filter-operators", "mutants.sqlite", "mutants.toml")
    if args.sample:
        with sqlite3.connect(COPY / "mutants.sqlite") as session:
            for table in ("mutation_specs", "work_items"):  # identifiers are random
                session.execute(SAMPLE.format(table=table, count=args.sample))
            session.execute("delete from work_results")  # of the operators left out
    run("cosmic-ray", "exec", "mutants.toml", "mutants.sqlite")
    run("cr-report", "mutants.sqlite", "--surviving-only", "--show-diff")


if __name__ == "__main__":
    main()
