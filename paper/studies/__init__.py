"""The studies, one folder each: question and prediction, code, table, figure and results."""

from importlib import import_module
from pathlib import Path

from paper.studies._shared.run import Study

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(file.parent.name for file in FOLDER.glob("*/study.py")))


def load(name: str) -> Study:
    """Import a study; ValueError, with the known names, for an unknown name."""
    if name not in NAMES:
        message = f"there is no study {name!r}: choose {', '.join(NAMES)}"
        raise ValueError(message)
    return import_module(f"paper.studies.{name}.study").STUDY
