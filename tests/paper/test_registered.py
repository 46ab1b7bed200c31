r"""What modules say reaches the paper whole: statements, predictions, findings, provenance."""

import json
import re
from pathlib import Path

import pytest

from loratheory.experiments import NAMES, experiment, finding
from loratheory.paper._registered import (
    _ranges,
    _settings,
    experiments,
    provenance,
    statements,
    told_by_experiments,
)
from loratheory.theorems import ALL

RESULTS = Path(__file__).parents[2] / "paper" / "results"


def test_every_statement_can_be_shown_without_its_proof():
    told = statements()
    labels = re.findall(r"\\generated\{stated\}\{(thm:[\w-]+)\}\{\\statement\{(\w[\w ]*)\}", told)
    assert [label for label, _ in labels] == [theorem.label for theorem in ALL]
    assert dict(labels)["thm:unselective-success"] == "Refuted claim"
    assert "{Two-read region}" in told
    assert r"\begin{proof}" not in told


def test_what_was_predicted_and_found_is_shown_whole():
    told = experiments(RESULTS, ["gating"])
    for name in NAMES:
        if not (RESULTS / name / "provenance.json").is_file():
            assert f"exp:{name}" not in told
            continue
        part = told.split(rf"\label{{exp:{name}}}")[1].split(r"\subsection")[0]
        wanted = [
            title
            for title in ("Question", "Prediction", "Chance", "Controls", "Found")
            if experiment(name).paragraph(title) or (title == "Found" and finding(RESULTS / name))
        ]
        assert re.findall(r"\\registered\{(\w+)\}", part) == wanted
        assert "Prediction" in wanted
    assert r"\seefigure{gating}" in told
    assert r"\appendixfigure{gating}" not in told
    assert r"\appendixfigure{depth}" in told


def test_findings_can_be_taken_into_the_text():
    told = told_by_experiments(RESULTS)
    assert r"\generated{stored}{gating}{yes}" in told
    assert r"\generated{drawn}{gating}{(Figure~\ref{fig:gating})}" in told
    assert r"\generated{drawn}{training_gap}" not in told
    assert re.search(r"\\generated\{finding\}\{depth\}\{One read composes nothing", told)


@pytest.mark.parametrize("name", ["gating", "window"])
def test_provenance_is_what_the_run_left(name):
    about = json.loads((RESULTS / name / "provenance.json").read_text())
    told = provenance(RESULTS).split(name.replace("_", r"\_") + " & ")[1]
    row, settings = told.split("\n")[:2]
    cells = [cell.strip(" \\") for cell in row.split("&")]
    assert cells[0] == ("0--7" if name == "gating" else "0")
    assert int(cells[1]) == len(about["cells"])
    assert int(cells[2]) == sum(cell["rows"] for cell in about["cells"])
    assert float(cells[3]) == pytest.approx(about["seconds"] / 60, abs=0.06)
    assert about["environments"][0]["commit"].startswith(cells[4][7:-1])
    assert len(cells[4][7:-1]) == 12
    assert r"\mbox{seeds}" not in settings
    if name == "gating":
        assert r"\mbox{pairs} 1, " in settings
        assert r"\mbox{rank} 8, 2, 32;" in settings


@pytest.mark.parametrize(
    ("seeds", "told"),
    [((), "--"), ((3,), "3"), ((1, 2), "1, 2"), ((0, 1, 2), "0--2"), ((1, 4), "1, 4")],
)
def test_seeds_are_told_as_a_range_where_they_are_one(seeds, told):
    assert _ranges(seeds) == told


def test_settings_are_told_in_words_not_in_python():
    one = {"seed": 1, "pairs": [["a", "b"], ["b", "c"]], "size": {"width": 64, "steps": 700}}
    other = {"seed": 2, "pairs": [["a", "b"], ["b", "c"]], "size": {"width": 64, "steps": 900}}
    told = _settings([one, other])
    assert told == (r"\mbox{pairs} a--b, b--c; \mbox{width} 64; \mbox{steps} 700, 900")
    assert _settings([{"model": ""}]) == r"\mbox{model} default"
    assert _settings([{"ranks": [0, 2]}, {"ranks": [0, 2], "top": 1.5}]) == (
        r"\mbox{ranks} 0, 2; \mbox{top} 1.5"
    )
