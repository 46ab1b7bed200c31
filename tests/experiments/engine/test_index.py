"""Experiments by name: the index is the folder, and a slip is answered with what was meant."""

from pathlib import Path

import pytest
import toy_sweep

from loratheory.experiments import NAMES, ExperimentError, experiment

ROOT = Path(__file__).parents[3]


def test_the_index_is_the_folder():
    files = (ROOT / "loratheory" / "experiments").glob("[a-z]*.py")
    assert {file.stem for file in files} == {*NAMES, "interference_matrix"}  # of a user's folder
    assert len(set(NAMES)) == len(NAMES)


def test_an_experiment_of_ones_own_is_named_by_module_and_attribute():
    assert experiment("toy_sweep:EXPERIMENT") is toy_sweep.EXPERIMENT
    assert experiment("toy_sweep:BAD") is toy_sweep.BAD


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("windo", r"there is no experiment 'windo'; did you mean window\?"),
        ("xyz", "there is no experiment 'xyz'; choose merge_floor, .* or all"),
        ("toy_sweep:NONE", "there is no experiment toy_sweep:NONE: .*write importable.module"),
        ("no_such_module:X", "there is no experiment no_such_module:X: No module named"),
        (":X", "there is no experiment :X"),
        ("toy_sweep:cell", "toy_sweep:cell is a function: name a .*Experiment"),
    ],
)
def test_a_wrong_name_is_refused_with_a_way_out(name, message):
    with pytest.raises(ExperimentError, match=message):
        experiment(name)
