"""``make reproduce``: run everything once and write build/report.html."""

import base64
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from tqdm.auto import tqdm

from loratheory.store import write_whole
from report import steps
from report.model import on_the_model
from report.section import Section
from report.summary import summary

PAIR = (Path("tests/data/persons"), Path("tests/data/mascots"))
NOTEBOOKS = (
    Path("notebooks/01_one_adapter_many_tasks.py"),
    Path("notebooks/02_two_hop_averaging.py"),
)
"""The two that derive the window; `make test` runs all."""


def _cell(value: Any) -> Markup:
    """A table cell: numbers to the right and to four digits."""
    if isinstance(value, bool) or value is None:
        return Markup("<td>{}</td>").format({True: "yes", False: "no", None: "–"}[value])
    if isinstance(value, int | float):
        return Markup('<td class="number">{}</td>').format(f"{value:.4g}")
    return Markup("<td>{}</td>").format(value)


def _embedded(figure: Path) -> str:
    """The picture inside the page: one file to send around."""
    return "data:image/png;base64," + base64.b64encode(figure.read_bytes()).decode()


def page(sections: list[Section], seconds: float) -> str:
    """The whole report as one HTML page."""
    environment = Environment(autoescape=True)
    environment.filters |= {"td": _cell, "embedded": _embedded}
    versions = ", ".join(f"{name} {version(name)}" for name in ("loratheory", "numpy", "torch"))
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        sections=sections,
        confirmed=[line for section in sections for line in section.confirmed],
        deviated=[line for section in sections for line in section.deviated],
        meta=f"{versions}; Python {platform.python_version()}; {seconds:.0f} s",
    )


def main(build: Path = Path("build")) -> int:
    """Run all steps under one progress bar, write the page, and say what came out."""
    missing = [str(folder) for folder in PAIR if not folder.exists()]
    if missing:
        message = f"{', '.join(missing)} not found: run this in a checkout of the repository"
        sys.stderr.write(f"loratheory: {message}\n")
        return 2
    build.mkdir(exist_ok=True)
    named: dict[str, Callable[[], Section]] = {
        "theorems": steps.theorems,
        "two real adapters": lambda: steps.adapters(PAIR, build),
        "the merge on the model": lambda: on_the_model(build / "merged-sum"),
        "figures": lambda: steps.pictures(build),
        "the paper's numbers": steps.numbers,
        "notebooks": lambda: steps.notebooks(NOTEBOOKS, build),
    }
    start, sections = time.perf_counter(), []
    with tqdm(named.items(), unit="step") as bar:
        for name, step in bar:
            bar.set_description(name)
            sections.append(step())
    report = build / "report.html"
    write_whole(report, page(sections, time.perf_counter() - start))
    sys.stdout.write("\n".join(summary(sections, report)) + "\n")
    return int(any(section.deviated for section in sections))


if __name__ == "__main__":
    sys.exit(main())
