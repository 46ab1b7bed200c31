"""Which laws the merge rules obey: computed when the site is built, with counterexamples."""

import inspect

from loratheory.adapters import LAWS, METHODS, laws
from website.rest import Pages, escaped, grid, heading, linked

MARKS = {True: "✓", False: "✗", None: "–"}
INTRODUCTION = (
    "A law counts as broken where a counterexample was found; – means that it does not arise. "
    "Rules that act entry by entry may act in the full space or in a shared basis of the "
    "adapters (knots).\n\n"
)


def law_pages() -> Pages:
    """Return the page of merge rules and their laws."""
    rows = laws()
    names = list(rows[0].cells)
    table = [
        (f"``{row.method}``", row.space, *(MARKS[row.cells[name].holds] for name in names))
        for row in rows
    ]
    rules = [
        (f"``{m.name}``", escaped(m.formula), linked(escaped(m.reference)), escaped(m.cost))
        for m in METHODS.values()
    ]
    words = [
        (escaped(name), linked((inspect.getdoc(LAWS[name]) or "").split("\n")[0]))
        for name in names
        if name in LAWS
    ]
    reasons = sorted(
        {
            f"* ``{row.method}`` ({row.space}), {escaped(name)}: {escaped(cell.reason)}."
            for row in rows
            for name, cell in row.cells.items()
            if cell.reason and cell.holds is False
        }
    )
    return {
        "laws.rst": heading("Merge rules and the laws they obey")
        + INTRODUCTION
        + grid(("rule", "space", *names), table)
        + heading("The laws", "-")
        + grid(("law", "says"), words)
        + heading("The rules", "-")
        + grid(("rule", "formula", "reference", "cost"), rules)
        + heading("Why a law is broken", "-")
        + "\n".join(reasons)
        + "\n"
    }
