"""Markup by function: headings, tables, labels that become links, the picture one can drag."""

import re
from collections.abc import Iterable, Sequence

Pages = dict[str, str]
"""From a path below the site's sources to what stands there."""


def heading(text: str, mark: str = "=") -> str:
    """A title with its line below."""
    return f"{text}\n{mark * (len(text) + 2)}\n\n"


def escaped(text: object) -> str:
    """Plain text as it is: nothing in it is markup."""
    return re.sub(r"([\\*|`_])", r"\\\1", str(text))


def linked(text: str, folder: str = "/theorems") -> str:
    """Return markup of a docstring in which labels of theorems lead to their pages."""
    return re.sub(r"`{1,2}thm:([a-z-]+)`{1,2}", rf":doc:`thm:\1 <{folder}/\1>`", text)


def indented(text: str) -> str:
    """Text three blanks to the right."""
    return re.sub(r"^(?=.)", "   ", text, flags=re.MULTILINE)


def grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are markup already, the first row its head."""
    lines = [".. list-table::", "   :header-rows: 1", "   :class: wide", ""]
    for row in ([escaped(column) for column in columns], *rows):
        for number, cell in enumerate(row):
            opening = "   * - " if number == 0 else "     - "
            lines.append(opening + cell.replace("\n", "\n       "))
    return "\n".join([*lines, "", ""])


def toctree(names: Iterable[str], *, caption: str = "", hidden: bool = False) -> str:
    """Return a table of contents of these pages."""
    options = ["   :maxdepth: 1"]
    options += [f"   :caption: {caption}"] if caption else []
    options += ["   :hidden:"] if hidden else []
    return "\n".join([".. toctree::", *options, "", *(f"   {name}" for name in names), "", ""])


def draggable(still: str, up: str = "") -> str:
    """Return Markdown of the picture that is dragged; without scripts `still` is shown."""
    return (
        f'<div class="two-hops">\n\n{still}\n\n</div>\n'
        f'<script src="{up}_static/two_hops.js"></script>\n'
    )
