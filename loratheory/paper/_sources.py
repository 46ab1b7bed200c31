"""The sources of the paper: its text, generated LaTeX, and figures drawn from tables."""

import re
from collections.abc import Callable
from pathlib import Path

from loratheory.figures import FIGURES, SCHEMATICS, drawing, rendered
from loratheory.paper._numbers import numbers, stored
from loratheory.paper._registered import (
    experiments,
    findings,
    of_experiments,
    proofs,
    provenance,
    statements,
)
from loratheory.store import write_whole

SOURCES = ("main.tex", "refs.bib")
GENERATED = r"\\(?:measured|within|share|counted|constant|stored|ifstored|question|finding|stated)"
NAMES = r"\\(?:ref|label|result|cite[pt]?|citealp|input|includegraphics|url|href|bibliography)"
LENGTH = r"-?\d*\.?\d+\s*(?:\\(?:line|text|column|paper)\w+|em|ex|cm|mm|pt|in)\b"
NUMBER = r"\d*\.?\d+\s*(?:\\,|~)?\s*\\%|\d*\.\d+"
Picture = Callable[[str, Path], bytes]


class PaperError(ValueError):
    """The paper cannot be built; the message says why."""


def shown(source: str) -> list[str]:
    """The figures that a document's own text shows."""
    return re.findall(r"\\paperfigure\{(\w+)\}", source)


def drawn(name: str, results: Path) -> bytes:
    """A figure from its stored table, or a schematic, as PDF; the same bytes every time."""
    return rendered(drawing(name, results / name / "table.csv"), "pdf")


def typed(source: str) -> list[str]:
    r"""Return decimals and percentages typed into a document, not generated, as ``line: number``.

    Comments, lengths, names, integers, arguments of macros that generate numbers, and what precedes
    ``\begin{document}`` do not count.
    """
    start = source.find(r"\begin{document}")
    head, body = source[: max(start, 0)], source[max(start, 0) :]
    for pattern in (
        r"(?<!\\)%[^\n]*",
        GENERATED + r"\{[^}]*\}",
        NAMES + r"(?:\[[^\]]*\])*\{[^}]*\}",
        LENGTH,
    ):
        body = re.sub(pattern, lambda cut: re.sub(r"[^\n]", " ", cut[0]), body)
    first = head.count("\n") + 1
    return [
        f"{first + body.count(chr(10), 0, found.start())}: {found[0].strip()}"
        for found in re.finditer(NUMBER, body)
    ]


def written(paper: Path, build: Path, picture: Picture = drawn) -> tuple[Path, ...]:
    """Write all sources of the paper, copied, generated or drawn, to a folder; return the files.

    Parameters
    ----------
    paper : Path
        The folder with ``main.tex``, ``refs.bib`` and ``results``.
    build : Path
        The folder to write to; figures go to ``figures`` in it.
    picture : callable
        Returns the PDF of a figure from its name and the path of ``results``.

    Raises
    ------
    PaperError
        If a decimal or a percentage is typed into the text instead of asked for.
    QueryError
        If the text asks for a number that no table has.
    """
    source, results = (paper / "main.tex").read_text(encoding="utf-8"), paper / "results"
    by_hand = typed(source)
    if by_hand:
        message = (
            f"main.tex has numbers that are typed, by line: {'; '.join(by_hand)}. Ask for them by "
            r"\measured, \within, \share or \constant"
        )
        raise PaperError(message)
    found = findings(results)
    files: dict[str, str | bytes] = {
        **{name: (paper / name).read_text(encoding="utf-8") for name in SOURCES},
        "numbers.tex": numbers(source, results) + of_experiments(found),
        "statements.tex": statements(),
        "theorems.tex": proofs(source),
        "experiments.tex": experiments(found, shown(source)),
        "provenance.tex": provenance(results),
    }
    pictures = [name for name in stored(results) if name in FIGURES]
    for name in (*pictures, *(name for name in shown(source) if name in SCHEMATICS)):
        files[f"figures/{name}.pdf"] = picture(name, results)
    (build / "figures").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(build / name, content)
    return tuple(build / name for name in files)
