"""Run the report's steps on the studies: stored tables, exact reruns, figures, the paper."""

from pathlib import Path

import numpy as np

from loratheory.theorems.composition.two_read_region import threshold
from paper.build import typed
from paper.numbers import latex_numbers
from paper.studies import NAMES, load
from paper.studies.window.study import Line, window
from paper.style import drawing, file_bytes
from paper.tables import look_up, read_table
from report.claims import Section, read_claims

EXACT = ("window", "merge_floor")
"""Studies in NumPy whose tables are reproducible on every machine."""


def read_tables() -> Section:
    """Look up the stored numbers of the claims, in the paper's query language."""
    queries = [claim.number for claim in read_claims()[0] if claim.step == "stored tables"]
    rows = []
    for text in queries:
        number = look_up(text)
        rows.append((text, 100 * number.middle, 100 * number.low, 100 * number.high))
    # A claim holds if the whole interval is within its margin: the low end decides.
    return Section(tuple(rows), {row[0]: row[2] for row in rows})


def rerun_exactly() -> Section:
    """Rerun studies that train nothing, and locate the window's edges in the smallest model."""
    rows = tuple((name, find_gap(name)) for name in EXACT)
    # Steps of a thousandth locate both edges to three digits.
    fine = window(Line(steps=1000))
    single = min(r["coefficient"] for r in fine if r["hop_1"] > 0 and r["hop_2"] > 0)
    both = min(r["coefficient"] for r in fine if r["two_hop"] > 0)
    edges = (("single facts from", single), ("composition from", both))
    far = max(abs(single - 0.5), abs(both - threshold(2)))
    values = {"gap": max(gap for _, gap in rows), "edges": far}
    return Section((*rows, *edges), values)


def find_gap(name: str) -> float:
    """Return the largest relative gap between a study's stored table and one computed now."""
    gaps = []
    for part in load(name).parts:
        stored = read_table(f"{name}/{part.name}").to_dict("records")
        rows = [row for config in part.paper for row in part.cell(config)]
        for now, before in zip(rows, stored, strict=True):
            # Relative to the stored number, absolute below one.
            gaps += [abs(now[key] - old) / max(1.0, abs(old)) for key, old in before.items()]
    return float(np.max(gaps))  # which does not overlook NaN


def check_paper(paper: Path = Path("paper")) -> Section:
    """Look up every number that the paper's text queries, and find numbers typed by hand."""
    source = (paper / "main.tex").read_text(encoding="utf-8")
    count, by_hand = len(latex_numbers(source).splitlines()), typed(source)
    rows = (("looked up", count), *(("typed by hand", line) for line in by_hand))
    return Section(rows, {"typed": len(by_hand)})


def draw_figures(build: Path) -> Section:
    """Draw every figure of the paper."""
    files = tuple(build / f"{name}.png" for name in NAMES)
    for file in files:
        file.write_bytes(file_bytes(drawing(file.stem), "png"))
    return Section(figures=files)
