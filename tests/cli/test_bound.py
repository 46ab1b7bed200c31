"""``loratheory bound``: numbers, curves, and refusals that name the right keys."""

import json

import pytest
from typer.testing import CliRunner

from loratheory.cli import app


def run(*words):
    result = CliRunner().invoke(app, ["bound", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_threshold_in_full_precision(tmp_path):
    file = tmp_path / "bound.json"
    code, out, _ = run("two-read-region", "hops=3", "--json", file)
    found = json.loads(file.read_text())
    assert code == 0
    assert "0.6823" in out
    assert found["values"]["threshold"] == pytest.approx(0.68232780382801932737, rel=1e-15)
    assert found["given"] == {"hops": 3, "case": "overwrite", "adapters": 2}


def test_a_curve_with_its_figure(tmp_path):
    words = ("gate-detection", "facts=8", "width=128", "--curve", "threshold=.2:.9:8")
    code, out, _ = run(*words, "--json", "-", "--figure", tmp_path / "c.png")
    found = json.loads(out)
    alarms = [entry["values"]["false alarm"] for entry in found]
    assert code == 0
    assert len(found) == 8
    assert alarms == sorted(alarms, reverse=True)
    assert (tmp_path / "c.png").stat().st_size > 1000
    whole = json.loads(run("two-read-region", "--curve", "hops=1:3:9", "--json", "-")[1])
    assert [entry["given"]["hops"] for entry in whole] == [1, 2, 3]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["two-read-region", "hop=3"], "knows no 'hop': its keys are hops (=2), case (=overwrite)"),
        (["two-read-region", "hops=x"], "hops=x is not a whole number: write hops=3"),
        (["two-read-region", "hops"], "'hops' is not KEY=VALUE"),
        (["two-read-region", "hops=3", "hops=4"], "a key is given twice"),
        (["two-read-region", "hops=0"], "hops is 0: give at least 1"),
        (["edit-budget", "facts=3"], "needs rank; its keys are facts, rank"),
        (["merge-floor"], "has no calculator; these have: two-read-region"),
        (["nonsense"], "there is no theorem 'nonsense'"),
        (["two-read-region", "--curve", "hops=1:8"], "is not KEY=FROM:TO:COUNT"),
        (["two-read-region", "--curve", "hops=1:8:²"], "is not KEY=FROM:TO:COUNT"),
        (["two-read-region", "--curve", "case=A:B:3"], "case is not a number"),
        (["two-read-region", "--figure", "x.png"], "--figure draws a curve"),
    ],
)
def test_wrong_input_names_the_right_keys(words, says):
    code, out, err = run(*words)
    assert code == 2
    assert says in err
    assert not out


def test_a_curve_of_more_values_than_any_figure_shows_is_refused():
    words = [
        "bound",
        "gate-detection",
        "facts=8",
        "width=128",
        "--curve",
        "threshold=.2:.9:100000000000",
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "asks for 100000000000 values: 10000 are more than a figure shows" in done.stderr
