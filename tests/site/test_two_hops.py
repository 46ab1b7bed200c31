"""The picture that a reader drags says what the theorem says: its script is run, not read."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from loratheory.theorems.composition import two_read_region
from loratheory.theorems.composition.two_read_region import PATTERNS, logits

SCRIPT = Path(__file__).parents[2] / "docs" / "_static" / "two_hops.js"
NUMBERS = (-0.5, 0.0, 0.25, 0.5, 0.55, 0.618, 0.619, 0.65, 1.0, 1.2)
CASES = [(known, c1, c2) for known in PATTERNS for c1 in NUMBERS for c2 in NUMBERS]
RUN = """
const picture = require(process.argv[1]);
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(cases.map(([known, first, second]) => ({
  scores: picture.scores(known, first, second),
  margin: picture.margin(picture.scores(known, first, second)),
  facts: picture.facts(known, first, second).map(picture.margin),
  edge: picture.edge(known, first) === Infinity ? null : picture.edge(known, first),
  verdict: picture.verdict(known, first, second),
}))));
"""


@pytest.fixture(scope="module")
def found():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no JavaScript here: Node.js runs the picture's script")
    command = [node, "-e", RUN, str(SCRIPT)]
    done = subprocess.run(command, input=json.dumps(CASES), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(zip(CASES, json.loads(done.stdout), strict=True))


def test_every_city_scores_what_the_theorem_says(found):
    for (known, *coefficients), picture in found.items():
        target, *others = logits(coefficients, known)
        scores = dict(picture["scores"])
        assert scores.pop("Oslo") == pytest.approx(target, abs=1e-12)
        assert scores.pop("elsewhere") == 0
        shown = sorted(filter(None, scores.values()))
        assert shown == pytest.approx(sorted(filter(None, others)), abs=1e-12)
        wanted = two_read_region.margin(coefficients, known)
        assert picture["margin"] == pytest.approx(wanted, abs=1e-12)


def test_a_fact_alone_leads_by_what_the_theorem_says_of_one_hop(found):
    for (known, *coefficients), picture in found.items():
        held = (known in ("overwrite", "overwrite both"), known != "new facts")
        for c, margin, old in zip(coefficients, picture["facts"], held, strict=True):
            wanted = two_read_region.margin((c,), "overwrite" if old else "new facts")
            assert margin == pytest.approx(wanted, abs=1e-12)


def test_the_drawn_border_is_the_theorems(found):
    """Right above it the answer wins, right below it does not."""
    for (known, first, _), picture in found.items():
        edge = picture["edge"]
        if edge is None:
            assert two_read_region.margin((first, 1.2), known) <= 0
        elif first > 0:
            assert two_read_region.margin((first, edge + 1e-6), known) > 0
            assert two_read_region.margin((first, edge - 1e-6), known) <= 1e-6
    assert (
        found["overwrite", 0.618, 0.618]["margin"] < 0 < found["overwrite", 0.619, 0.619]["margin"]
    )


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (
            ("overwrite", 0.55, 0.55),
            "Both facts are right when asked alone. Ada’s city: Rome, wrong",
        ),
        (("overwrite", 0.65, 0.65), "Ada’s city: Oslo, right, ahead by 0.07."),
        (("overwrite", 1.0, 0.25), "Of the two facts only Ada’s lab is right. Ada’s city: Bern"),
        (("overwrite both", 0.5, 0.5), "Neither fact is right. Ada’s city: a tie of Oslo and"),
        (("new facts", -0.5, 0.25), "Ada’s city: a city on no path, wrong"),
    ],
)
def test_the_sentence_below_names_the_winner(found, case, said):
    assert said in found[case]["verdict"]
