"""Where the project's own tables lie."""

from pathlib import Path

from loratheory.experiments._table import TableError

_PACKAGE = Path(__file__).parents[1]
PLACES = (_PACKAGE / "results", _PACKAGE.parent / "paper" / "results")
"""Of a wheel, and of a checkout."""


def home() -> Path:
    """Return the folder whose ``results`` holds the project's own tables.

    Returns
    -------
    Path
        ``paper`` of a checkout, whose ``main.tex`` is the paper's text; of an installed package
        its own folder, which has the tables and no text.
    """
    return next((place for place in PLACES if place.is_dir()), PLACES[-1]).parent


def published(name: str) -> Path:
    """Return the project's own table of an experiment, as its paper profile made it.

    Parameters
    ----------
    name : str
        Of the experiment.

    Returns
    -------
    Path
        Of a file that `table` reads; `provenance.json` lies beside it.

    Raises
    ------
    TableError
        If there is no such table.
    """
    for folder in PLACES:
        for file in (folder / name / "table.csv", folder / name / "table.csv.gz"):
            if file.is_file():
                return file
    known = sorted({path.parent.name for folder in PLACES for path in folder.glob("*/table.csv*")})
    message = f"no table of {name!r} is published, only of {', '.join(known) or 'nothing'}"
    raise TableError(message)
