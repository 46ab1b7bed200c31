"""Where a table comes from: the digest follows the source that a cell runs, and no other."""

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import toy_sweep

from loratheory.experiments.engine._folder import _imported, code, environment, laid_out


def test_the_environment_names_code_machine_and_versions():
    found = environment("loratheory.experiments.window")
    assert found["code"] == code("loratheory.experiments.window")
    assert len(found["code"]) == 16
    assert platform.machine() in found["device"]
    assert found["versions"]["numpy"] == version("numpy")
    assert found["versions"]["python"] == platform.python_version()
    assert json.loads(json.dumps(found)) == found
    assert found["commit"] is None or len(found["commit"].removesuffix("-dirty")) == 40


def test_code_is_what_a_cell_can_import_by_whichever_road():
    window = set(_imported("loratheory.experiments.window"))
    assert {
        "loratheory.experiments.window",
        "loratheory.experiments._world",  # imported by name
        "loratheory.toy",  # imported for a name in it
        "loratheory.toy._two_read",
        "loratheory.lowrank._array",  # through others
    } <= window
    assert not any(name.split(".")[1] in ("cli", "figures", "theorems") for name in window)
    assert "loratheory.experiments.engine._sweep" in window
    assert "loratheory.theorems.expressiveness.depth_budget" in _imported(
        "loratheory.experiments.training_gap"
    )


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A module outside the package that imports one of its modules, early or late."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def module(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
        __import__(name)
        return code.__wrapped__(name)

    return module


def test_a_change_of_the_modules_own_file_is_another_code(made):
    one = made("mine_a", "x = 1\n")
    assert one == made("mine_a", "x = 1\n")
    assert one != made("mine_a", "x = 2\n")


def test_imports_in_functions_and_of_modules_count(made):
    late = "def f():\n    from loratheory.lowrank import _array\n"
    by_name = "import loratheory.lowrank._array\n"
    bare = made("mine_b", "x = 1\n")
    assert len({bare, made("mine_b", late), made("mine_b", by_name)}) == 3
    for text in (late, by_name):
        made("mine_b", text)
        assert "loratheory.lowrank._array" in _imported("mine_b")
    assert "loratheory.experiments" in _imported(toy_sweep.__name__)


def test_provenance_has_a_line_for_each_key_and_cell():
    told = {"a": 1, "empty": [], "seeds": [0, 1], "cells": [{"x": 1}, {"x": [2, 3]}], "é": "é"}
    text = laid_out(told)
    assert json.loads(text) == told
    assert len(text.splitlines()) == 2 + len(told) + 1 + 2
    assert "é" in text
    assert Path(__file__).name  # laid out for people, read by json
