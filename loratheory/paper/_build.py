"""From sources to ``main.pdf``, by an engine that is at hand."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from loratheory.paper._sources import PaperError, written
from loratheory.store import write_whole

ENGINES: dict[str, tuple[str, ...]] = {
    "latexmk": ("latexmk", "-pdf", "-g", "-interaction=nonstopmode", "-halt-on-error", "main.tex"),
    "tectonic": ("tectonic", "-X", "compile", "--keep-logs", "main.tex"),
}
"""What can typeset the paper; the first that is installed does."""


def engine() -> tuple[str, ...]:
    """Return the command that typesets ``main.tex`` in the current folder.

    Returns
    -------
    tuple of str
        Of the first of `ENGINES` that is installed.

    Raises
    ------
    PaperError
        If none is; the message says how to get one.
    """
    for name, command in ENGINES.items():
        if shutil.which(name):
            return command
    message = (
        f"no TeX here ({' and '.join(ENGINES)} not found): run `make paper-deps` on Debian or "
        "Ubuntu, or use the environment of environment.yml"
    )
    raise PaperError(message)


def typeset(build: Path) -> Path:
    """Return the pages of what `written` left; the same bytes from the same sources.

    Parameters
    ----------
    build : Path
        The folder with ``main.tex``.

    Returns
    -------
    Path
        ``main.pdf``; what TeX said is in ``main.log`` beside it.

    Raises
    ------
    PaperError
        If there is no TeX, or it stops; the message has its first complaint.
    """
    fixed = {"SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1", "max_print_line": "1000"}
    done = subprocess.run(
        engine(),
        cwd=build,
        env=fixed | dict(os.environ),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        told = re.findall(r"^!.*(?:\n.*){0,3}", done.stdout, re.MULTILINE)
        reason = told[0] if told else (done.stderr or done.stdout)[-600:]
        message = f"TeX stopped in {build / 'main.tex'}: {reason.strip()}"
        raise PaperError(message)
    return build / "main.pdf"


def complaints(log: str) -> list[str]:
    """Return what TeX's log has against the pages.

    Parameters
    ----------
    log : str
        ``main.log``.

    Returns
    -------
    list of str
        References and citations that lead nowhere, labels given twice, and boxes that stick out
        of the page by more than 5 points.
    """
    lost = re.findall(r"(?:Reference|Citation) `[^']*'.*undefined|Label `.*' multiply", log)
    boxes = re.findall(r"Overfull \\[hv]box \((\d+\.?\d*)pt too[^\n]*", log)
    lines = re.findall(r"Overfull \\[hv]box \(\d[^\n]*", log)
    return lost + [line for line, size in zip(lines, boxes, strict=True) if float(size) > 5]


def built(paper: Path, build: Path) -> Path:
    """Return the finished ``main.pdf`` in the paper's folder.

    Parameters
    ----------
    paper, build : Path
        As for `written`.

    Returns
    -------
    Path
        Copied there only if TeX's log has no complaints.

    Raises
    ------
    PaperError
        If there is no TeX, it stops, or its log has complaints.
    """
    engine()
    written(paper, build)
    pages = typeset(build)
    found = complaints((build / "main.log").read_text(encoding="utf-8", errors="replace"))
    if found:
        message = f"{build / 'main.log'}: {'; '.join(found[:5])}"
        raise PaperError(message)
    write_whole(paper / "main.pdf", pages.read_bytes())
    return paper / "main.pdf"
