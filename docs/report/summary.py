"""The end of ``make reproduce`` in ten lines: what was confirmed, what deviated, by how much."""

from collections.abc import Sequence
from pathlib import Path

from report.section import Section

LINES = 10


def summary(sections: Sequence[Section], page: Path) -> list[str]:
    """Return at most ten lines about all sections."""
    good = [_confirmed(section) for section in sections if section.confirmed]
    bad = [
        f"DEVIATED   {section.title}: {line}" for section in sections for line in section.deviated
    ]
    room = LINES - 1 - len(good)
    if len(bad) > room:
        bad = [*bad[: max(room - 1, 0)], f"DEVIATED   and {len(bad) - max(room - 1, 0)} more"]
    confirmed = sum(len(section.confirmed) for section in sections)
    deviated = sum(len(section.deviated) for section in sections)
    return [*good, *bad, f"{confirmed} confirmed, {deviated} deviated: open {page}"]


def _confirmed(section: Section) -> str:
    """One line for all that a section confirmed."""
    first, *rest = section.confirmed
    more = f" (and {len(rest)} more such)" if rest else ""
    return f"confirmed  {section.title}: {first}{more}"
