"""`pip install .` without extras: what needs none works, and the rest says which it needs."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from plain import COMMANDS, environment

DATA = f"{__file__.rpartition('/cli/')[0]}/data"
PAIR = [f"{DATA}/persons", f"{DATA}/mascots"]
TORCH = "pip install 'loratheory[torch]'"
PRETRAINED = "pip install 'loratheory[pretrained]'"
REFUSED = [
    (["verify", "nonsense"], "there is no theorem 'nonsense'"),
    (["verify", "merge-floor", "--backend", "torch"], TORCH),
    (["theorems", "two-read-region", "--at", "hops=x"], "hops=x is not a number"),
    (["inspect", "nowhere"], "nowhere"),
    (["diagnose", PAIR[0]], "at least two"),
    (["merge", *PAIR, "-o", "m", "--method", "magic"], "no merge method 'magic'"),
    (["merge", *PAIR, "-o", "m", "--json", "."], "is a folder"),
    (["check", *PAIR], PRETRAINED),
    (["generate", PAIR[0], "x"], PRETRAINED),
    (["evaluate", "rules:half"], "module rules cannot be imported"),
    (["data", "two-hop", "-o", "nowhere/data"], "nowhere/data cannot be made"),
]
WORKING = [
    (["theorems", "merge-floor"], "rank(adapter) <= r"),
    (["verify", "merge-floor", "--cases", "5", "--workers", "1"], "thm:merge-floor"),
    (["diagnose", *PAIR], "What no look at the weights can tell"),
    (["merge", *PAIR, "-o", "merged"], "mean of 2 adapters"),
]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    command = environment(folder)

    def _run(words):
        return subprocess.run([command, *words], cwd=folder, capture_output=True, text=True)

    return _run


def test_every_command_explains_itself_works_or_says_what_it_needs(plain):
    runs = [[*words, "--help"] for words in COMMANDS] + [words for words, _ in REFUSED + WORKING]
    with ThreadPoolExecutor(2) as pool:
        done = dict(zip(map(tuple, runs), pool.map(plain, runs), strict=True))
    for words, run in done.items():
        assert "Traceback" not in run.stderr, words
    for words in COMMANDS:
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


def test_the_environment_holds_no_extra(plain):
    python = [plain(["--version"]).args[0].with_name("python"), "-c"]
    for name in ("torch", "matplotlib", "filelock", "distributed"):
        assert subprocess.run([*python, f"import {name}"], capture_output=True).returncode == 1
