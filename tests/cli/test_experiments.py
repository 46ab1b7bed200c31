"""``loratheory experiments``: every question and prediction, in brief and in full."""

import json

from typer.testing import CliRunner

from loratheory.cli import app
from loratheory.experiments import NAMES


def run(*words):
    """Exit code, stdout, stderr."""
    result = CliRunner().invoke(app, list(words))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_experiments_lists_what_each_asks_expects_and_takes():
    code, out, _ = run("experiments")
    assert code == 0
    assert all(name in out for name in NAMES)
    entries = json.loads(run("experiments", "--json", "-")[1])
    assert [entry["name"] for entry in entries] == list(NAMES)
    for entry in entries:
        assert entry["question"].endswith("?")
        assert all(entry[title] for title in ("prediction", "chance", "controls"))
        assert set(entry["minutes"]) == set(entry["cells"]) >= {"quick", "paper"}


def test_one_experiment_is_shown_in_full():
    code, out, _ = run("experiments", "window")
    assert code == 0
    assert "golden ratio" in out
    assert "1 cell Config(size=32" in out
    assert "merge_floor" not in out
    assert "6 cells, the first is Config(number=0" in run("experiments", "toy_sweep:EXPERIMENT")[1]
