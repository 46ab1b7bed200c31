r"""What modules say reaches the paper whole: statements, predictions, findings, provenance."""

import json
import re
from pathlib import Path

import pytest

from loratheory.experiments import NAMES, experiment
from loratheory.paper import _registered as registered
from loratheory.theorems import load_theorems

ALL = load_theorems()

RESULTS = Path(__file__).parents[2] / "paper" / "results"


def test_every_statement_can_be_shown_without_its_proof(sources):
    text = (sources / "statements.tex").read_text(encoding="utf-8")
    labels = re.findall(r"\\generated\{stated\}\{(thm:[\w-]+)\}\{\\statement\{(\w[\w ]*)\}", text)
    assert [label for label, _ in labels] == [theorem.label for theorem in ALL]
    assert dict(labels)["thm:unselective-success"] == "Refuted claim"
    assert "{Two-read region}" in text
    assert r"\begin{proof}" not in text
    briefly = text.split(r"\generated{briefly}{thm:disagreeing-stand-ins}")[1].split(r"\generated")[
        0
    ]
    assert "ignores its partner" in briefly


def test_theorems_are_numbered_in_order_of_appearance(sources):
    body = (sources / "main.tex").read_text(encoding="utf-8")
    named = list(dict.fromkeys(re.findall(r"thm:[\w-]+", re.sub(r"(?<!\\)%.*", "", body))))
    assert len(named) > 5
    proofs = (sources / "theorems.tex").read_text(encoding="utf-8")
    number = r"\\setcounter\{theorem\}\{(\d+)\}\\begin\{\w+\}\[.*\]\\label\{(thm:[\w-]+)\}"
    numbers = {label: int(before) + 1 for before, label in re.findall(number, proofs)}
    assert [numbers[label] for label in named] == [*range(1, len(named) + 1)]
    assert sorted(numbers.values()) == [*range(1, len(ALL) + 1)]
    rest = [theorem.label for theorem in ALL if theorem.label not in named]
    assert [numbers[label] for label in rest] == [*range(len(named) + 1, len(ALL) + 1)]


def test_a_commented_line_names_no_theorem():
    text = registered.proofs("% thm:merge-floor\n\\ref{thm:two-read-region}")
    assert r"\setcounter{theorem}{0}\begin{theorem}[Two-read region]" in text


def test_what_was_predicted_and_found_is_shown_whole(sources):
    text = (sources / "experiments.tex").read_text(encoding="utf-8")
    stored = [name for name in NAMES if (RESULTS / name / "provenance.json").is_file()]
    assert re.findall(r"\\label\{exp:(\w+)\}", text) == stored
    for name in stored:
        part = text.split(rf"\label{{exp:{name}}}")[1].split(r"\subsection")[0]
        wanted = [t for t in registered.PARAGRAPHS if experiment(name).paragraph(t)]
        wanted += ["Found"] * (RESULTS / name / "card.md").is_file()
        assert re.findall(r"\\registered\{(\w+)\}", part) == wanted
        assert "Prediction" in wanted
    assert r"\seefigure{real_portable}" in text
    assert r"\appendixfigure{real_portable}" not in text
    assert r"\appendixfigure{depth}" in text


def test_findings_can_be_taken_into_the_text(sources):
    text = (sources / "numbers.tex").read_text(encoding="utf-8")
    assert r"\generated{stored}{gating}{yes}" in text
    assert r"\generated{drawn}{gating}{(Figure~\ref{fig:gating})}" in text
    assert r"\generated{drawn}{training_gap}" not in text
    assert re.search(r"\\generated\{finding\}\{depth\}\{One read composes nothing", text)


@pytest.mark.parametrize(("name", "seeds"), [("gating", "0--7"), ("window", "0")])
def test_provenance_is_what_the_run_left(sources, name, seeds):
    about = json.loads((RESULTS / name / "provenance.json").read_text())
    text = (sources / "provenance.tex").read_text(encoding="utf-8")
    row, settings = text.split(name.replace("_", r"\_") + " & ")[1].split("\n")[:2]
    cells = [cell.strip(" \\") for cell in row.split("&")]
    assert cells[0] == seeds
    assert int(cells[1]) == len(about["cells"])
    assert int(cells[2]) == sum(cell["rows"] for cell in about["cells"])
    assert float(cells[3]) == pytest.approx(about["seconds"] / 60, abs=0.06)
    assert about["environments"][0]["commit"].startswith(cells[4][7:-1])
    assert len(cells[4][7:-1]) == 12
    assert r"\mbox{seeds}" not in settings
    assert name == "window" or r"\mbox{rank} 8, 2, 32;" in settings


@pytest.mark.parametrize(
    ("seeds", "text"),
    [((), "--"), ((3,), "3"), ((1, 2), "1, 2"), ((0, 1, 2), "0--2"), ((1, 4), "1, 4")],
)
def test_seeds_are_told_as_a_range_where_they_are_one(seeds, text):
    assert registered._ranges(seeds) == text


def test_settings_are_told_in_words_not_in_python():
    one = {"seed": 1, "pairs": [["a", "b"], ["b", "c"]], "size": {"width": 64, "steps": 700}}
    text = registered._settings([one, one | {"seed": 2, "size": {"width": 64, "steps": 900}}])
    assert text == (r"\mbox{pairs} a--b, b--c; \mbox{width} 64; \mbox{steps} 700, 900")
    assert registered._settings([{"model": ""}]) == r"\mbox{model} default"
