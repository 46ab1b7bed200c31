"""The names that a reader meets first have examples, and the examples run."""

import doctest
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import loratheory as lt
from loratheory import lowrank
from loratheory.pretrained.metrics import Share

ROOT = Path(__file__).parents[2]
FIRST = {
    "lowrank": ("LowRank", "from_dense", "total", "truncate", "gaussian", "principal_angles"),
    "adapters": (
        *("Adapter", "read_adapter", "write_adapter", "merge", "crosstalk", "frobenius_cosine"),
        *("response_norms", "arrow_scores", "softmax_weights", "laws"),
    ),
    "theorems": ("theorem", "Theorem", "verify", "parts"),
    "theorems.composition.two_read_region": ("margin", "threshold", "strength_needed", "window"),
    "diagnosis": ("diagnose", "spectra"),
    "toy": ("chain",),
    "tasks.two_hop": ("draw_facts", "split"),
    "tasks.word_problems": ("pool", "stories"),
}


@pytest.mark.parametrize("package", FIRST)
def test_each_has_an_example_that_runs(package, monkeypatch):
    """With ``np``, ``lt`` and the names of its package, as the reference says."""
    monkeypatch.chdir(ROOT)
    module = import_module(f"loratheory.{package}")
    names = {**vars(lowrank), **vars(module), "np": np, "lt": lt}
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner()
    for name in FIRST[package]:
        [example] = finder.find(getattr(module, name), name, globs=names)
        assert example.examples, f"{name} has no example"
        assert runner.run(example).failed == 0, f"{name}: see the report above"


def test_the_quickstart_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert doctest.testfile(str(ROOT / "docs/quickstart.md"), module_relative=False).failed == 0


def test_the_reliability_of_verdicts_is_counted_from_its_table():
    inside, table = 0, pd.read_csv(ROOT / "docs/how-to/advice_judged.csv")
    for row in table.itertuples():
        said = Share.of("", row.said_right, row.said_total)
        inside += said.low <= row.judged_right / row.judged_total <= said.high + 1e-9
    merges = pd.read_csv(ROOT / "docs/how-to/advice_merges.csv")
    near = (merges["best_least"] - merges["per_adapter_least"] <= 2).sum()  # of forty
    page = (ROOT / "docs/how-to/combine.md").read_text()
    assert f"Of {len(table)} shares that were measured again, {inside} lie in" in page
    assert f"For {near} of the {len(merges)} pairs" in page
