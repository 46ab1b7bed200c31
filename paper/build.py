r"""Build ``main.pdf`` from ``main.tex`` and the stored tables, without numbers typed by hand.

Text of the registry of theorems, of the studies' pages and of their tables is written as LaTeX next
to a copy of ``main.tex``. Then the figures are drawn, and an installed TeX typesets the paper.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from loratheory.store import write_whole
from loratheory.theorems import LABELS, load_theorems
from paper.appendix import appendix, latex, linked
from paper.numbers import latex_numbers, provenance, results, sections
from paper.studies import NAMES
from paper.style import drawing, file_bytes
from paper.tables import STUDIES

ENGINES: dict[str, tuple[str, ...]] = {
    "latexmk": ("latexmk", "-pdf", "-g", "-interaction=nonstopmode", "-halt-on-error", "main.tex"),
    "tectonic": ("tectonic", "-X", "compile", "--keep-logs", "main.tex"),
}
"""The commands that can typeset the paper; the first installed command is used."""
FIXED = {"SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1", "max_print_line": "1000"}
GENERATED = r"\\(?:measured|within|counted|constant|archived|computed)"
NAMED = r"\\(?:ref|label|result|cite[pt]?|citealp|input|includegraphics|url|href|bibliography)"
LENGTH = r"-?\d*\.?\d+\s*(?:\\(?:line|text|column|paper)\w+|em|ex|cm|mm|pt|in)\b"
NUMBER = r"\d*\.?\d+\s*(?:\\,|~)?\s*\\%|\d*\.\d+"


class PaperError(ValueError):
    """The paper cannot be built; the message gives the reason."""


def build(paper: Path, folder: Path) -> Path:
    """Build the paper in `folder` and return ``main.pdf`` in the paper's own folder.

    PaperError if there is no TeX, it stops, or its log has `complaints`; ``main.pdf`` then stays as
    it was.
    """
    command = engine()
    write_sources(paper, folder)
    # Dates and line lengths are fixed: equal sources give equal pages and readable logs.
    done = subprocess.run(
        command, cwd=folder, env=dict(os.environ) | FIXED, capture_output=True, check=False,
        encoding="utf-8", errors="replace",
    )  # fmt: skip
    if done.returncode:
        first = re.search(r"^!.*(?:\n.*){0,3}", done.stdout, re.MULTILINE)
        reason = first[0] if first else (done.stderr or done.stdout)[-600:]
        message = f"TeX stopped in {folder / 'main.tex'}: {reason.strip()}"
        raise PaperError(message)
    complained = complaints((folder / "main.log").read_text(encoding="utf-8", errors="replace"))
    # A paper with missing references must not replace a good one.
    if complained:
        message = f"{folder / 'main.log'}: {'; '.join(complained[:5])}"
        raise PaperError(message)
    write_whole(paper / "main.pdf", (folder / "main.pdf").read_bytes())
    return paper / "main.pdf"


def engine() -> tuple[str, ...]:
    """Return the command that typesets ``main.tex``; PaperError if no TeX is installed."""
    for name, command in ENGINES.items():
        if shutil.which(name):
            return command
    message = "no TeX here: run `make paper-deps` on Debian or Ubuntu, or use environment.yml"
    raise PaperError(message)


def complaints(log: str) -> list[str]:
    """Return the warnings in TeX's log that a finished paper must not have.

    These are undefined references and citations, labels defined twice, and boxes that exceed their
    width or height by more than 5 points.
    """
    lost = re.findall(r"(?:Reference|Citation) `[^']*'.*undefined|Label `.*' multiply", log)
    boxes = re.finditer(r"Overfull \\[hv]box \((\d+\.?\d*)pt too[^\n]*", log)
    return lost + [box[0] for box in boxes if float(box[1]) > 5]


def write_sources(paper: Path, folder: Path) -> None:
    """Write ``main.tex``, all its inputs, and all figures to a folder.

    PaperError if a decimal or a percentage is typed into the text instead of looked up; QueryError
    if no table has a number that the text queries.
    """
    source = (paper / "main.tex").read_text(encoding="utf-8")
    by_hand = typed(source)
    if by_hand:
        message = f"main.tex has numbers that are typed, by line: {'; '.join(by_hand)}."
        raise PaperError(message + r" Query them by \measured, \within, \share or \constant")
    files: dict[str, str | bytes] = {
        "main.tex": source,
        "refs.bib": (paper / "refs.bib").read_text(encoding="utf-8"),
        "numbers.tex": latex_numbers(source),
        "theorems.tex": proofs(source),
        "experiments.tex": experiments(re.findall(r"\\paperfigure\{(\w+)\}", source)),
        "predictions.tex": predictions(),
        "provenance.tex": provenance_rows(),
    }
    for name in NAMES:
        files[f"figures/{name}.pdf"] = file_bytes(drawing(name), "pdf")
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)


def typed(source: str) -> list[str]:
    r"""Return decimals and percentages typed into a document, not generated, as ``line: number``.

    Comments, lengths, names, integers, arguments of macros that generate numbers, and the preamble
    do not count.
    """
    start = source.find(r"\begin{document}")
    head, body = source[: max(start, 0)], source[max(start, 0) :]
    names = NAMED + r"(?:\[[^\]]*\])*\{[^}]*\}"
    for pattern in (r"(?<!\\)%[^\n]*", GENERATED + r"\{[^}]*\}", names, LENGTH):
        # Blanks of equal length keep the line numbers.
        body = re.sub(pattern, lambda cut: re.sub(r"[^\n]", " ", cut[0]), body)
    first = head.count("\n") + 1
    return [
        f"{first + body.count(chr(10), 0, number.start())}: {number[0].strip()}"
        for number in re.finditer(NUMBER, body)
    ]


def proofs(source: str) -> str:
    """Return the appendix of all theorems, numbered in the order of the text.

    Theorems that the text does not name follow, in the order of the appendix.
    """
    text = re.sub(r"(?<!\\)%[^\n]*", "", source)
    # Numbers follow the text, while proofs follow the chapters.
    order = list(dict.fromkeys([*re.findall(r"thm:[\w-]+", text), *LABELS]))
    return re.sub(
        r"(?=\\begin\{\w+\}\[[^\n]*\]\\label\{(thm:[\w-]+)\})",
        lambda start: rf"\setcounter{{theorem}}{{{order.index(start[1])}}}",
        appendix(load_theorems()),
    )


def experiments(shown: Sequence[str]) -> str:
    """Return the appendix: what each study found, and its figure if the text does not show it."""
    lines = []
    for name in NAMES:
        lines.append(rf"\subsection{{{_heading(name)}}}\label{{exp:{name}}}")
        page = "\n\n".join(results(name).values())
        figure = re.search(r"^\*\*Figure\.\*\*\s(.*?)\n\n", page, re.M | re.S)
        if figure and name not in shown:
            page = page.replace(figure[0], "")
        lines += [_page(page), rf"\seefigure{{{name}}}"]
        if name not in shown:
            lines.append(rf"\appendixfigure{{{name}}}{{{linked(figure[1]) if figure else name}}}")
    return "\n".join(lines) + "\n"


def predictions() -> str:
    """Return the appendix: what each study asked and predicted, in the words of that time."""
    lines = []
    for name in NAMES:
        where = rf"results: Appendix~\ref{{exp:{name}}}"
        lines.append(rf"\subsection{{Study \texttt{{{latex(name)}}} ({where})}}")
        asked = sections((STUDIES / name / "prediction.md").read_text(encoding="utf-8"))
        for part, text in asked.items():
            if part:
                lines.append(rf"\paragraph{{Part \texttt{{{latex(part)}}}.}}")
            paragraphs = filter(str.strip, text.split("\n\n"))
            lines += [rf"\par\noindent {_paragraph(one)}\par" for one in paragraphs]
    return "\n".join(lines) + "\n"


def _heading(name: str) -> str:
    """The title of a study's page, with the study's name."""
    title, _, _ = (STUDIES / name / "results.md").read_text(encoding="utf-8").partition("\n")
    return rf"{latex(title.removeprefix('# '))} (study \texttt{{{latex(name)}}})"


def _paragraph(text: str) -> str:
    """Convert a paragraph of a page to LaTeX, with a title ``**…**`` in bold and quotes as text."""
    quoted = re.sub(r"^> ?", "", text.strip(), flags=re.M)
    title = re.match(r"\*\*([^*]+)\*\*\s*", quoted)
    body = linked(quoted[title.end() :] if title else quoted)
    return rf"\textbf{{{latex(title[1])}}} {body}" if title else body


def _page(text: str) -> str:
    """Convert a results page to LaTeX, without its figure and with links as text."""
    text = re.sub(r"^!\[[^\n]*$", "", text, flags=re.M)
    blocks = re.split(r"\n\s*\n", re.sub(r"\[([^\]\n]+)\]\([^)\n]+\)", r"\1", text).strip())
    return "\n\n".join(_table(one) if one.startswith("|") else linked(one) for one in blocks)


def _table(text: str) -> str:
    """Convert a table of a results page to LaTeX; the first column has a third of the width."""
    rows = [[linked(cell.strip()) for cell in row.split("|")[1:-1]] for row in text.splitlines()]
    others = len(rows[0]) - 1
    first = max(0.32, 1 / len(rows[0]))
    widths = (first, *[(1 - first) / others] * others)
    # Six points between columns are a 75th of a line.
    room = 1 - (len(widths) - 1) / 74
    columns = [rf">{{\raggedright\arraybackslash}}p{{{room * x:.3f}\linewidth}}" for x in widths]
    head, *body = (" & ".join(row) + r" \\" for row in (rows[0], *rows[2:]))
    # No page break between a table and what announces it.
    small = r"{\par\nopagebreak\smallskip\noindent\footnotesize\setlength{\tabcolsep}{3pt}"
    start = rf"\begin{{tabular}}{{@{{}}{''.join(columns)}@{{}}}}"
    lines = [small, start, r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*lines, r"\par\smallskip}"])


def provenance_rows() -> str:
    """Return a row of the provenance table for each part of each study."""
    lines = []
    for name in NAMES:
        parts_of = provenance(name)
        for about in parts_of:
            title = name if len(parts_of) == 1 else f"{name}: {about['part']}"
            cells = [
                latex(title.replace("_", " ")),
                _ranges(about["seeds"]),
                str(len(about["cells"])),
                str(sum(cell["rows"] for cell in about["cells"])),
                f"{about['seconds'] / 60:.1f}",
                latex(", ".join(sorted({each["device"] for each in about["environments"]}))),
            ]
            lines.append(" & ".join(cells) + r" \\")
    return "\n".join(lines) + "\n"


def _ranges(seeds: Sequence[int]) -> str:
    """Format seeds in order, consecutive seeds as a range; a dash without seeds."""
    if not seeds:
        return "--"
    if list(seeds) == list(range(seeds[0], seeds[-1] + 1)) and len(seeds) > 2:
        return f"{seeds[0]}--{seeds[-1]}"
    return ", ".join(map(str, seeds))
