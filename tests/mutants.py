"""Plant one error at a time and see that the tests notice; prints what it planted.

Each test file lists, as ``MUTANTS``, pairs (text in the module it mirrors, replacement). A mutant
is planted in a temporary copy of the tree, its unchanged modules compiled already, meets the
mirroring test file first and the whole suite only if it survives that. ``python tests/mutants.py
[LABEL ...]`` where a label is a theorem or a module name; two run at a time.
"""

import ast
import importlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from tqdm.auto import tqdm

ROOT = Path(__file__).parent.parent
OPTIONS = ("-q", "-x", "-n", "0", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestWarning")
WHOLE = 4 * 3600  # longer than the suite takes, or its end would pass for a noticed error
SLOW_TO_IMPORT = ("array_api_strict", "hypothesis", "scipy.stats", "torch", "typer.testing")


class Mutant(NamedTuple):
    """One planted error."""

    module: Path
    test: Path
    old: str
    new: str


def mirrored(test: Path) -> Path:
    """The module that a test file mirrors: ``test_x.py`` is about ``x.py`` or ``_x.py``."""
    folder = ROOT / "loratheory" / test.parent.relative_to(ROOT / "tests")
    name = test.name.removeprefix("test_")
    return folder / name if (folder / name).exists() else folder / f"_{name}"


def collected(only: list[str]) -> list[Mutant]:
    """All mutants of the chosen modules, read without importing the tests."""
    mutants = []
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(test.read_text()).body:
            names = [getattr(t, "id", "") for t in getattr(node, "targets", [])]
            if "MUTANTS" not in names:
                continue
            module = mirrored(test)
            if only and module.stem.lstrip("_") not in only:
                continue
            source = module.read_text()
            for old, new in ast.literal_eval(node.value):
                if old not in source or old == new:
                    message = f"{module.relative_to(ROOT)} does not contain {old!r}: renew it"
                    raise SystemExit(message)
                mutants.append(Mutant(module.relative_to(ROOT), test.relative_to(ROOT), old, new))
    return mutants


@contextmanager
def copied(source: Path = ROOT) -> Iterator[Path]:
    """A temporary copy of a tree: a kill leaves the original clean."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        skip = [".venv", ".git", "build", ".*_cache", *(["__pycache__"] if source == ROOT else [])]
        shutil.copytree(source, tree, ignore=shutil.ignore_patterns(*skip))
        yield tree


def passes(tree: Path, scope: list[str], limit: int = 1200) -> bool:
    """Whether these tests pass in so many seconds, in a fork that has the slow imports already."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    os.environ["CI"] = "1"
    sys.dont_write_bytecode = False  # else every mutant compiles everything
    signal.alarm(limit)  # a mutant may never end
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os._exit(int(pytest.main([*OPTIONS, *scope])))


def survives(mutant: Mutant, warm: Path) -> bool:
    """Whether the tests still pass with the error planted in a copy of this tree."""
    with copied(warm) as tree:
        module = tree / mutant.module
        module.write_text(module.read_text().replace(mutant.old, mutant.new, 1))
        return passes(tree, [str(mutant.test)]) and passes(tree, ["tests"], WHOLE)


def main(only: list[str]) -> int:
    """Plant all, report each, and fail if one goes unnoticed."""
    labels = [label.removeprefix("thm:").replace("-", "_") for label in only]
    mutants = collected(labels)
    if not mutants:
        print(f"no mutants for {' '.join(only) or 'anything'}", file=sys.stderr)
        return 2
    for module in SLOW_TO_IMPORT:
        importlib.import_module(module)
    with copied() as warm:
        if not passes(warm, sorted({str(mutant.test) for mutant in mutants})):
            print("the tests fail without any mutant: mend them first", file=sys.stderr)
            return 2  # else anything would look noticed
        return reported(mutants, warm)


def reported(mutants: list[Mutant], warm: Path) -> int:
    """Plant each in a copy of the tree that passes, and say what came of it."""
    outcomes = []
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(partial(survives, warm=warm), mutants)
        bar = tqdm(found, total=len(mutants), unit="mutant")
        for mutant, alive in zip(mutants, bar, strict=True):
            outcomes.append(alive)
            state = "SURVIVED" if alive else "noticed "
            bar.write(f"{state}  {mutant.module}: {mutant.old!r} -> {mutant.new!r}")
    print(f"{len(outcomes) - sum(outcomes)} of {len(outcomes)} noticed")
    return int(any(outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
