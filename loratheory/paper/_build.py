"""From the paper's sources to ``main.pdf``, by an installed TeX engine."""

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
FIXED = {"SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1", "max_print_line": "1000"}


def engine() -> tuple[str, ...]:
    """Return the command that typesets ``main.tex`` in the current folder.

    Raises `PaperError` if no TeX is installed.
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
    """Run TeX on the sources that `written` left in `build`, and return the path of ``main.pdf``.

    Equal sources give equal bytes; TeX's messages go to ``main.log``. Raises `PaperError` if there
    is no TeX, or it stops with an error, the first of which is in the message.
    """
    done = subprocess.run(
        engine(), cwd=build, env=FIXED | dict(os.environ), capture_output=True, check=False,
        encoding="utf-8", errors="replace",
    )  # fmt: skip
    if done.returncode:
        first = re.search(r"^!.*(?:\n.*){0,3}", done.stdout, re.MULTILINE)
        reason = first[0] if first else (done.stderr or done.stdout)[-600:]
        message = f"TeX stopped in {build / 'main.tex'}: {reason.strip()}"
        raise PaperError(message)
    return build / "main.pdf"


def complaints(log: str) -> list[str]:
    """Return the warnings in TeX's log, ``main.log``, that a finished paper must not have.

    These are undefined references and citations, labels defined twice, and boxes that exceed their
    width or height by more than 5 points.
    """
    lost = re.findall(r"(?:Reference|Citation) `[^']*'.*undefined|Label `.*' multiply", log)
    boxes = re.finditer(r"Overfull \\[hv]box \((\d+\.?\d*)pt too[^\n]*", log)
    return lost + [box[0] for box in boxes if float(box[1]) > 5]


def built(paper: Path, build: Path) -> Path:
    """Build the paper by `written` and `typeset`, and return ``main.pdf`` in the paper's folder.

    Raises `PaperError` if there is no TeX, it stops, or its log has `complaints`; ``main.pdf`` then
    stays as it was.
    """
    engine()
    written(paper, build)
    pages = typeset(build)
    complained = complaints((build / "main.log").read_text(encoding="utf-8", errors="replace"))
    if complained:
        message = f"{build / 'main.log'}: {'; '.join(complained[:5])}"
        raise PaperError(message)
    write_whole(paper / "main.pdf", pages.read_bytes())
    return paper / "main.pdf"
