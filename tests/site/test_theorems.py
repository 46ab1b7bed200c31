"""Every theorem has a page with statement, proof, verdict, controls and uses."""

import re

import pytest
from website import graph, theorem_pages

from loratheory.theorems import load_theorems, theorem, verify

ALL = load_theorems()

FEW = tuple(map(theorem, ("rank-floor", "merge-floor", "quantised-floor")))
TEXTS = {"course/01": "uses thm:merge-floor.", "course/02": "uses thm:merge-floor-not"}


@pytest.fixture(scope="module")
def pages():
    reports = {t.label: verify(t, cases=5) for t in FEW}
    return theorem_pages(FEW, reports, TEXTS)


def test_a_page_has_statement_proof_verdict_controls_and_uses(pages):
    text = pages["theorems/merge-floor.rst"]
    heads = re.findall(r"^(.+)\n[=-]{3,}$", text, flags=re.MULTILINE)
    assert heads[0] == "Merge floor"
    assert heads[-3:] == ["Checked", "What breaks it", "Where it is used"]
    assert "It rests on :doc:`Rank-r floor <rank-floor>`.\n" in text
    whole = pages["theorems/rank-floor.rst"]
    assert re.findall(r"^(Proof|References)\n-+$", whole, flags=re.MULTILINE) == [
        "Proof",
        "References",
    ]
    assert "What rests on it: :doc:`Merge floor <merge-floor>`, " in whole
    assert "as stated, " in text
    floor = theorem("merge-floor")
    for control in floor.controls:
        assert control.name in text
        assert f"{floor.judge(*control.example()).value:.4g}" in text
    assert "What rests on it: :doc:`Quantised floor <quantised-floor>`.\n" in text
    assert "Pages that name it:\n\n* :doc:`/course/01`\n" in text
    assert "course/02" not in text
    assert ", :doc:`Merge floor <merge-floor>`.\n" in pages["theorems/quantised-floor.rst"]


def test_a_page_opens_with_its_name_and_what_it_tells(pages):
    text = pages["theorems/rank-floor.rst"]
    assert text.startswith("Rank-r floor: the least squared error of any adapter of rank r")
    told, stated = text.index("What it tells someone who merges"), text.index(":: Statement")
    assert 0 < told < stated


def test_the_index_lists_theorems_by_chapter_with_their_clauses(pages):
    text = pages["theorems/index.rst"]
    chapter = text.split("Expressiveness\n---")[1].split("Which rests on which\n---")[0]
    assert theorem("rank-floor").tells[:60] in chapter
    assert "with :doc:`merge-floor`, :doc:`quantised-floor`" in chapter
    assert chapter.count("as stated, ") == 1
    assert "Routing" not in text
    for name, label in (("Rank-r floor", "rank-floor"), ("Merge floor", "merge-floor")):
        assert f"\n   {name} <{label}>\n" in text


def test_the_drawing_links_every_theorem_and_tells_its_name():
    text = graph(ALL)
    drawn = [t for t in ALL if t.kind != "clause"]
    links = re.findall(r'<a href="([\w-]+)\.html"><title>(.+?)</title>', text)
    assert sorted(name for name, _ in links) == sorted(t.label[4:] for t in drawn)
    assert len({title for _, title in links}) == len(drawn)
    assert text.startswith('<svg class="theorem-graph" aria-label="A line leads from each')
    assert 'id="averaging-survival--two-read-region"' in text
