"""Stored tables: made again from config and seed, byte for byte; provenance says from what."""

import json
from dataclasses import FrozenInstanceError, asdict
from importlib import import_module
from pathlib import Path

import pytest

from loratheory.experiments import EXPERIMENTS, csv_text, record, rows

MUTANTS = [
    ("round(value, DECIMALS) + 0.0", "round(value, DECIMALS)"),
    ("DECIMALS = 9", "DECIMALS = 3"),
    ("default_rng(seed)", "default_rng()"),
    ('"seed": seed', '"seed": 0'),
]
RESULTS = Path(__file__).parents[2] / "paper" / "results"
each = pytest.mark.parametrize("name", EXPERIMENTS)


@each
def test_the_stored_table_is_made_again_byte_for_byte(name):
    stored = RESULTS / name
    provenance = json.loads((stored / "provenance.json").read_text())
    config = asdict(import_module(f"loratheory.experiments.{name}").Config())
    assert provenance["config"] == json.loads(json.dumps(config))
    made = csv_text(rows(name, seed=provenance["seed"]))
    assert made.encode() == (stored / "table.csv").read_bytes()


def test_equal_runs_give_equal_files_and_another_seed_does_not(tmp_path):
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        record("merge_floor", tmp_path / folder, seed=seed)
    a, b, c = (
        {path.name: path.read_bytes() for path in (tmp_path / folder / "merge_floor").iterdir()}
        for folder in "abc"
    )
    assert a == b
    assert a["table.csv"] != c["table.csv"]
    assert json.loads(c["provenance.json"])["seed"] == 4
    assert set(a) == {"table.csv", "provenance.json"}


@each
def test_configs_are_frozen_and_refuse_unknown_keys(name):
    module = import_module(f"loratheory.experiments.{name}")
    with pytest.raises(TypeError):
        module.Config(unknown=1)
    with pytest.raises(FrozenInstanceError):
        module.Config().size = 3


def test_numbers_keep_nine_decimals_and_zero_has_no_sign():
    text = csv_text([{"x": 1 / 3, "y": -1e-17}, {"x": 12.0, "y": 0.5}])
    assert text == "x,y\n0.333333333,0\n12,0.5\n"
