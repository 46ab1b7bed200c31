"""The table of laws has every rule, every law and every verdict."""

import pytest
from website import law_pages

from loratheory.adapters import LAWS, METHODS, laws


@pytest.fixture(scope="module")
def text():
    return law_pages()["laws.rst"]


@pytest.fixture(scope="module")
def rows():
    return laws()


def test_every_rule_law_and_verdict_is_there(text, rows):
    for name in [*METHODS, *LAWS]:
        assert name in text
    for method in METHODS.values():
        assert method.cost.replace("_", "\\_").replace("*", "\\*") in text
    for mark, holds in (("✓", True), ("✗", False)):
        cells = [cell.holds for row in rows for cell in row.cells.values()]
        assert text.count(f"- {mark}\n") == cells.count(holds)


def test_why_is_said_where_a_law_is_broken(text, rows):
    for row in rows:
        for name, cell in row.cells.items():
            line = f"* ``{row.method}`` ({row.space}), {name}: {cell.reason}."
            assert (line in text) == bool(cell.reason and cell.holds is False)


def test_every_law_says_what_it_is(text):
    for law in LAWS.values():
        assert (law.__doc__ or "").split("\n")[0][:20].replace("_", "\\_") in text
