"""How far a reader must walk: the files behind one experiment, and those that a merge runs through.

Counted are files of the package in which something is defined that is used, one by one and late
imports included; where a name is only handed on, the file that defines it counts instead.
"""

import ast
import sys
from functools import cache
from pathlib import Path

from folders import folder

import loratheory as lt
from loratheory.adapters import merge, read_adapter, write_adapter
from loratheory.cli import app

HOME = Path(lt.__file__).parent


def file(module):
    place = HOME.parent.joinpath(*module.split("."))
    files = (place.with_suffix(".py"), place / "__init__.py")
    return next((each for each in files if each.is_file()), None)


@cache
def imports(module):
    """Pairs of a module of the package and a name that is taken from it, by the name here."""
    nodes = ast.walk(ast.parse(file(module).read_text()))
    return {
        alias.asname or alias.name: (node.module, alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "loratheory"
        for alias in node.names
    }


def definer(module, name):
    if file(f"{module}.{name}"):
        return f"{module}.{name}"
    there = imports(module)
    return definer(*there[name]) if name in there else module


def behind(module):
    found, waiting = set(), [module]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += [definer(*each) for each in imports(one).values()]
    return found


def test_one_experiment_is_read_in_thirty_files():
    found = behind("loratheory.experiments.skill_coverage")
    assert {
        "loratheory.experiments.bench.words",
        "loratheory.adapters.merging",
        "loratheory.toy.transformer._training",
        "loratheory.store",
    } < found
    assert len(found) <= 30, sorted(found)


def run_through(act):
    """The files of the package in which a function runs."""
    found, before = set(), sys.getprofile()
    sys.setprofile(lambda frame, *_: found.add(Path(frame.f_code.co_filename)))
    try:
        act()
    finally:
        sys.setprofile(before)
    return {str(each.relative_to(HOME)) for each in found if each.is_relative_to(HOME)}


def test_a_plain_folder_runs_through_six_files_when_it_is_merged(tmp_path):
    """And through four more by the command, which also audits and reports."""
    modules = {"model.layers.0.q_proj": (24, 16, 2)}  # no side is shorter than all widths together
    places = [folder(tmp_path / name, modules, seed=seed) for seed, name in enumerate("ab")]
    found = run_through(
        lambda: write_adapter(
            merge([read_adapter(place) for place in places], "mean"), tmp_path / "merged"
        )
    )
    assert {"adapters/peft_io.py", "lowrank.py", "store.py"} < found
    assert len(found) <= 6, sorted(found)
    given = ["merge", *map(str, places), "--force", "-o", str(tmp_path / "merged")]
    app(given, standalone_mode=False)  # imports, which are no functions
    more = run_through(lambda: app(given, standalone_mode=False)) - found
    assert more >= {"cli/_merge.py", "diagnosis/_audit.py"}
    assert len(more) <= 4, sorted(more)
