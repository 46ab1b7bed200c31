"""The picture that a reader drags says what the theorem says: its script is run, not read."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from loratheory.theorems.composition.two_read_region import PATTERNS, margin

SCRIPT = Path(__file__).parents[2] / "docs" / "_static" / "two_hops.js"
NUMBERS = (-0.5, 0.0, 0.25, 0.5, 0.55, 0.618, 0.619, 0.65, 1.0, 1.2)
RUN = """
const picture = require(process.argv[1]);
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(cases.map(([known, first, second]) => [
  picture.margin(picture.scores(known, first, second)),
  picture.facts(known, first, second).map(picture.margin),
  Math.min(picture.edge(known, first), 9),
])));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js runs the picture's script")
def test_leads_and_borders_of_the_picture_are_those_of_the_theorem():
    cases = [(known, c1, c2) for known in PATTERNS for c1 in NUMBERS for c2 in NUMBERS]
    command = ["node", "-e", RUN, str(SCRIPT)]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for (known, c1, c2), (lead, facts, edge) in zip(cases, json.loads(done.stdout), strict=True):
        assert lead == pytest.approx(margin((c1, c2), known), abs=1e-12)
        held = (known in ("overwrite", "overwrite both"), known != "new facts")
        for c, fact, old in zip((c1, c2), facts, held, strict=True):
            alone = margin((c,), "overwrite" if old else "new facts")
            assert fact == pytest.approx(alone, abs=1e-12)
        if edge == 9:  # above it nowhere in the picture
            assert margin((c1, 1.2), known) <= 0
        elif c1 > 0:
            assert margin((c1, edge - 1e-6), known) <= 1e-6 < margin((c1, edge + 1e-3), known)
