"""Every command: help with an example, the JSON that its help promises, a rejection in one line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from folders import folder

from loratheory.pretrained.train import TrainingError

DATA = Path(__file__).parents[1] / "data"
PAIR = (DATA / "persons", DATA / "mascots")


def test_the_twelve_commands_teach_with_an_example(run, commands):
    twelve = "theorems verify inspect diagnose advise merge check train augment generate evaluate"
    assert {words[0] for words in commands} == {*twelve.split(), "data"}
    for words in commands:
        code, out, _ = run(*words, "--help")
        assert code == 0
        assert f"Example: loratheory {' '.join(words)}" in " ".join(out.split())


JSON = {
    "theorems": ("two-read-region",),
    "verify": ("merge-floor", "--cases", 5, "--workers", 1, "--backend", "torch"),
    "inspect": PAIR,
    "diagnose": PAIR,
    "merge": (*PAIR, "-o", "merged"),
    "data two-hop": ("--n", 20, "-o", "facts"),
    "data word-problems": ("--n", 40, "-o", "problems"),
}


@pytest.mark.parametrize("command", JSON)
def test_json_has_the_keys_that_help_promises_and_nothing_else_on_standard_output(run, command):
    """The commands that need a model are tried in `test_models`."""
    code, out, _ = run(*command.split(), *JSON[command], "--json", "-")
    assert code == 0
    found = json.loads(out)
    found = found[0] if isinstance(found, list) else found
    text = " ".join(run(*command.split(), "--help")[1].split())
    keys = re.search(r"JSON: (?:a list of objects|an object) ((?:\w+, )*\w+)", text)[1]
    assert set(found) == set(keys.split(", ")) - {"one"}


REFUSED = {
    "theorems merge-flor": "did you mean merge-floor",
    "theorems --json no/x.json": "there is no folder no",
    "theorems --at hops=3": "--at evaluates one theorem: name it",
    "theorems two-read-region --at hop=3": "KEY one of hops, pattern",
    "theorems two-read-region --at hops=x": "hops=x is not a whole number: write hops=3",
    "theorems two-read-region --at pattern=zzz": "choose one of overwrite, overwrite both, new",
    "theorems two-read-region --at hops=3,hops=4": "hops is there twice",
    "theorems arrow-blind-spot --at facts=0,experts=0": "is not defined at facts=0",
    "theorems two-read-region --at hops": "write KEY=VALUE",
    "theorems two-read-region --at hops=0": "threshold is not defined there",
    "theorems two-read-region --at hops=-1": "out of range",
    "theorems gate-detection --at facts=3": "is not enough: thm:gate-detection computes",
    "theorems gate-detection --at facts=3,threshold=2": "between 0 and 1",
    "theorems merge-floor --at rank=3": "thm:merge-floor has no formula for --at",
    "verify nonsense": "there is no theorem 'nonsense'",
    "verify --backend jax": "there is no backend 'jax'",
    "inspect nowhere": "nowhere: there is no such folder",
    "inspect one --json no/x.json": "there is no folder no",
    "inspect one --json two": "two is a folder: name a file in it",
    "diagnose one": "at least two",
    "merge": "merge needs adapters and -o FOLDER",
    "merge one two -o out --method magic": "no merge method 'magic'",
    "merge one two -o out --device toaster": "--device toaster cannot be used",
    "merge one two -o out --weights=a,b --method cat": "--weights=a,b is not a list of numbers",
    "merge one two -o out --method sum --weights=1,2": "sum takes no weights",
    "merge one two -o out --weights=1,-1": "weights of a mean",
    "merge one two -o out --method svd": "needs rank",
    "merge one two -o out --method regmean": "needs moments",
    "merge one two -o out --method regmean --moments rows.jsonl": "1 files of prompts for 2",
    "merge one two -o out --dtype=": "choose one of float16",
    "merge one two -o out --json out": "--json out is what -o names, or in it",
    "merge one two -o one --json one/new.json --force": "one/new.json is what -o names, or in it",
    "merge one two -o out --method dare": "needs density and rank: give the share of entries",
    "merge one two -o rows.jsonl": "rows.jsonl exists: choose another place, or add --force",
    "merge one two -o one --force": "one would replace what is read from one",
    "inspect one --json one/adapter_model.safetensors": "would replace what is read from one",
    "augment taken/plan.json -o taken --force": "replace what is read from taken/plan.json",
    "merge one two -o no/x": "there is no folder no",
    "advise one": "name two adapters or more",
    "advise one two --facts rows.jsonl": "given 1 times for 2 adapters",
    "advise one two --prompts odd.jsonl --prompts rows.jsonl": "odd.jsonl",
    "advise one two --prompts empty --prompts empty": "there is no prompt",
    "advise one two --prompts empty --methods meen": "did you mean mean",
    "advise one two --facts rows.jsonl --prompts rows.jsonl": "and not both",
    "advise one two --prompts rows.jsonl --first-token --scorer a:b": "leave out --first-token",
    "advise one two": "what is best is not known",
    "advise one two -o out --prompts rows.jsonl --compare one --methods none": "nothing to write",
    "advise one two --prompts rows.jsonl --methods none": "give --compare FOLDER",
    "advise one two -o rows.jsonl": "rows.jsonl exists: name a new folder",
    "generate nope hi": "nope: there is no such folder: name what train, merge",
    "advise one two --prompts no.jsonl --prompts no.jsonl": 'in words; write {"prompt": "…"}',
    "advise one two --prompts rows.jsonl --methods sum,regmean": "regmean needs moments",
    "check one --model /no/such": "there is no such folder",
    "train": "train needs PLAN and -o FOLDER",
    "train none.json -o out": "none.json",
    "train --example no/plan.json": "there is no folder no",
    "train none.json -o no/x": "there is no folder no",
    "augment none.json -o no/x": "no/x cannot be made",
    "generate one red --model /no/such": "there is no such folder",
    "generate one red --json no/x.json": "there is no folder no",
    "merge one two -o out --method linear": "PEFT's linear adds the factors",
    "evaluate no_such_module_x:rule": "cannot be imported",
    "evaluate my_rules:haf": "module my_rules has no haf",
    "evaluate half": "write package.module:function",
    "evaluate my_rules:three": "a merge is rule(updates, weights)",
    "evaluate my_rules:raising": "raised IndexError",
    "data word-problems -o d --skills add,sing": "'sing'; choose one of add,",
    "data word-problems -o d --split luck": "choose one of pair, template,",
    "data word-problems -o d --pair add,rate": "--pair add,rate goes with --split pair",
    "data word-problems -o taken --force": "taken holds not only data, but",
    "data two-hop -o d --split 1": "--split 1 leaves no question for testing",
    "data two-hop -o no/where": "no/where cannot be made",
    "data two-hop -o d --json no/x.json": "there is no folder no",
    "data two-hop -o d --json d": "--json d is what -o names",
    "advise one two --prompts rows.jsonl --json rows.jsonl": "would replace what is read",
    "evaluate own:half --json own.py": "would replace what is read from own.py",
    "generate one :red --model /no/such --json odd.jsonl": "there is no such folder",
    "evaluate my_rules:half --base one --json one/config.json": "one/config.json would replace",
    "check one --facts strange.json --model /no/such": "no adapter goes by the name 'three'",
}


def contents():
    return {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}


@pytest.mark.parametrize("line", REFUSED)
def test_wrong_input_ends_in_one_line_and_nothing_is_written(line, run, tmp_path):
    for name in ("one", "two"):
        folder(tmp_path / name)
    files = {"empty": "\n", "taken/mine.txt": "mine", "odd.jsonl": "3\n", "no.jsonl": "{}\n"}
    files["strange.json"] = '{"three": {"a": "b"}}'
    files |= {"taken/plan.json": "{}", "one/config.json": "{}", "own.py": "half = max"}
    for name, text in {**files, "rows.jsonl": '{"prompt": "red"}\n'}.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    before = contents()
    code, out, err = run(*line.split())
    assert (code, out) == (2, "")
    assert REFUSED[line] in " ".join(err.split())
    assert err.count("\n") == 1
    assert contents() == before


def test_an_encoding_without_greek_gets_escapes_and_no_traceback():
    command = [sys.executable, "-m", "loratheory.cli", "theorems", "rank-floor"]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert r"\u03a3" in done.stdout


def test_the_package_loads_nothing_heavy_before_it_is_needed():
    heavy = ("torch", "transformers", "peft", "matplotlib", "pandas", "scipy.optimize", "sympy")
    code = f"import sys, loratheory.cli; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


MENDED = [
    *(MemoryError("Unable to allocate 9 TiB"), RuntimeError("can't allocate memory: 9 TiB")),
    *(TrainingError("the loss is not finite"), ModuleNotFoundError(name="torch")),
    PermissionError(13, "Permission denied", "one"),
]
OTHERS = [RuntimeError("other"), ValueError("of NumPy"), ModuleNotFoundError(name="nonsense")]


@pytest.mark.parametrize("error", MENDED + OTHERS)
def test_what_the_user_can_mend_is_one_line_and_errors_of_others_stay_crashes(
    run, monkeypatch, error
):
    def _read(*_, **__):
        raise error

    monkeypatch.setattr("loratheory.adapters.read_adapter", _read)
    if error in OTHERS:
        with pytest.raises(type(error)) as caught:
            run("inspect", "one")
        assert caught.value is error
    else:
        code, out, err = run("merge", "one", "two", "-o", "out")
        assert (code, out, err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("words", [["--version"], ["verify", "merge-floor", "--cases", "2"]])
def test_python_runs_the_module(words):
    done = subprocess.run([sys.executable, "-m", "loratheory.cli", *words], capture_output=True)
    assert done.returncode == 0


def test_every_command_that_a_message_or_a_page_names_exists(commands):
    """A remedy that names a command of yesterday is none."""
    root, named = DATA.parents[1], set()
    for place in (
        "README.md",
        "docs/**/*.md",
        "docs/**/*.toml",
        "loratheory/**/*.py",
        "notebooks/*.py",
    ):
        for file in root.glob(place):
            named |= {*re.findall(r"(?:`|\$ )loratheory ([a-z][a-z-]+)", file.read_text("utf-8"))}
    assert {"train", "merge"} <= named <= {words[0] for words in commands}
