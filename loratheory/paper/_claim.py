"""The support of a claim: statement, proof, check, experiments, figures, place in the paper."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratheory import theorems as package
from loratheory.experiments import NAMES, experiment
from loratheory.paper._numbers import stored
from loratheory.paper._registered import kind_of
from loratheory.paper._sources import shown
from loratheory.theorems import Theorem, verify

HEADING = r"\\(?:sub)*section\*?\{([^}]*)\}|\\begin\{abstract\}"


@dataclass(frozen=True)
class Evidence:
    """An experiment whose document or finding names the claim."""

    name: str
    question: str
    table: str  #: The stored table; empty where it has not been run.
    figure: str
    """The paper's figure of the experiment, by number if the paper is built; empty if none."""


@dataclass(frozen=True)
class Claim:
    """All that supports one claim."""

    label: str
    status: str
    statement: str
    source: str
    proof: str  #: The file that holds statement, proof and check.
    appendix: str  #: Where the paper proves it.
    report: Any  #: What `loratheory.theorems.verify` found just now.
    experiments: tuple[Evidence, ...]  #: Those whose document or finding names the label.
    sections: tuple[str, ...]  #: Where the paper's text names it.


def claim(
    theorem: Theorem[Any, Any], paper: Path, build: Path, *, cases: int = 200, seed: int = 0
) -> Claim:
    """Return what supports a theorem; its check is run now, on `cases` random cases from `seed`.

    The rest is looked up in the registry, the experiments' documents, ``main.tex`` and ``results``
    in the folder `paper`, and ``main.aux`` in `build`; what is missing there is left empty.
    """
    source = paper / "main.tex"
    text = source.read_text(encoding="utf-8") if source.is_file() else ""
    places = _places(build / "main.aux")
    return Claim(
        theorem.label,
        theorem.status,
        theorem.statement,
        theorem.source,
        _module(theorem),
        places.get(theorem.label, "").replace("Theorem", kind_of(theorem)),
        verify(theorem, cases=cases, seed=seed),
        tuple(_evidence(theorem.label, paper / "results", text, places)),
        tuple(_sections(theorem.label, text)),
    )


def _module(theorem: Theorem[Any, Any]) -> str:
    name = theorem.label.removeprefix("thm:").replace("-", "_")
    module = getattr(package, name)
    file = Path(inspect.getfile(module))
    return str(file.relative_to(Path(package.__file__).parents[2]))


def _evidence(label: str, results: Path, text: str, places: dict[str, str]) -> Iterator[Evidence]:
    done, in_text = stored(results), shown(text)
    for name in NAMES:
        one = experiment(name)
        if re.search(rf"{label}(?![\w-])", one.document or ""):
            folder = str(results / name) if name in done else ""
            figure = places.get(f"fig:{name}", "a figure of the text" if name in in_text else "")
            yield Evidence(name, one.paragraph("Question"), folder, figure)


def _sections(label: str, text: str) -> Iterator[str]:
    """The headings under which the text names the label, each once."""
    starts = [(found.start(), found[1] or "Abstract") for found in re.finditer(HEADING, text)]
    ends = [start for start, _ in starts[1:]]
    for (start, title), end in zip(starts, [*ends, len(text)], strict=False):
        if re.search(rf"{label}(?![\w-])", text[start:end]):
            yield re.sub(r"\\label\{[^}]*\}", "", title)


def _places(aux: Path) -> dict[str, str]:
    """From labels to what they are called on paper, as TeX numbered them."""
    if not aux.is_file():
        return {}
    kinds = {"thm": "Theorem", "fig": "Figure"}
    entries = re.findall(
        r"\\newlabel\{((?:thm|fig):[\w-]+)\}\{\{([^}]*)\}\{(\w+)\}", aux.read_text(errors="replace")
    )
    return {label: f"{kinds[label[:3]]} {number}, page {page}" for label, number, page in entries}
