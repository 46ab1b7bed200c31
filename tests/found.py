"""What cards say that was found, held against their stored tables."""

from functools import cache
from pathlib import Path
from statistics import fmean

from loratheory.experiments import finding, table

RESULTS = Path(__file__).parents[1] / "paper" / "results"


@cache
def stored(name):
    """A table, read once."""
    return table(RESULTS / name / "table.csv").to_dict("records")


def table_rows(name, **where):
    """Rows of a stored table with these values."""
    return [row for row in stored(name) if all(row[key] == value for key, value in where.items())]


def mean(chosen, column):
    """Over the rows in which the column is a number."""
    return fmean(row[column] for row in chosen if row[column] == row[column])


@cache
def card(name):
    """The text of a card, looked up once."""
    return finding(RESULTS / name)


def says(name, *numbers, digits=2):
    """The card quotes these numbers, in this order."""
    text, place = card(name), 0
    assert text
    for number in numbers:
        quoted = number if isinstance(number, str) else f"{number:.{digits}f}".removeprefix("0")
        place = text.find(quoted, place) + len(quoted)
        assert place >= len(quoted), f"{quoted} does not stand there, or not in this order: {text}"
