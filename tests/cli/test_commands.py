"""What all commands share: help, slow imports, memory, extras, warnings, their order."""

import subprocess
import sys
import warnings

import pytest
from plain import COMMANDS


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_teaches_with_an_example(run, words):
    code, out, _ = run(*words, "--help")
    assert code == 0
    assert f"Example: loratheory {' '.join(words)}" in " ".join(out.split())


def test_the_package_loads_nothing_heavy_before_it_is_needed():
    heavy = ("torch", "transformers", "peft", "matplotlib", "pandas", "scipy.optimize", "sympy")
    code = f"import sys, loratheory.cli; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def failing(monkeypatch, error):
    """Have `inspect` and `merge` meet an error as soon as they read."""

    def _read(*_, **__):
        raise error

    monkeypatch.setattr("loratheory.adapters.read_adapter", _read)


@pytest.mark.parametrize(
    "error", [MemoryError("Unable to allocate 9 TiB"), RuntimeError("can't allocate memory: 9 TiB")]
)
def test_spent_memory_is_told_with_what_to_lower(run, monkeypatch, error):
    failing(monkeypatch, error)
    code, _, err = run("merge", "one", "two", "-o", "out")
    assert code == 2
    assert err.startswith("loratheory: memory ran out (")
    assert "9 TiB): lower --rank, leave the audit out with --no-audit, or" in err
    assert "9 TiB): give it less at once" in run("inspect", "one")[2]


@pytest.mark.parametrize(
    "error", [RuntimeError("other"), ValueError("of NumPy"), ModuleNotFoundError(name="nonsense")]
)
def test_errors_of_others_stay_crashes(run, monkeypatch, error):
    failing(monkeypatch, error)
    with pytest.raises(type(error)) as caught:
        run("inspect", "one")
    assert caught.value is error


def test_what_is_not_installed_is_named_with_the_command_that_brings_it(run, monkeypatch):
    failing(monkeypatch, ModuleNotFoundError(name="torch"))
    code, _, err = run("inspect", "one")
    assert code == 2
    assert "needs torch, which is not installed: pip install 'loratheory[torch]'" in err


def test_warnings_of_ours_are_a_line_and_others_keep_their_place(run, monkeypatch):
    from loratheory.pretrained.models import OtherBaseWarning

    def _read(*_, **__):
        warnings.warn("another base", OtherBaseWarning, stacklevel=1)
        warnings.warn("old", UserWarning, stacklevel=1)
        raise FileNotFoundError(2, "is not there", "one")

    monkeypatch.setattr("loratheory.adapters.read_adapter", _read)
    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        err = run("inspect", "one")[2]
    assert err.splitlines()[0] == "loratheory: note: another base"
    assert "test_commands.py" in err
    assert "UserWarning: old" in err
    assert warnings.showwarning is before


def test_commands_come_in_the_order_of_a_first_visit(run):
    out = run("--help")[1]
    places = [out.index(f" {name} ") for name in ("theorems", "inspect", "diagnose", "merge")]
    assert places == sorted(places)
