"""`pip install .` without extras: what needs none works, and the rest says which it needs."""

import re
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PAIR = [f"{ROOT}/tests/data/persons", f"{ROOT}/tests/data/mascots"]
TORCH = "pip install 'loratheory[torch]'"
PRETRAINED = "pip install 'loratheory[pretrained]'"
REFUSED = [
    (["verify", "merge-floor", "--backend", "torch"], TORCH),
    (["inspect", "nowhere"], "nowhere"),
    (["check", *PAIR], PRETRAINED),
    (["inspect", "who/what", "--download"], "this needs huggingface_hub"),
    (["generate", PAIR[0], "x"], PRETRAINED),
    (["evaluate", "rules:half"], "module rules cannot be imported"),
    (["data", "two-hop", "-o", "nowhere/data"], "nowhere/data cannot be made"),
]
WORKING = [
    (["theorems", "merge-floor"], "rank(adapter) <= r"),
    (["verify", "merge-floor", "--cases", "5", "--workers", "1"], "thm:merge-floor"),
    (["diagnose", *PAIR], "What weights cannot show"),
    (["merge", *PAIR, "-o", "merged"], "mean of 2 adapters"),
]


def needed(lines):
    """The distributions that these requirements ask for and, in turn, all that those need."""
    waiting, found = [*lines], {}
    while waiting:
        requirement = Requirement(waiting.pop())
        key = re.sub(r"[-_.]+", "-", requirement.name).lower()
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and key not in found:
            with suppress(PackageNotFoundError):  # of another system, or built by hand
                found[key] = distribution(key)
                waiting += found[key].requires or ()
    return [*found.values()]


def environment(folder):
    """Make the environment and return its `loratheory` command; nothing is downloaded.

    The core dependencies are links to those that are installed where this runs, so that it takes
    seconds; nothing else of that environment can be imported.
    """
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    venv.create(folder / "env", symlinks=True)
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    (own,) = distributions(name="loratheory", path=[str(packages)])
    for each in needed(own.requires):
        for top in {file.parts[0] for file in each.files or ()} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(Path(str(each.locate_file(top))))
    return folder / "env" / "bin" / "loratheory"


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    command = environment(folder)

    def _run(words):
        return subprocess.run([command, *words], cwd=folder, capture_output=True, text=True)

    return _run


def test_every_command_explains_itself_works_or_says_what_it_needs(plain, commands):
    runs = [[*words, "--help"] for words in commands] + [words for words, _ in REFUSED + WORKING]
    with ThreadPoolExecutor(2) as pool:
        done = dict(zip(map(tuple, runs), pool.map(plain, runs), strict=True))
    for words, run in done.items():
        assert "Traceback" not in run.stderr, words
    for words in commands:
        run = done[*words, "--help"]
        assert (run.returncode, run.stderr) == (0, ""), words
        assert "Usage:" in run.stdout
    for words, says in REFUSED:
        run = done[tuple(words)]
        assert (run.returncode, run.stdout) == (2, ""), words
        assert says in run.stderr
        assert len(run.stderr.splitlines()) == 1
    for words, says in WORKING:
        run = done[tuple(words)]
        assert run.returncode == 0, run.stderr
        assert says in run.stdout
    python = [plain(["--version"]).args[0].with_name("python"), "-c"]
    for name in ("torch", "matplotlib", "filelock", "distributed"):
        assert subprocess.run([*python, f"import {name}"], capture_output=True).returncode == 1
