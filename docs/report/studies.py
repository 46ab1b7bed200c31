"""All that the report asks of the studies: stored tables, exact reruns, figures, the paper."""

from pathlib import Path

from loratheory.experiments import experiment, published, table, window
from loratheory.experiments.engine import difference, query, value
from loratheory.figures import FIGURES, drawing, rendered
from loratheory.paper import numbers, typed
from loratheory.theorems.composition.two_read_region import threshold
from report.claims import Section, read_claims

EXACT = ("window", "two_read_region", "merge_floor")
"""Studies in NumPy whose tables come out the same wherever they run."""


def read_tables() -> Section:
    """Look up the stored numbers that claims ask for, in the paper's query language."""
    asked = [claim.number for claim in read_claims()[0] if claim.step == "stored tables"]
    rows = [(text, *(100 * each for each in look_up(text))) for text in asked]
    return Section(tuple(rows), {row[0]: row[2] for row in rows})


def look_up(text: str) -> tuple[float, float, float]:
    """Return a stored number, or a paired difference (``… minus …``), with its interval."""
    first, _, second = text.partition(" minus ")
    asked = query(first)
    rows = table(published(asked.experiment))
    number = difference(asked, query(second), rows) if second else value(asked, rows)
    return number.middle, number.low, number.high


def rerun_exactly() -> Section:
    """Rerun studies that train nothing, and locate the window's edges in the smallest model."""
    rows = tuple((name, find_gap(name)) for name in EXACT)
    fine = window.cell(window.Config(steps=1000))
    single = min(r["coefficient"] for r in fine if r["hop_1"] > 0 and r["hop_2"] > 0)
    both = min(r["coefficient"] for r in fine if r["two_hop"] > 0)
    edges = (("single facts from", single), ("composition from", both))
    far = max(abs(single - 0.5), abs(both - threshold(2)))
    values = {"gap": max(gap for _, gap in rows), "edges": far}
    return Section((*rows, *edges), values)


def find_gap(name: str) -> float:
    """Return the largest relative gap between a study's stored table and one computed now."""
    study, stored = experiment(name), table(published(name)).to_dict("records")
    rows = [row for config in study.profiles["paper"] for row in study.cell(config)]
    gaps = [
        abs(now[column] - old) / max(1.0, abs(old))
        for now, before in zip(rows, stored, strict=True)
        for column, old in before.items()
    ]
    return max(gaps)


def check_paper(paper: Path = Path("paper")) -> Section:
    """Look up every number that the paper's text asks for, and find those typed by hand."""
    source = (paper / "main.tex").read_text(encoding="utf-8")
    count, by_hand = len(numbers(source, paper / "results").splitlines()), [*typed(source)]
    rows = (("looked up", count), *(("typed by hand", line) for line in by_hand))
    return Section(rows, {"typed": len(by_hand)})


def draw_figures(build: Path) -> Section:
    """Draw every figure of the paper."""
    files = tuple(build / f"{name}.png" for name in FIGURES)
    for file in files:
        file.write_bytes(rendered(drawing(file.stem), "png"))
    return Section(figures=files)
